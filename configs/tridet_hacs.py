"""TriDet on HACS Segments' SlowFast features.

37,613 training videos (README of hangzhaomit/HACS-dataset) are 2,350 batches, so that
11 epochs are 25,850 updates. Features and annotations stand where the config says, or
--features.folder and --features.annotations say where.

Paper: https://arxiv.org/abs/2303.07347
Recipe: dingfengshi/TriDet, configs/hacs_slowfast.yaml
Expect: 38.69 average mAP (theirs, README; not measured here).
Run: vidjax train tridet_hacs --workdir runs/tridet_hacs
"""

from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="tridet_hacs",
        objective="localization",
        data=DataConfig(batch_size=16),
        features=FeaturesConfig(
            folder="data/hacs/features",
            annotations="data/hacs/annotations.json",
            suffix=".pkl",
            fps=15.0,
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=0.001,
            warmup_steps=16450,
            end_rate=0.0005,
            weight_decay=0.03,
            clip_norm=0.5,
            average_decay=0.999,
        ),
        steps=25850,
        eval_every=5170,
        save_every=5170,
    )
