"""Temporal Segment Networks (TSN).

Reference:
    Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep Action
    Recognition", ECCV 2016, https://arxiv.org/abs/1608.00859.

As in the authors' later code (mit-han-lab/temporal-shift-module without its shift): a
ResNet on one frame of each segment, dropout, a linear layer, and the consensus is the
mean of the scores before softmax.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models import resnet
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits


class TSN(nn.Module):
    """A ResNet on one frame of each segment, with average consensus.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and stem of the ResNet.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5 to 0.8.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        partial_norm: Whether batch norms but the first keep their statistics in
            training, as the authors do from pre-trained weights.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: resnet.Layout = resnet.RESNET50
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    partial_norm: bool = False
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: One frame a segment, [B, T, H, W, C], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and every frame's maps by torchvision's stage names
            [B, T, H', W', D], with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, T, num_classes].

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        trunk = resnet.ResNetTrunk(
            self.layout,
            drop_path_rate=self.drop_path_rate,
            partial_norm=self.partial_norm,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


_CARD = {
    "family": "tsn",
    "fusion": "late",
    "paper": (
        'Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep '
        'Action Recognition", ECCV 2016, https://arxiv.org/abs/1608.00859'
    ),
    "reference": "mit-han-lab/temporal-shift-module, ops/models.py",
    "views": protocol("tsm-1x1"),
}


@register(
    clip=ClipSpec(num_frames=8, sampling="segments"),
    params=24_327_632,
    gmacs=32.704,
    accuracy="74.12 Kinetics-400 top-1 (MMAction2, configs/recognition/tsn/README.md)",
    **_CARD,
)
def tsn_resnet50(**kwargs: Any) -> TSN:
    """TSN on ResNet-50, 8 segments."""
    return TSN(**{"layout": resnet.RESNET50, **kwargs})


@register(
    clip=ClipSpec(num_frames=8, sampling="segments").with_modality(
        "flow", flow_length=5
    ),
    params=24_349_584,
    gmacs=34.907,
    **_CARD,
)
def tsn_flow_resnet50(**kwargs: Any) -> TSN:
    """TSN on ResNet-50, 8 segments of five stacked flows."""
    return TSN(**{"layout": resnet.RESNET50, **kwargs})


@register(clip=resnet.TINY_CLIP, params=73_370, gmacs=0.01557, **_CARD)
def tsn_resnet_tiny(**kwargs: Any) -> TSN:
    """TSN on a ResNet of two blocks, for tests and short demonstrations."""
    return TSN(**{"num_classes": 10, "layout": resnet.RESNET_TINY, **kwargs})


@register(
    clip=resnet.TINY_CLIP.with_modality("flow", flow_length=6),
    params=74_666,
    gmacs=0.018224,
    **_CARD,
)
def tsn_flow_resnet_tiny(**kwargs: Any) -> TSN:
    """TSN on six flows at each frame, for tests and demos."""
    return TSN(**{"num_classes": 10, "layout": resnet.RESNET_TINY, **kwargs})
