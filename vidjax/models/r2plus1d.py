"""R(2+1)D: residual networks whose 3D convolutions are factorised.

Reference:
    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
    CVPR 2018, https://arxiv.org/abs/1711.11248.

Every convolution over 3x3x3 becomes one over space and one over time. The published
networks differ in more than depth:

* torchvision counts the channels between the two once in a block, from its input, and
  gives the stem 45 of them;
* VMZ, whose weights are pretrained on IG-65M, counts them in every convolution; its
  epsilon of batch norm is 1e-3;
* MMAction2 counts them in every convolution, factorises shortcuts as well, and pools
  after the stem. Its configuration sets batch norm's epsilon to 1e-3, which does not
  reach the norms inside factorised convolutions: they keep 1e-5;
* PyTorchVideo convolves over time first, keeps the number of channels, and convolves
  the first map over space only.
"""

import dataclasses
from typing import Any

from vidjax.models.r3d import (
    PAPER,
    TORCHVISION,
    TORCHVISION_CLIP,
    TORCHVISION_VIEWS,
    torchvision_weights,
)
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.video_resnet import Layout, VideoResNet
from vidjax.models.zoos import (
    MMACTION_VIEWS,
    THIRTY_VIEWS,
    mmaction2,
    pytorchvideo,
    slowfast_clip,
)
from vidjax.protocols import protocol
from vidjax.typing import ClipSpec, Weights

R2PLUS1D_18 = Layout("basic", (2, 2, 2, 2), ("2+1d",) * 4, stem_middle=45)
R2PLUS1D_34 = Layout(
    "basic",
    (3, 4, 6, 3),
    ("2+1d",) * 4,
    middle="conv",
    stem_middle=83,  # By the same rule, for 7x7 over space.
    stem_pool=True,
    factorised_shortcut=True,
    epsilon=1e-3,
)
R2PLUS1D_34_VMZ = Layout(
    "basic",
    (3, 4, 6, 3),
    ("2+1d",) * 4,
    middle="conv",
    stem_middle=45,
    epsilon=1e-3,
    middle_epsilon=1e-3,
)
R2PLUS1D_RESNET50 = Layout(
    "bottleneck",
    (3, 4, 6, 3),
    ("1+2d",) * 4,
    strides=((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)),
    middle="same",
    stem_kernel=(1, 7, 7),
    window=(4, 7, 7),
)
# Ours, as `r3d.R3D_TINY`.
R2PLUS1D_TINY = Layout(
    "basic",
    (0, 1, 1),
    ("2+1d",) * 3,
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    width=16,
    stem_kernel=(3, 3, 3),
    stem_middle=16,
)

_CARD = {"family": "r2plus1d", "fusion": "slow", "paper": PAPER}
_MMACTION2 = "MMAction2, mmaction/models/backbones/resnet2plus1d.py"
_IG65M = "r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth"
_IG65M_URL = (
    f"https://github.com/moabitcoin/ig65m-pytorch/releases/download/v1.0.0/{_IG65M}"
)


@register(
    clip=TORCHVISION_CLIP,
    params=31_505_325,
    gmacs=40.519,
    views=TORCHVISION_VIEWS,
    reference=TORCHVISION,
    weights=torchvision_weights("r2plus1d_18-91a641e6.pth", "67.463 (5 clips)"),
    **_CARD,
)
def r2plus1d_18(**kwargs: Any) -> VideoResNet:
    """R(2+1)D-18."""
    return VideoResNet(**{"layout": R2PLUS1D_18, **kwargs})


@register(
    clip=ClipSpec(num_frames=8, frame_stride=8),
    params=63_759_281,
    gmacs=40.561,
    views=MMACTION_VIEWS,
    reference=_MMACTION2,
    weights=(
        mmaction2(
            "r2plus1d", "r2plus1d_r34_8xb8-8x8x1-180e", "20220812-47cfe041", "69.76"
        ),
    ),
    **_CARD,
)
def r2plus1d_34(**kwargs: Any) -> VideoResNet:
    """R(2+1)D-34 as MMAction2 has it, on 8 frames."""
    return VideoResNet(**{"layout": R2PLUS1D_34, **kwargs})


@register(
    clip=ClipSpec(num_frames=32, frame_stride=2),
    params=63_759_281,
    gmacs=162.24,
    views=MMACTION_VIEWS,
    reference=_MMACTION2,
    weights=(
        mmaction2(
            "r2plus1d", "r2plus1d_r34_8xb8-32x2x1-180e", "20220812-4270588c", "75.46"
        ),
    ),
    **_CARD,
)
def r2plus1d_34_32x2(**kwargs: Any) -> VideoResNet:
    """R(2+1)D-34 as MMAction2 has it, on 32 frames."""
    return VideoResNet(**{"layout": R2PLUS1D_34, **kwargs})


@register(
    clip=dataclasses.replace(TORCHVISION_CLIP, num_frames=32),  # pt/vmz/func/test.py.
    params=63_697_175,
    gmacs=152.36,
    views=protocol("vmz-10"),
    reference="facebookresearch/VMZ, pt/vmz/models/r2plus1d.py",
    weights=(
        Weights(
            tag="kinetics400_ig65m",
            description="VMZ, trained on IG-65M and Kinetics-400, as moabitcoin has it",
            num_classes=400,
            file=_IG65M,
            url=_IG65M_URL,
            get=f"Download {_IG65M_URL} and give its path.",
            accuracy="80.0 Kinetics-400 top-1 (VMZ, c2/tutorials/model_zoo.md)",
            licence="Apache-2.0 (VMZ)",
        ),
    ),
    **_CARD,
)
def r2plus1d_34_vmz(**kwargs: Any) -> VideoResNet:
    """R(2+1)D-34 of VMZ, whose weights are pretrained on IG-65M."""
    return VideoResNet(**{"layout": R2PLUS1D_34_VMZ, **kwargs})


@register(
    clip=slowfast_clip(16, 4),
    params=28_107_600,
    gmacs=57.534,
    views=THIRTY_VIEWS,
    reference="PyTorchVideo, pytorchvideo/models/r2plus1d.py",
    weights=(pytorchvideo("R2PLUS1D_16x4_R50.pyth", "76.01"),),
    **_CARD,
)
def r2plus1d_resnet50(**kwargs: Any) -> VideoResNet:
    """R(2+1)D on bottlenecks, ResNet-50, time before space."""
    return VideoResNet(**{"layout": R2PLUS1D_RESNET50, **kwargs})


@register(
    clip=TINY_CLIP, params=184_826, gmacs=0.032367, reference=TORCHVISION, **_CARD
)
def r2plus1d_tiny(**kwargs: Any) -> VideoResNet:
    """R(2+1)D of two blocks, for tests and short demonstrations."""
    return VideoResNet(**{"num_classes": 10, "layout": R2PLUS1D_TINY, **kwargs})
