"""MViTv2-S on 16 frames of Kinetics-400, from random weights.

Paper: https://arxiv.org/abs/2112.01526 (MViTv2), https://arxiv.org/abs/2104.11227
Recipe: facebookresearch/SlowFast, configs/Kinetics/MVITv2_S_16x4.yaml: AdamW, rate 1e-4
    for 32 clips, 30 of 200 epochs of warm-up, weight decay 0.05, gradients clipped at
    norm 1, mixup and CutMix, label smoothing 0.1, dropout 0.5, drop path 0.2. The rate
    there ends at 1e-6, here at zero. Left out: RandAugment, colour jitter, random
    erasing, crops of random sizes, and two samples of a video in a batch (an epoch here
    is two of them).
Expect: 81.0 % top-1 (theirs, 5 clips x 1 crop). Not run by us: no such data or machine.
Run: vidjax train mvit_kinetics400 --workdir runs/mvit
"""

from vidjax.config import Config, DataConfig, LogConfig, MixingConfig, OptimConfig

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 512
_EPOCH = 2 * _VIDEOS // _BATCH  # Every video twice.


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="mvit_v2_s",
        model_args={"dropout_rate": 0.5, "drop_path_rate": 0.2, "head_std": 0.02},
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            short_side=(256, 320),
        ),
        mixing=MixingConfig(mixup_alpha=0.8, cutmix_alpha=1.0),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1e-4 * _BATCH / 32,
            warmup_steps=30 * _EPOCH,
            weight_decay=0.05,
            clip_norm=1.0,
            label_smoothing=0.1,
        ),
        steps=200 * _EPOCH,
        eval_every=10 * _EPOCH,
        save_every=_EPOCH,
        log=LogConfig(every=50),
    )
