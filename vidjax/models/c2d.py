"""C2D: a 2D ResNet on every frame, which sees time only where it pools.

Reference:
    Wang et al., "Non-local Neural Networks", CVPR 2018,
    https://arxiv.org/abs/1711.07971, Table 1.

Kernels have an axis in time, of extent 1, so that weights of 3D code bases fit.
"""

import dataclasses
from typing import Any

from vidjax.models import zoos
from vidjax.models.registry import register
from vidjax.models.resnet3d import RESNET101, Layout, ResNet3D
from vidjax.typing import ClipSpec

C2D = Layout(((1,), (1,), (1,), (1,)), stem_kernel=(1, 7, 7), pool_frames=True)
C2D_NOPOOL = dataclasses.replace(C2D, pool_frames=False)
C2D_NOPOOL_R101 = dataclasses.replace(C2D_NOPOOL, blocks=RESNET101)
# MMAction2's max-pool after the stem does not look over the border of the map:
# mmaction/models/backbones/c2d.py.
C2D_MMACTION2 = dataclasses.replace(C2D, stem_pool_border=0)

_CARD = {
    "paper": (
        'Wang et al., "Non-local Neural Networks", CVPR 2018, '
        "https://arxiv.org/abs/1711.07971"
    ),
    "views": zoos.THIRTY_VIEWS,
}
# Their weights have the same shapes: as two families, one does not pass for the other.
_POOLED = {"family": "c2d", "fusion": "slow"}
_UNPOOLED = {"family": "c2d_nopool", "fusion": "late"}
_SLOWFAST = {
    "clip": zoos.slowfast_clip(8, 8),
    "reference": "facebookresearch/SlowFast, slowfast/models/video_model_builder.py",
    **_CARD,
}
_MMACTION2 = {
    "clip": ClipSpec(num_frames=8, frame_stride=8, crop_fraction=1.0),
    "reference": "MMAction2, mmaction/models/backbones/c2d.py",
    **{**_CARD, "views": zoos.MMACTION_VIEWS},
}


def _weights(config: str, stamp: str, top1: str) -> dict[str, Any]:
    return {"weights": (zoos.mmaction2("c2d", config, stamp, top1),)}


@register(
    **_SLOWFAST,
    **_POOLED,
    params=24_327_632,
    gmacs=19.493,
    weights=(zoos.pytorchvideo("C2D_8x8_R50.pyth", "71.46"),),
)
def c2d_resnet50(**kwargs: Any) -> ResNet3D:
    """C2D on ResNet-50 that halves time once; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": C2D, **kwargs})


@register(
    **_SLOWFAST,
    **_UNPOOLED,
    params=24_327_632,
    gmacs=32.698,
    weights=(zoos.pyslowfast("C2D_NOPOOL_8x8_R50.pkl", "67.2"),),
)
def c2d_nopool_resnet50(**kwargs: Any) -> ResNet3D:
    """C2D on ResNet-50 that does not pool time; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": C2D_NOPOOL, **kwargs})


@register(
    **_MMACTION2,
    **_POOLED,
    params=24_327_632,
    gmacs=19.29,
    **_weights("c2d_r50-in1k-pre_8xb32-8x8x1-100e", "20221027-3ca304fa", "73.89"),
)
def c2d_resnet50_mmaction2(**kwargs: Any) -> ResNet3D:
    """C2D on ResNet-50 as MMAction2 has it; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": C2D_MMACTION2, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    **_UNPOOLED,
    params=24_327_632,
    gmacs=32.698,
    **_weights(
        "c2d_r50-in1k-pre-nopool_8xb32-8x8x1-100e", "20221027-e0227b22", "73.44"
    ),
)
def c2d_nopool_resnet50_mmaction2(**kwargs: Any) -> ResNet3D:
    """C2D on ResNet-50 that does not pool time, as MMAction2 has it."""
    return ResNet3D(**{"layout": C2D_NOPOOL, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    **_UNPOOLED,
    params=43_319_760,
    gmacs=62.396,
    **_weights(
        "c2d_r101-in1k-pre-nopool_8xb32-8x8x1-100e", "20221027-557bd8bc", "74.97"
    ),
)
def c2d_nopool_resnet101_mmaction2(**kwargs: Any) -> ResNet3D:
    """C2D on ResNet-101 that does not pool time, as MMAction2 has it."""
    return ResNet3D(**{"layout": C2D_NOPOOL_R101, "pool_size": None, **kwargs})
