"""VideoMAE on ViT-B, fine-tuned on Kinetics-400 from its masked autoencoder.

Paper: https://arxiv.org/abs/2203.12602 (VideoMAE)
Recipe: The paper's fine-tuning settings (appendix, Kinetics-400, ViT-B): AdamW, rate
    1e-3 for 256 clips, layer-wise decay 0.75, mixup and CutMix, drop path 0.1; not
    compared with the paper again when this was written. Left out: RandAugment, random
    erasing, and two samples of a video in a batch (an epoch here is two of them).
Expect: 80.0 to 81.5 % top-1 (theirs, by the length of pre-training; 16 frames x 5 clips
    x 3 crops). Not run by us: no such data or machine.
Run: vidjax train videomae_kinetics400 --workdir runs/videomae
    after videomae_pretrain_kinetics400, whose folder `init` names; a file of published
    pre-trained weights does as well (--init FILE).
"""

from vidjax.config import Config, DataConfig, LogConfig, MixingConfig, OptimConfig

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 512
_EPOCH = 2 * _VIDEOS // _BATCH  # Every video twice.


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
