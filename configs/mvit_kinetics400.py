"""MViTv2-S on 16 frames of Kinetics-400, from random weights.

Paper: https://arxiv.org/abs/2112.01526 (MViTv2), https://arxiv.org/abs/2104.11227
Recipe: facebookresearch/SlowFast, configs/Kinetics/MVITv2_S_16x4.yaml: AdamW, rate 1e-4
    (1e-6 at the end) for two clips of each of 16 videos, 30 of 200 epochs of warm-up,
    weight decay 0.05, gradients clipped at norm 1, crops of random sizes and shapes,
    RandAugment (four operations of magnitude 7, which does not vary here), random
    erasing 0.25, mixup and CutMix, label smoothing 0.1, dropout 0.5, drop path 0.2.
    Left out: colour jitter.
Expect: 81.0 % top-1 (theirs, 5 clips x 1 crop). Not run by us: no such data or machine.
Run: vidjax train mvit_kinetics400 --workdir runs/mvit
"""

from vidjax.config import (
    AugmentConfig,
    Config,
    DataConfig,
    LogConfig,
    MixingConfig,
    OptimConfig,
)

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 512
_SAMPLES = 2  # Clips of a video in a batch.
_EPOCH = _SAMPLES * _VIDEOS // _BATCH


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="mvit_v2_s",
        model_args={"dropout_rate": 0.5, "drop_path_rate": 0.2, "head_std": 0.02},
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            augment=AugmentConfig(
                crop="resized", rand_augment=(4, 7.0), erase_rate=0.25
            ),
            repeats=_SAMPLES,
        ),
        mixing=MixingConfig(mixup_alpha=0.8, cutmix_alpha=1.0),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1e-4 * _BATCH / 32,
            end_rate=1e-6 * _BATCH / 32,
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
