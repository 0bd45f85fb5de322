"""Temporal Shift Module (TSM).

Reference:
    Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding",
    ICCV 2019, https://arxiv.org/abs/1811.08383.

As in mit-han-lab/temporal-shift-module: the shift is inside the residual branch, before
the first convolution of every block (of every second block in ResNet-101), and the
scores of the frames are averaged before softmax.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.head import Classifier
from vidjax.models import resnet
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Views


class TSM(nn.Module):
    """A ResNet on each frame whose blocks exchange channels with the frames beside.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and stem of the ResNet.
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
    layout: resnet.Layout = resnet.RESNET50
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
            Logits [B, num_classes], and every frame's maps by torchvision's stage names
            [B, T, H', W', D], with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, T, num_classes].

        Raises:
            ValueError: If the clip does not have five axes, or `shift_fraction` is
                outside [0, 0.5].
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        trunk = resnet.ResNetTrunk(
            self.layout,
            self.shift_fraction,
            self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(resnet.average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


_CARD = {
    "family": "tsm",
    "fusion": "shift",
    "paper": (
        'Lin et al., "TSM: Temporal Shift Module for Efficient Video Understanding", '
        "ICCV 2019, https://arxiv.org/abs/1811.08383"
    ),
    "reference": "mit-han-lab/temporal-shift-module, ops/models.py",
    "views": Views(average="logits"),
}


@register(
    clip=ClipSpec(num_frames=8, sampling="segments"),
    params=24_327_632,
    gmacs=32.704,
    **_CARD,
)
def tsm_resnet50(**kwargs: Any) -> TSM:
    """TSM on ResNet-50, 8 segments."""
    return TSM(**{"layout": resnet.RESNET50, **kwargs})


@register(clip=resnet.TINY_CLIP, params=73_370, gmacs=0.01557, **_CARD)
def tsm_resnet_tiny(**kwargs: Any) -> TSM:
    """TSM on a ResNet of two blocks, which shift a quarter of the channels each way."""
    tiny = {"num_classes": 10, "layout": resnet.RESNET_TINY, "shift_fraction": 0.25}
    return TSM(**{**tiny, **kwargs})
