"""Temporal Shift Module (TSM).

Reference:
    Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding",
    ICCV 2019, https://arxiv.org/abs/1811.08383.

As in mit-han-lab/temporal-shift-module: the shift is inside the residual branch, before
the first convolution of every block (of every second block in ResNet-101; of blocks
with a shortcut and an expansion in MobileNetV2), and the scores of the frames are
averaged before softmax. `tsm_online` has the network that sees no frame of the future.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array

from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models import mobilenet_v2, resnet
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.ops.shift import temporal_shift
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

# mit-han-lab/temporal-shift-module, ops/non_local.py, make_non_local.
RESNET50_NONLOCAL = dataclasses.replace(
    resnet.RESNET50,
    non_local=("layer2_0", "layer2_2", "layer3_0", "layer3_2", "layer3_4"),
)


class TSM(nn.Module):
    """An image network on each frame whose blocks exchange channels with frames beside.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth and widths of the ResNet or MobileNetV2.
        shift_fraction: Share of a block's channels taken from the next frame, and as
            many from the previous one, in [0, 0.5].
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: resnet.Layout | mobilenet_v2.Layout = resnet.RESNET50
    shift_fraction: float = 0.125
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T; C is 3 for RGB, 10 for five stacked flows.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and every frame's maps by the trunk's stage names
            [B, T, H', W', D], with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, T, num_classes].

        Raises:
            ValueError: If the clip does not have five axes, or `shift_fraction` is
                outside [0, 0.5].
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        common: dict[str, Any] = {
            "drop_path_rate": self.drop_path_rate,
            "dtype": self.dtype,
            "remat": self.remat,
            "name": "backbone",
        }
        if isinstance(self.layout, resnet.Layout):
            trunk = resnet.ResNetTrunk(self.layout, self.shift_fraction, **common)
            features, endpoints = trunk(clip, train=train)
        else:
            trunk = mobilenet_v2.MobileNetV2Trunk(self.layout, **common)
            features, endpoints = trunk(clip, self._shift, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}

    @nn.nowrap
    def _shift(self, x: Array, _: str) -> Array:
        return temporal_shift(x, fraction=self.shift_fraction)


_CARD = {
    "family": "tsm",
    "fusion": "shift",
    "paper": (
        'Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", '
        "ICCV 2019, https://arxiv.org/abs/1811.08383"
    ),
    "reference": "mit-han-lab/temporal-shift-module, ops/models.py",
    "views": protocol("tsm-1x1"),
}
_DENSE = protocol("tsm-dense10")
_MOBILE_CARD = {**_CARD, "family": "tsm_mobilenet_v2", "views": _DENSE}
_CLIP = ClipSpec(num_frames=8, sampling="segments")
_KINETICS, _SOMETHING = "Kinetics-400", "Something-Something"


def _weights(
    tag: str, file: str, data: str, accuracy: str, classes: int = 400
) -> Weights:
    """A row of the tables in the authors' README."""
    url = f"https://hanlab18.mit.edu/projects/tsm/models/TSM_{file}.pth"
    return Weights(
        tag=tag,
        description=f"The authors', trained on {data}",
        num_classes=classes,
        labels="kinetics400" if data.startswith(_KINETICS) else None,
        file=f"TSM_{file}.pth",
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=(
            f"{accuracy} {data} top-1 (README.md of mit-han-lab/temporal-shift-module)"
        ),
        licence="MIT",
    )


_RESNET50 = "resnet50_shift8_blockres_avg_segment8"


@register(
    clip=_CLIP,
    params=24_327_632,
    gmacs=32.704,
    weights=(
        _weights(
            "kinetics400", f"kinetics_RGB_{_RESNET50}_e50", _KINETICS, "71.2 (1 clip)"
        ),
        _weights(
            "kinetics400_dense",
            f"kinetics_RGB_{_RESNET50}_e100_dense",
            _KINETICS,
            "74.1 (10 dense clips)",
        ),
        _weights(
            "kinetics400_flow",
            f"kinetics_Flow_{_RESNET50}_e50",
            f"{_KINETICS} (flow, 10 channels)",
            "55.7 (1 clip)",
        ),
        _weights(
            "ssv1", f"something_RGB_{_RESNET50}_e45", f"{_SOMETHING} v1", "45.6", 174
        ),
        _weights(
            "ssv2", f"somethingv2_RGB_{_RESNET50}_e45", f"{_SOMETHING} v2", "61.2", 174
        ),
    ),
    **_CARD,
)
def tsm_resnet50(**kwargs: Any) -> TSM:
    """TSM on ResNet-50, 8 segments."""
    return TSM(**{"layout": resnet.RESNET50, **kwargs})


@register(
    clip=_CLIP,
    params=31_686_096,
    gmacs=61.104,
    weights=(
        _weights(
            "kinetics400_dense",
            f"kinetics_RGB_{_RESNET50}_e100_dense_nl",
            _KINETICS,
            "75.6 (10 dense clips)",
        ),
    ),
    **{**_CARD, "views": _DENSE},
)
def tsm_resnet50_nonlocal(**kwargs: Any) -> TSM:
    """TSM on ResNet-50 with five non-local blocks, 8 segments."""
    return TSM(**{"layout": RESNET50_NONLOCAL, **kwargs})


@register(
    clip=_CLIP,
    params=43_319_760,
    gmacs=62.401,
    weights=tuple(
        _weights(
            tag,
            f"{name}_RGB_resnet101_shift8_blockres_avg_segment8_e45",
            f"{_SOMETHING} {tag[-2:]}",
            accuracy,
            174,
        )
        for tag, name, accuracy in (
            ("ssv1", "something", "46.9"),
            ("ssv2", "somethingv2", "63.3"),
        )
    ),
    **_CARD,
)
def tsm_resnet101(**kwargs: Any) -> TSM:
    """TSM on ResNet-101, 8 segments, which shifts in every second block."""
    return TSM(**{"layout": resnet.RESNET101, **kwargs})


@register(
    clip=_CLIP,
    params=2_736_272,
    gmacs=2.4001,
    weights=(
        _weights(
            "kinetics400_dense",
            "kinetics_RGB_mobilenetv2_shift8_blockres_avg_segment8_e100_dense",
            _KINETICS,
            "69.5 (10 dense clips)",
        ),
    ),
    **_MOBILE_CARD,
)
def tsm_mobilenet_v2(**kwargs: Any) -> TSM:
    """TSM on MobileNetV2, 8 segments."""
    return TSM(**{"layout": mobilenet_v2.MOBILENET_V2, **kwargs})


@register(clip=resnet.TINY_CLIP, params=73_370, gmacs=0.01557, **_CARD)
def tsm_resnet_tiny(**kwargs: Any) -> TSM:
    """TSM on a ResNet of two blocks, which shift a quarter of the channels each way."""
    tiny = {"num_classes": 10, "layout": resnet.RESNET_TINY, "shift_fraction": 0.25}
    return TSM(**{**tiny, **kwargs})


@register(clip=resnet.TINY_CLIP, params=59_370, gmacs=0.014548, **_MOBILE_CARD)
def tsm_mobilenet_v2_tiny(**kwargs: Any) -> TSM:
    """TSM on a MobileNetV2 of five blocks, of which two shift."""
    tiny = {"num_classes": 10, "layout": mobilenet_v2.MOBILENET_V2_TINY}
    return TSM(**{**tiny, "shift_fraction": 0.25, **kwargs})
