"""VideoMAE on ViT-B, fine-tuned on Kinetics-400 from its masked autoencoder.

Paper: https://arxiv.org/abs/2203.12602 (VideoMAE)
Recipe: The paper's fine-tuning settings (appendix, Sec. 7, Kinetics-400, ViT-B): AdamW,
    rate 1e-3 for 256 clips, batches of 512 with two clips of a video, 5 of 75 epochs of
    warm-up, weight decay 0.05, layer-wise decay 0.75, RandAugment (two operations of
    magnitude 9, which does not vary here), label smoothing 0.1, mixup 0.8, CutMix 1.0,
    drop path 0.1.
Expect: 80.0 to 81.5 % top-1 (theirs, by the length of pre-training; 16 frames x 5 clips
    x 3 crops). Not run by us: no such data or machine.
Run: vidjax train videomae_kinetics400 --workdir runs/videomae
    after videomae_pretrain_kinetics400, whose folder `init` names; a file of published
    pre-trained weights does as well (--init FILE).
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
        model="videomae_base",
        model_args={"drop_path_rate": 0.1, "head_std": 2e-5},
        init="runs/videomae_pretrain",
        dtype="bfloat16",
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            short_side=(256, 320),
            augment=AugmentConfig(rand_augment=(2, 9.0)),
            repeats=_SAMPLES,
        ),
        mixing=MixingConfig(mixup_alpha=0.8, cutmix_alpha=1.0),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1e-3 * _BATCH / 256,
            warmup_steps=5 * _EPOCH,
            weight_decay=0.05,
            decay="layers",
            layer_decay=0.75,
            label_smoothing=0.1,
        ),
        steps=75 * _EPOCH,
        eval_every=5 * _EPOCH,
        save_every=_EPOCH,
        log=LogConfig(every=50),
    )
