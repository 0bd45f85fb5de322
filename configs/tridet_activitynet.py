"""TriDet on ActivityNet-1.3's TSP features, as proposals.

A classifier's scores of whole videos name them: vidjax.localization.fuse_scores.

Some 10,000 training videos are 625 batches, so that
15 epochs are 9,375 updates. Features and annotations stand where the config says, or
--features.folder and --features.annotations say where.

Paper: https://arxiv.org/abs/2303.07347
Recipe: dingfengshi/TriDet, configs/anet_tsp.yaml
Expect: 36.77 average mAP with external scores (theirs, README; not measured here).
Run: vidjax train tridet_activitynet --workdir runs/tridet_activitynet
"""

from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="tridet_activitynet",
        objective="localization",
        data=DataConfig(batch_size=16),
        features=FeaturesConfig(
            folder="data/activitynet/features",
            annotations="data/activitynet/annotations.json",
            prefix="v_",
            fps=15.0,
            class_agnostic=True,
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=0.001,
            warmup_steps=6250,
            end_rate=5e-05,
            weight_decay=0.04,
            clip_norm=0.4,
            average_decay=0.999,
        ),
        steps=9375,
        eval_every=1875,
        save_every=1875,
    )
