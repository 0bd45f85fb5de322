"""TriDet on the verbs of EPIC-KITCHENS-100, on SlowFast features.

495 training videos (700, less 138 for validation and 67 for the test:
epic-kitchens/epic-kitchens-100-annotations) are 247 batches, so that
27 epochs are 6,669 updates. Features and annotations stand where the config says, or
--features.folder and --features.annotations say where.

Paper: https://arxiv.org/abs/2303.07347
Recipe: dingfengshi/TriDet, configs/epic_slowfast_verb.yaml
Expect: 25.51 average mAP (theirs, README; not measured here).
Run: vidjax train tridet_epic --workdir runs/tridet_epic
"""

from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="tridet_epic",
        model_args={"num_classes": 97},  # Some have no annotation.
        objective="localization",
        data=DataConfig(batch_size=2),
        features=FeaturesConfig(
            folder="data/epic_verb/features",
            annotations="data/epic_verb/annotations.json",
            suffix=".npz",
            fps=30.0,
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=0.0001,
            warmup_steps=1235,
            end_rate=5e-05,
            weight_decay=0.05,
            clip_norm=1.0,
            average_decay=0.999,
        ),
        steps=6669,
        eval_every=1333,
        save_every=1333,
    )
