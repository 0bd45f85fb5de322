"""R3D and MC3: residual networks of 3D convolutions, in all stages or in the first.

Reference:
    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
    CVPR 2018, https://arxiv.org/abs/1711.11248.

As in torchvision, the stem neither pools nor halves time.
"""

from typing import Any

from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.video_resnet import R3D_18, Layout, VideoResNet
from vidjax.protocols import protocol
from vidjax.typing import ClipSpec, Weights

PAPER = (
    'Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action '
    'Recognition", CVPR 2018, https://arxiv.org/abs/1711.11248'
)

MC3_18 = Layout(
    "basic",
    (2, 2, 2, 2),
    ("3d", "2d", "2d", "2d"),
    ((1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2)),
)
# Ours: no block on the first map, which would cost more than all the rest together, and
# time is halved once.
R3D_TINY = Layout(
    "basic",
    (0, 1, 1),
    ("3d",) * 3,
    ((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    width=16,
    stem_kernel=(3, 3, 3),
)


TORCHVISION = "torchvision, torchvision/models/video/resnet.py"

# The clip and the test protocol are those that torchvision documents for its weights,
# but it resizes to 128 x 171 whatever the aspect ratio of the video.
TORCHVISION_CLIP = ClipSpec(
    num_frames=16,
    size=112,
    fps=15.0,
    crop_fraction=112 / 128,
    mean=(0.43216, 0.394666, 0.37645),
    std=(0.22803, 0.22145, 0.216989),
)
TORCHVISION_VIEWS = protocol("torchvision-5")


def torchvision_weights(file: str, accuracy: str) -> tuple[Weights, ...]:
    """Returns what a card says of torchvision's Kinetics-400 weights.

    Args:
        file: Name of the file, which holds the beginning of its SHA-256.
        accuracy: Published top-1 accuracy in percent, and how it was measured.
    """
    url = f"https://download.pytorch.org/models/{file}"
    prefix = file.removesuffix(".pth").split("-")[1]
    return (
        Weights(
            tag="kinetics400",
            description="torchvision, trained on Kinetics-400",
            num_classes=400,
            labels="kinetics400",
            file=file,
            url=url,
            get=f"Download {url} (its SHA-256 begins {prefix}) and give its path.",
            accuracy=f"{accuracy} Kinetics-400 top-1 (torchvision/models/video)",
            licence="BSD-3-Clause (torchvision)",
        ),
    )


_CARD = {
    "family": "r3d",
    "fusion": "slow",
    "paper": PAPER,
    "reference": TORCHVISION,
}


@register(
    clip=TORCHVISION_CLIP,
    params=33_371_472,
    gmacs=40.697,
    views=TORCHVISION_VIEWS,
    weights=torchvision_weights("r3d_18-b3b3357e.pth", "63.200 (5 clips)"),
    **_CARD,
)
def r3d_18(**kwargs: Any) -> VideoResNet:
    """R3D-18: 3D convolutions in every block."""
    return VideoResNet(**{"layout": R3D_18, **kwargs})


@register(
    clip=TORCHVISION_CLIP,
    params=11_695_440,
    gmacs=43.343,
    views=TORCHVISION_VIEWS,
    weights=torchvision_weights("mc3_18-a90a0ba3.pth", "63.960 (5 clips)"),
    **_CARD,
)
def mc3_18(**kwargs: Any) -> VideoResNet:
    """MC3-18: 3D convolutions in the first stage, 2D after it; time is never halved."""
    return VideoResNet(**{"layout": MC3_18, **kwargs})


@register(clip=TINY_CLIP, params=212_474, gmacs=0.034899, **_CARD)
def r3d_tiny(**kwargs: Any) -> VideoResNet:
    """R3D of two blocks, for tests and short demonstrations."""
    return VideoResNet(**{"num_classes": 10, "layout": R3D_TINY, **kwargs})
