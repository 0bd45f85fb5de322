"""TimeSformer-B with divided attention on Kinetics-400, from an image transformer.

Paper: https://arxiv.org/abs/2102.05095 (TimeSformer)
Recipe: MMAction2's timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb: SGD with
    Nesterov momentum, rate 0.005 for 64 clips, divided by 10 at epochs 5 and 10 of 15,
    gradients clipped at norm 40; attention over time begins with the weights of
    attention over space, as the authors' code does. Biases and norms decay there, and
    do not here; pixels are x / 127.5 - 1 there, and here as the authors'. They start
    from ImageNet-21k, this from torchvision's ViT-B on ImageNet-1k.
Expect: 77.69 % top-1 (MMAction2's, ImageNet-21k, 1 clip x 3 crops); 75.8 % from
    ImageNet-1k (the paper's Table 3). Not run by us: no such data or machine.
Run: vidjax train timesformer_kinetics400 --workdir runs/timesformer --init FILE
    where FILE is torchvision's vit_b_16-c867db91.pth.
"""

from vidjax.config import (
    Config,
    DataConfig,
    InflationConfig,
    LogConfig,
    OptimConfig,
)

_VIDEOS = 240_436  # Training videos of MMAction2's copy; copies differ.
_BATCH = 64
_EPOCH = _VIDEOS // _BATCH


def get_config() -> Config:
    """Returns the experiment."""
    return Config(
        model="timesformer_base",
        model_args={"head_std": 0.02},
        init="weights/vit_b_16-c867db91.pth",
        inflation=InflationConfig(source="vit_b_16"),
        data=DataConfig(
            source="kinetics400:data/kinetics400",
            batch_size=_BATCH,
            short_side=(256, 320),
        ),
        optim=OptimConfig(
            name="sgd",
            learning_rate=0.005,
            schedule="step",
            drops=(5 * _EPOCH, 10 * _EPOCH),
            nesterov=True,
            weight_decay=1e-4,
            decay="layers",
            clip_norm=40.0,
        ),
        steps=15 * _EPOCH,
        eval_every=5 * _EPOCH,
        save_every=_EPOCH,
        log=LogConfig(every=50),
    )
