"""Colours, flow, and both, on classes of which half are told by hue, half by motion.

Averaging the scores of frames knows the first half and guesses among the second; flow
alone knows how shapes move, and not whether that is the class; a two-stream network
knows both. Flow is computed on the devices, from the frames of the clip, or before.

Paper: https://arxiv.org/abs/1406.2199
Recipe: Ours; AdamW and a cosine schedule.
Expect: at most two thirds by colours alone. Ours: docs/two_stream.md, where flow was
    computed before. With --data.source synthetic_motion no frame tells a class.
Run: vidjax train configs/two_stream_synthetic.py --workdir runs/two_stream_synthetic
"""

from vidjax.config import (
    Config,
    Contender,
    DataConfig,
    LogConfig,
    OptimConfig,
    SyntheticConfig,
)


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="frame_average_resnet_tiny",
        compare=(
            Contender("tsn_flow_resnet_tiny"),
            Contender("two_stream_resnet_tiny"),
        ),
        data=DataConfig(
            source="synthetic_two_stream",
            batch_size=64,
            num_frames=1,  # Seven are read: it has six flows.
            size=48,
            flip_rate=0.0,  # Left and right are classes.
            flow_method="farneback",
            synthetic=SyntheticConfig(num_train=6144),
        ),
        optim=OptimConfig(
            name="adamw", learning_rate=0.005, warmup_steps=30, weight_decay=0.05
        ),
        steps=1500,
        eval_every=500,
        save_every=500,
        log=LogConfig(every=20),
    )
