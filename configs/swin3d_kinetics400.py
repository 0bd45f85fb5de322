"""Video Swin-T on Kinetics-400, from an image Swin-T.

Paper: https://arxiv.org/abs/2106.13230 (Video Swin)
Recipe: MMAction2's swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb:
    AdamW, rate 1e-3 for 64 clips and a tenth of it for all but the classifier (the
    paper: 3e-4 and 3e-5), 2.5 of 30 epochs of warm-up, weight decay 0.02, dropout 0.5,
    drop path 0.1, crops of random sizes and shapes. Biases decay there, and do not
    here; the rate rises from a tenth there, here from zero.
Expect: 78.8 % top-1 (the authors', 4 clips x 3 crops), 78.9 (MMAction2's). Not run by
    us: no such data or machine.
Run: vidjax train swin3d_kinetics400 --workdir runs/swin3d --init FILE
    where FILE is swin_tiny_patch4_window7_224.pth of microsoft/Swin-Transformer.
"""

from vidjax.config import AugmentConfig, Config, DataConfig, LogConfig, OptimConfig

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 64
_EPOCH = _VIDEOS // _BATCH


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="swin3d_t",
        model_args={"dropout_rate": 0.5, "drop_path_rate": 0.1},
        init="weights/swin_tiny_patch4_window7_224.pth",
        dtype="bfloat16",
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            augment=AugmentConfig(crop="resized"),
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1e-3,
            warmup_steps=5 * _EPOCH // 2,
            weight_decay=0.02,
            decay="layers",
            backbone_rate=0.1,
        ),
        steps=30 * _EPOCH,
        eval_every=3 * _EPOCH,
        save_every=_EPOCH,
        log=LogConfig(every=50),
    )
