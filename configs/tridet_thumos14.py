"""TriDet on THUMOS14's two-stream I3D features.

THUMOS14's 200 annotated validation videos are 100 batches, so that
40 epochs are 4,000 updates. Features and annotations stand where the config says, or
--features.folder and --features.annotations say where.

Paper: https://arxiv.org/abs/2303.07347
Recipe: dingfengshi/TriDet, configs/thumos_i3d.yaml
Expect: 69.27 average mAP (theirs, README; not measured here).
Run: vidjax train tridet_thumos14 --workdir runs/tridet_thumos14
"""

from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="tridet_thumos14",
        objective="localization",
        data=DataConfig(batch_size=2),
        features=FeaturesConfig(
            folder="data/thumos14/features",
            annotations="data/thumos14/annotations.json",
            train_subset="validation",
            eval_subset="test",
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=0.0001,
            warmup_steps=2000,
            end_rate=1e-08,
            weight_decay=0.025,
            clip_norm=1.0,
            average_decay=0.999,
        ),
        steps=4000,
        eval_every=800,
        save_every=800,
    )
