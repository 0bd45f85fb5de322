"""Convolutional fusion of two streams, before their last layers.

Reference:
    Feichtenhofer et al., "Convolutional Two-Stream Network Fusion for Video Action
    Recognition", CVPR 2016, https://arxiv.org/abs/1604.06573.

As in feichtenhofer/twostreamfusion (cnn_ucf101_fusion.m): the last maps of both streams
are joined by a 3x3x3 convolution that begins as a blurred sum, a quarter of colours and
three quarters of flow, and a maximum is taken over frames. There the streams are
VGG-16; here they are ResNet-18, whose last maps have as many channels, and the mean
over space comes before the maximum.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array

from vidjax.layers.conv import Conv
from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models import resnet
from vidjax.models.registry import register
from vidjax.models.two_stream import TINY_CLIP, TINY_LENGTH, split_streams
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits

_SHARES = (0.25, 0.75)  # Of colours and flow: "2sumAB" of the authors' code.
_BLUR = 1.0  # Standard deviation of the Gaussian over the 3x3x3 taps, as there.


class ConvFusion(nn.Module):
    """Two ResNets whose last maps are fused by a convolution over space and time.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and stem of both ResNets.
        flow_length: Flows L stacked at every frame; a clip has 3 + 2 L channels.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.85.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: resnet.Layout = resnet.RESNET18
    flow_length: int = 10
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: Colours and flow, [B, T, H, W, 3 + 2 L], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes]; and the endpoints "rgb" and "flow", the last maps
            of the streams [B, T, H', W', D], "features", the fused ones, and "pooled"
            [B, D].

        Raises:
            ValueError: If the clip has not five axes or 3 + 2 L channels.
            TypeError: If it is not of floating point.
        """
        maps = {
            name: resnet.ResNetTrunk(
                self.layout, dtype=self.dtype, remat=self.remat, name=f"{name}_backbone"
            )(stream, train=train)[0]
            for name, stream in split_streams(clip, self.flow_length).items()
        }
        both = jnp.concatenate([maps["rgb"], maps["flow"]], axis=-1)
        width = maps["rgb"].shape[-1]
        fuse = Conv(
            width,
            (3, 3, 3),
            padding="torch",
            use_bias=True,
            kernel_init=_sum_init,
            dtype=self.dtype,
            name="fuse",
        )
        fused = nn.relu(fuse(both))
        strongest = jnp.max(average_space(fused), axis=1, keepdims=True)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(strongest, train=train)
        return logits, {**maps, "features": fused, **scores}


def _sum_init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """A kernel [3, 3, 3, 2 D, D] that adds the streams, blurred."""
    del key
    taps = jnp.exp(-0.5 * jnp.square(jnp.arange(-1.0, 2.0) / _BLUR))
    taps = taps / jnp.sum(taps)
    blur = jnp.einsum("t,h,w->thw", taps, taps, taps)
    same = jnp.eye(shape[-1])
    joined = jnp.concatenate([share * same for share in _SHARES])
    return jnp.einsum("thw,io->thwio", blur, joined).astype(dtype)


_CARD: dict[str, Any] = {
    "family": "conv_fusion",
    "fusion": "late",
    "paper": (
        'Feichtenhofer et al., "Convolutional Two-Stream Network Fusion for Video '
        'Action Recognition", CVPR 2016, https://arxiv.org/abs/1604.06573'
    ),
    "reference": "feichtenhofer/twostreamfusion, cnn_ucf101_fusion.m",
}


@register(
    # Five frames with ten flows at each, 5 to 15 frames apart (cnn_ucf101_fusion.m).
    clip=ClipSpec(num_frames=5, frame_stride=10).with_modality(
        "rgb+flow", flow_length=10
    ),
    params=36_767_824,
    gmacs=24.948,
    accuracy="92.5 UCF101 top-1 of three splits, on VGG-16 (the paper, Table 6)",
    **_CARD,
)
def conv_fusion_resnet18(**kwargs: Any) -> ConvFusion:
    """Convolutional fusion of two ResNet-18."""
    return ConvFusion(**kwargs)


@register(clip=TINY_CLIP, params=93_186, gmacs=0.01663, **_CARD)
def conv_fusion_resnet_tiny(**kwargs: Any) -> ConvFusion:
    """Convolutional fusion of two ResNets of two blocks, for tests and demos."""
    # Ours: half as wide, as the fusing convolution has most of the parameters.
    layout = dataclasses.replace(resnet.RESNET_TINY, width=8)
    tiny = {"num_classes": 10, "layout": layout, "flow_length": TINY_LENGTH}
    return ConvFusion(**{**tiny, **kwargs})
