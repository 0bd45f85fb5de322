"""Slow: the slow pathway of SlowFast alone.

Reference:
    Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019,
    https://arxiv.org/abs/1812.03982, Table 1.

It looks along time only in its last two stages, and does not pool time.
"""

import dataclasses
from typing import Any

from vidjax.models import zoos
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.resnet3d import RESNET101, Layout, NonLocalKind, ResNet3D
from vidjax.typing import ClipSpec

SLOW = Layout(((1,), (1,), (3,), (3,)), stem_kernel=(1, 7, 7))
SLOW_R101 = dataclasses.replace(SLOW, blocks=RESNET101)
# configs/recognition/slowonly of MMAction2; mmcv's non-local block.
SLOW_NONLOCAL = dataclasses.replace(
    SLOW,
    non_local=((), (0, 2), (0, 2, 4), ()),
    non_local_kind=NonLocalKind(pool="after", out_bias=False),
)
# Ours: no block on the first map, as in `vidjax.models.resnet.RESNET_TINY`.
SLOW_TINY = Layout(
    ((1,), (1,), (3,)), (1, 3, 3), blocks=(0, 1, 1), width=16, stem_pool=False
)

_PAPER = {
    "family": "slow",
    "fusion": "slow",
    "paper": (
        'Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, '
        "https://arxiv.org/abs/1812.03982"
    ),
    "views": zoos.THIRTY_VIEWS,
}
_CARD = {
    "reference": "facebookresearch/SlowFast, slowfast/models/video_model_builder.py",
    **_PAPER,
}
_MMACTION2 = {
    "reference": "MMAction2, mmaction/models/backbones/resnet3d_slowonly.py",
    **{**_PAPER, "views": zoos.MMACTION_VIEWS},
}


def _weights(config: str, stamp: str, top1: str) -> dict[str, Any]:
    return {"weights": (zoos.mmaction2("slowonly", config, stamp, top1),)}


@register(
    clip=zoos.slowfast_clip(4, 16),
    params=32_454_096,
    gmacs=20.871,
    weights=(
        zoos.pytorchvideo("SLOW_4x16_R50.pyth", "72.40"),
        zoos.pyslowfast("SLOWONLY_4x16_R50.pkl", "72.7"),
    ),
    **_CARD,
)
def slow_4x16_resnet50(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50; 4 frames, 16 apart."""
    return ResNet3D(**{"layout": SLOW, **kwargs})


@register(
    clip=zoos.slowfast_clip(8, 8),
    params=32_454_096,
    gmacs=41.741,
    weights=(
        zoos.pytorchvideo("SLOW_8x8_R50.pyth", "74.58"),
        zoos.pyslowfast("SLOWONLY_8x8_R50.pkl", "74.8"),
    ),
    **_CARD,
)
def slow_8x8_resnet50(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": SLOW, **kwargs})


@register(
    clip=zoos.ssv2_clip(8),
    params=31_991_022,
    gmacs=41.741,
    weights=(zoos.pytorchvideo_ssv2("SLOW_8x8_R50.pyth", "60.04"),),
    **{**_CARD, "views": zoos.SSV2_VIEWS},
)
def slow_8x8_resnet50_ssv2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50 for Something-Something v2; 8 frames."""
    return ResNet3D(**{"num_classes": 174, "layout": SLOW, **kwargs})


@register(
    clip=ClipSpec(num_frames=4, frame_stride=16),
    params=32_454_096,
    gmacs=20.871,
    **_weights(
        "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e",
        "20220901-e7b65fad",
        "75.12",
    ),
    **_MMACTION2,
)
def slow_4x16_resnet50_mmaction2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50 as MMAction2 has it; 4 frames, 16 apart."""
    return ResNet3D(**{"layout": SLOW, "pool_size": None, **kwargs})


@register(
    clip=ClipSpec(num_frames=8, frame_stride=8),
    params=32_454_096,
    gmacs=41.741,
    **_weights(
        "slowonly_imagenet-pretrained-r50_8xb16-8x8x1-steplr-150e",
        "20220901-df42dc84",
        "76.45",
    ),
    **_MMACTION2,
)
def slow_8x8_resnet50_mmaction2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50 as MMAction2 has it; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": SLOW, "pool_size": None, **kwargs})


@register(
    clip=ClipSpec(num_frames=8, frame_stride=8),
    params=60_359_120,
    gmacs=85.414,
    **_weights(
        "slowonly_r101_8xb16-8x8x1-196e",
        "20220901-e6281431",
        "76.59",
    ),
    **_MMACTION2,
)
def slow_8x8_resnet101_mmaction2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-101 as MMAction2 has it; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": SLOW_R101, "pool_size": None, **kwargs})


@register(
    clip=ClipSpec(num_frames=4, frame_stride=16),
    params=39_808_464,
    gmacs=32.081,
    **_weights(
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e",
        "20220901-cf739c75",
        "75.07",
    ),
    **_MMACTION2,
)
def slow_4x16_resnet50_nonlocal_mmaction2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50 with five non-local blocks; 4 frames, 16 apart."""
    return ResNet3D(**{"layout": SLOW_NONLOCAL, "pool_size": None, **kwargs})


@register(
    clip=ClipSpec(num_frames=8, frame_stride=8),
    params=39_808_464,
    gmacs=70.141,
    **_weights(
        "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-8x8x1-steplr-150e",
        "20220901-df42dc84",
        "76.65",
    ),
    **_MMACTION2,
)
def slow_8x8_resnet50_nonlocal_mmaction2(**kwargs: Any) -> ResNet3D:
    """Slow on ResNet-50 with five non-local blocks; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": SLOW_NONLOCAL, "pool_size": None, **kwargs})


@register(clip=TINY_CLIP, params=131_418, gmacs=0.033393, **_CARD)
def slow_tiny(**kwargs: Any) -> ResNet3D:
    """Slow of two blocks, for tests and short demonstrations."""
    return ResNet3D(**{"num_classes": 10, "layout": SLOW_TINY, **kwargs})
