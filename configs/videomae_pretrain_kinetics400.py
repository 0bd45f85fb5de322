"""VideoMAE's masked autoencoder on ViT-B, pre-trained on Kinetics-400 without labels.

Nine tenths of the places of a map are hidden in all frames; their pixels, normalised
block by block, are predicted. The run's folder is what fine-tuning starts from, see
videomae_kinetics400.py.

Paper: https://arxiv.org/abs/2203.12602 (VideoMAE)
Recipe: The paper's pre-training settings (appendix, Table 9, Kinetics-400): AdamW with
    b2 0.95, rate 1.5e-4 for 256 clips, batches of 1,024, weight decay 0.05, 40 of 800
    epochs of warm-up, flips, crops of several scales (those of TSN).
Expect: A falling held-out loss; after fine-tuning 80.0 % top-1 (theirs, 800 epochs,
    16 frames x 5 clips x 3 crops). Not run by us: no such data or machine.
Run: vidjax train videomae_pretrain_kinetics400 --workdir runs/videomae_pretrain
"""

from vidjax.config import AugmentConfig, Config, DataConfig, LogConfig, OptimConfig

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 1024
_EPOCH = _VIDEOS // _BATCH


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="videomae_base_pretrain",
        objective="masked_pixels",
        dtype="bfloat16",
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            augment=AugmentConfig(crop="multi_scale"),
        ),
        optim=OptimConfig(
            name="adamw",
            learning_rate=1.5e-4 * _BATCH / 256,
            warmup_steps=40 * _EPOCH,
            b2=0.95,
            weight_decay=0.05,
            decay="layers",
        ),
        steps=800 * _EPOCH,
        eval_every=20 * _EPOCH,
        save_every=20 * _EPOCH,
        log=LogConfig(every=50),
    )
