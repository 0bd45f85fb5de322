"""BMN on ActivityNet-1.3's two-stream TSN features, resized to 100 steps, as proposals.

A classifier's scores of whole videos name them: `vidjax evaluate --video-scores`.

10,024 training videos are 626 batches, so that 9 epochs are 5,634 updates; the rate
falls after 7. Features and annotations stand where the config says, or
--features.folder and --features.annotations say where.

Paper: https://arxiv.org/abs/1907.09702
Recipe: open-mmlab/mmaction2, configs/localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py
Expect: 67.25 AUC of proposals (theirs, model zoo of mmaction2; not measured here).
Run: vidjax train bmn_activitynet --workdir runs/bmn_activitynet
"""  # noqa: E501

from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="bmn_activitynet",
        objective="localization",
        data=DataConfig(batch_size=16),
        features=FeaturesConfig(
            folder="data/activitynet/csv_mean_100",
            annotations="data/activitynet/annotations.json",
            prefix="v_",
            suffix=".csv",
            class_agnostic=True,
            crop=(1.0, 1.0),  # Whole videos.
        ),
        optim=OptimConfig(
            name="adam",
            learning_rate=0.001,
            schedule="step",
            drops=(4382,),
            weight_decay=0.0001,
            decay="all",
            clip_norm=40.0,
        ),
        steps=5634,
        eval_every=626,
        save_every=626,
    )
