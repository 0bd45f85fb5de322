"""SlowFast as MMAction2 has it.

Reference:
    Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019,
    https://arxiv.org/abs/1812.03982, Sec. 3 and Table 1.

MMAction2 (mmaction/models/backbones/resnet3d_slowfast.py, configs/recognition/slowfast)
picks other frames for the slow pathway, has no batch norm after the lateral
convolutions, puts the fast pathway first before the classifier, and averages maps of
any size as a whole.
"""

import dataclasses
from typing import Any

from vidjax.models import slowfast, zoos
from vidjax.models.registry import register
from vidjax.models.resnet3d import RESNET101
from vidjax.models.slowfast import SlowFast, SlowFastLayout
from vidjax.typing import ClipSpec


def _different(layout: SlowFastLayout) -> SlowFastLayout:
    return dataclasses.replace(layout, fusion_norm=False, picks="strided", first="fast")


SLOWFAST_4X16 = _different(slowfast.SLOWFAST_4X16)
SLOWFAST_8X8 = _different(slowfast.SLOWFAST_8X8)
# Its kernel is that of the 8x8 network on ResNet-50, unlike PySlowFast's.
SLOWFAST_8X8_R101 = dataclasses.replace(
    SLOWFAST_8X8,
    slow=dataclasses.replace(slowfast.SLOW, blocks=RESNET101),
    fast=dataclasses.replace(slowfast.FAST, blocks=RESNET101),
)
SLOWFAST_4X16_R101_R50 = dataclasses.replace(
    SLOWFAST_4X16, slow=dataclasses.replace(slowfast.SLOW, blocks=RESNET101)
)

_CARD = {
    "clip": ClipSpec(num_frames=32, frame_stride=2),
    "family": "slowfast",
    "fusion": "slow",
    "paper": slowfast.PAPER,
    "reference": "MMAction2, mmaction/models/backbones/resnet3d_slowfast.py",
    "views": zoos.MMACTION_VIEWS,
}


def _weights(config: str, stamp: str, top1: str) -> dict[str, Any]:
    return {"weights": (zoos.mmaction2("slowfast", config, stamp, top1),)}


def _build(layout: SlowFastLayout, arguments: dict[str, Any]) -> SlowFast:
    return SlowFast(**{"layout": layout, "pool_size": None, **arguments})


@register(
    params=34_479_288,
    gmacs=27.639,
    **_weights("slowfast_r50_8xb8-4x16x1-256e", "20220901-701b0f6f", "75.55"),
    **_CARD,
)
def slowfast_4x16_resnet50_mmaction2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50 as MMAction2 has it; 4 slow and 32 fast frames."""
    return _build(SLOWFAST_4X16, kwargs)


@register(
    params=34_565_560,
    gmacs=50.309,
    **_weights("slowfast_r50_8xb8-8x8x1-256e", "20220818-1cb6dfc8", "76.80"),
    **_CARD,
)
def slowfast_8x8_resnet50_mmaction2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50 as MMAction2 has it; 8 slow and 32 fast frames."""
    return _build(SLOWFAST_8X8, kwargs)


@register(
    params=62_912_312,
    gmacs=96.711,
    **_weights("slowfast_r101_8xb8-8x8x1-256e", "20220818-9c0e09bd", "78.65"),
    **_CARD,
)
def slowfast_8x8_resnet101_mmaction2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-101 as MMAction2 has it; 8 slow and 32 fast frames."""
    return _build(SLOWFAST_8X8_R101, kwargs)


@register(
    params=62_384_312,
    gmacs=49.475,
    **_weights("slowfast_r101-r50_32xb8-4x16x1-256e", "20220901-a77ac3ee", "77.03"),
    **_CARD,
)
def slowfast_4x16_resnet101_resnet50_mmaction2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-101 and, fast, ResNet-50; 4 slow and 32 fast frames."""
    return _build(SLOWFAST_4X16_R101_R50, kwargs)
