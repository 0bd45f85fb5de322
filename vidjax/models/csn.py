"""Channel-separated networks (CSN): residual networks with depthwise 3D convolutions.

Reference:
    Tran et al., "Video Classification with Channel-Separated Convolutional Networks",
    ICCV 2019, https://arxiv.org/abs/1904.02811.

The 3x3x3 convolution of a bottleneck sees each channel by itself. In an interaction-
reduced block ("ir") nothing replaces the lost mixing of channels; in an interaction-
preserved one ("ip") a 1x1x1 convolution before it does. PyTorchVideo's network is of
the first kind, with batch norm's epsilon at 1e-5 and a classifier that looks at windows
of 4 steps; in VMZ and in MMAction2, which took over weights of VMZ, epsilon is 1e-3.
"""

import dataclasses
from typing import Any

from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.video_resnet import Kind, Layout, VideoResNet
from vidjax.models.zoos import (
    MMACTION_VIEWS,
    THIRTY_VIEWS,
    mmaction2,
    pytorchvideo,
    slowfast_clip,
)
from vidjax.typing import ClipSpec, Weights


def _layout(kind: Kind, blocks: tuple[int, ...]) -> Layout:
    return Layout("bottleneck", blocks, (kind,) * 4, stem_pool=True, epsilon=1e-3)


CSN_RESNET101 = Layout(
    "bottleneck", (3, 4, 23, 3), ("ir",) * 4, stem_pool=True, window=(4, 7, 7)
)
CSN_IR_RESNET50 = _layout("ir", (3, 4, 6, 3))
CSN_IR_RESNET152 = _layout("ir", (3, 8, 36, 3))
CSN_IP_RESNET152 = _layout("ip", (3, 8, 36, 3))
# Ours: a block of either kind, and time is halved once.
CSN_TINY = Layout(
    "bottleneck",
    (0, 1, 1),
    ("ir", "ip", "ir"),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    width=16,
    stem_kernel=(3, 3, 3),
)

_CARD = {
    "family": "csn",
    "fusion": "slow",
    "paper": (
        'Tran et al., "Video Classification with Channel-Separated Convolutional '
        'Networks", ICCV 2019, https://arxiv.org/abs/1904.02811'
    ),
    "views": MMACTION_VIEWS,
}
_REFERENCE = "MMAction2, mmaction/models/backbones/resnet3d_csn.py"
# Weights that are not from IG-65M want torchvision's mean and deviation instead, and
# are not listed: configs/recognition/csn of MMAction2.
_CLIP = ClipSpec(num_frames=32, frame_stride=2)


def _ig65m(weights: Weights, tag: str = "kinetics400_ig65m") -> Weights:
    description = "MMAction2, trained on IG-65M and Kinetics-400"
    return dataclasses.replace(weights, tag=tag, description=description)


def _mmaction2(depth: str, stamp: str, top1: str) -> Weights:
    config = f"ircsn_ig65m-pretrained-{depth}_8xb12-32x2x1-58e"
    return mmaction2("csn", config, f"20220811-{stamp}", top1)


_IP_STEM = "ipcsn_ig65m_pretrained_r152_32x2x1_58e"
_IP_FILE = f"vmz_{_IP_STEM}_kinetics400_rgb_20210617-c3be9793.pth"
_IP_URL = f"https://download.openmmlab.com/mmaction/recognition/csn/vmz/{_IP_FILE}"
_IP = dataclasses.replace(
    mmaction2("csn", _IP_STEM, "20210617-c3be9793", "82.68"),
    file=_IP_FILE,
    url=_IP_URL,
    get=f"Download {_IP_URL} and give its path.",
)


@register(
    clip=slowfast_clip(32, 2),
    params=22_213_776,
    gmacs=56.468,
    reference="PyTorchVideo, pytorchvideo/models/csn.py",
    weights=(pytorchvideo("CSN_32x2_R101.pyth", "77.00"),),
    **{**_CARD, "views": THIRTY_VIEWS},
)
def csn_resnet101(**kwargs: Any) -> VideoResNet:
    """Interaction-reduced CSN on ResNet-101, as PyTorchVideo has it."""
    return VideoResNet(**{"layout": CSN_RESNET101, **kwargs})


@register(
    clip=_CLIP,
    params=13_131_152,
    gmacs=42.309,
    reference=_REFERENCE,
    weights=(_ig65m(_mmaction2("r50-bnfrozen", "44395bae", "79.44")),),
    **_CARD,
)
def csn_ir_resnet50(**kwargs: Any) -> VideoResNet:
    """Interaction-reduced CSN on ResNet-50."""
    return VideoResNet(**{"layout": CSN_IR_RESNET50, **kwargs})


@register(
    clip=_CLIP,
    params=29_703_568,
    gmacs=74.046,
    reference=_REFERENCE,
    weights=(
        _ig65m(_mmaction2("r152", "c7a3cc5b", "82.87")),
        _ig65m(
            _mmaction2("r152-bnfrozen", "7d1dacde", "82.84"),
            tag="kinetics400_ig65m_frozen",
        ),
    ),
    **_CARD,
)
def csn_ir_resnet152(**kwargs: Any) -> VideoResNet:
    """Interaction-reduced CSN on ResNet-152."""
    return VideoResNet(**{"layout": CSN_IR_RESNET152, **kwargs})


@register(
    clip=_CLIP,
    params=33_016_592,
    gmacs=83.295,
    reference=_REFERENCE,
    weights=(_ig65m(_IP),),
    **_CARD,
)
def csn_ip_resnet152(**kwargs: Any) -> VideoResNet:
    """Interaction-preserved CSN on ResNet-152."""
    return VideoResNet(**{"layout": CSN_IP_RESNET152, **kwargs})


@register(clip=TINY_CLIP, params=73_498, gmacs=0.016841, reference=_REFERENCE, **_CARD)
def csn_tiny(**kwargs: Any) -> VideoResNet:
    """CSN of one block of each kind, for tests and short demonstrations."""
    return VideoResNet(**{"num_classes": 10, "layout": CSN_TINY, **kwargs})
