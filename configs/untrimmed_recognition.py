"""A small 3D network on the motions that begin and end in `synthetic_untrimmed`.

The first of two trainings of docs/localization.md, "The whole chain": what it computes
of a window of eight frames is what a detector learns from, as I3D's features are.

Paper: https://arxiv.org/abs/1412.0767
Recipe: Ours; SGD with Nesterov momentum and a cosine schedule.
Expect: 99.8 % of held-out clips (ours; docs/localization.md).
Run: vidjax train untrimmed_recognition --workdir runs/recognition
"""

from vidjax.config import Config, DataConfig, LogConfig, OptimConfig, SyntheticConfig


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="c3d_tiny",
        data=DataConfig(
            source="synthetic_motion",
            batch_size=32,
            eval_batch_size=64,
            num_frames=8,
            size=32,
            flip_rate=0.0,  # Left and right are classes.
            synthetic=SyntheticConfig(num_train=6144),
        ),
        optim=OptimConfig(
            name="sgd",
            learning_rate=0.12,
            warmup_steps=30,
            nesterov=True,
            weight_decay=5e-4,
        ),
        steps=400,
        eval_every=200,
        save_every=200,
        log=LogConfig(every=20),
    )
