"""3D convolutions that are made of smaller ones."""

import functools
from collections.abc import Callable

from flax import linen as nn
from jaxtyping import Array, Float

Triple = tuple[int, int, int]
"""Extents or steps along (T, H, W)."""


def middle_channels(inputs: int, features: int, side: int = 3) -> int:
    """Returns the channels that keep a factorised convolution's number of parameters.

    Args:
        inputs: Input channels.
        features: Output channels.
        side: Extent over height and over width; that over time is taken as 3.

    Returns:
        Channels between the convolution over space and the one over time.

    Example:
        >>> middle_channels(64, 64)
        144

    References:
        Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
        Recognition", CVPR 2018, Sec. 3.5, https://arxiv.org/abs/1711.11248.
    """
    area = side * side
    return 3 * area * inputs * features // (area * inputs + 3 * features)


class Factorised(nn.Module):
    """A 3D convolution as one over space and one over time, with a norm between.

    Attributes:
        features: Output channels.
        kernel_size: Extent (T, H, W) of the convolution that it stands for.
        strides: Its steps (T, H, W).
        middle: Channels between the two.
        temporal_first: Whether time comes before space.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
    """

    features: int
    kernel_size: Triple
    strides: Triple
    middle: int
    temporal_first: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t2 h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T', H', W', features]."""
        (t, *space), (step, *steps) = self.kernel_size, self.strides
        spatial = ("spatial", (1, *space), (1, *steps))
        temporal = ("temporal", (t, 1, 1), (step, 1, 1))
        order = (temporal, spatial) if self.temporal_first else (spatial, temporal)
        (name, kernel, strides), (last, last_kernel, last_strides) = order
        x = self.conv(self.middle, kernel, strides, name=name)(x)
        x = nn.relu(self.norm(name="bn")(x))
        return self.conv(self.features, last_kernel, last_strides, name=last)(x)


class InteractionPreserved(nn.Module):
    """A 1x1x1 convolution that mixes channels, then one of each channel by itself.

    Attributes:
        features: Output channels.
        strides: Steps (T, H, W) of the second convolution.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
    """

    features: int
    strides: Triple
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t2 h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T', H', W', features]."""
        x = self.conv(self.features, (1, 1, 1), name="pointwise")(x)
        x = self.norm(name="bn")(x)  # No ReLU: MMAction2's resnet3d_csn.py.
        depthwise = functools.partial(self.conv, groups=self.features)
        return depthwise(self.features, (3, 3, 3), self.strides, name="depthwise")(x)
