"""The encoders of RAFT, and the widths of its networks.

Reference:
    Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
    ECCV 2020, https://arxiv.org/abs/2003.12039, Appendix A.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.norm import BatchNorm


@dataclasses.dataclass(frozen=True)
class Layout:
    """A network of the paper's Appendix A.

    Attributes:
        block: "residual" has two 3x3 convolutions, "bottleneck" 1x1, 3x3 and 1x1.
        widths: Channels of the encoders' stem and of their three stages.
        features: Channels of the maps that are correlated.
        context_norm: Whether the context encoder has batch norm; else it has no norm.
        hidden: Channels of the state.
        context: Channels of what the state is told at every iteration.
        radius: Of the windows of correlations that are read, in pixels of each level.
        corr_widths: Channels of the convolutions over correlations.
        flow_widths: Channels of the convolutions over the flow.
        motion: Channels of both together, the flow's two included.
        gru: Kernels of the recurrent units, one after the other.
        head: Channels of the hidden layer of the flow's change.
        mask: Channels of the hidden layer of the upsampling mask; 0 upsamples
            bilinearly.
    """

    block: Literal["residual", "bottleneck"]
    widths: tuple[int, int, int, int]
    features: int
    context_norm: bool
    hidden: int
    context: int
    radius: int
    corr_widths: tuple[int, ...]
    flow_widths: tuple[int, int]
    motion: int
    gru: tuple[tuple[int, int], ...]
    head: int
    mask: int


LARGE = Layout(
    block="residual",
    widths=(64, 64, 96, 128),
    features=256,
    context_norm=True,
    hidden=128,
    context=128,
    radius=4,
    corr_widths=(256, 192),
    flow_widths=(128, 64),
    motion=128,
    gru=((1, 5), (5, 1)),
    head=256,
    mask=256,
)
SMALL = Layout(
    block="bottleneck",
    widths=(32, 32, 64, 96),
    features=128,
    context_norm=False,
    hidden=96,
    context=64,
    radius=3,
    corr_widths=(96,),
    flow_widths=(64, 32),
    motion=82,
    gru=((3, 3),),
    head=128,
    mask=0,
)
# Ours: the large one, narrow.
TINY = Layout(
    block="residual",
    widths=(16, 16, 24, 32),
    features=32,
    context_norm=True,
    hidden=24,
    context=16,
    radius=3,
    corr_widths=(32, 24),
    flow_widths=(16, 16),
    motion=32,
    gru=((1, 5), (5, 1)),
    head=32,
    mask=32,
)


class Encoder(nn.Module):
    """Maps images to features of one eighth of their size.

    Attributes:
        layout: Blocks and widths.
        features: Output channels.
        norm: "instance", "batch" or "none".
        train: Whether batch norm uses the batch's statistics.
        dtype: Computation dtype; parameters stay float32.
    """

    layout: Layout
    features: int
    norm: Literal["instance", "batch", "none"]
    train: bool
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h8 w8 d"]:
        """Maps [B, H, W, C] to [B, H / 8, W / 8, features]."""
        unit = functools.partial(
            Unit, norm=self.norm, train=self.train, dtype=self.dtype
        )
        widths = self.layout.widths
        x = nn.relu(unit(widths[0], 7, 2, name="stem")(x))
        for stage, (width, stride) in enumerate(
            zip(widths[1:], (1, 2, 2), strict=True)
        ):
            for i in range(2):
                name = f"layer{stage + 1}_{i}"
                x = Block(
                    self.layout.block, width, 1 if i else stride, unit, name=name
                )(x)
        head = Conv(self.features, (1, 1), use_bias=True, dtype=self.dtype, name="conv")
        return head(x)


class Block(nn.Module):
    """Convolutions with a shortcut; each has a norm and a relu.

    Attributes:
        kind: As `Layout.block`.
        features: Output channels.
        stride: Of the block.
        unit: Builds a convolution with its norm from (features, kernel size, stride).
    """

    kind: Literal["residual", "bottleneck"]
    features: int
    stride: int
    unit: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Maps [B, H, W, C] to [B, H / stride, W / stride, features]."""
        wide, narrow = self.features, self.features // 4
        rows = {
            "residual": ((wide, 3, self.stride), (wide, 3, 1)),
            "bottleneck": ((narrow, 1, 1), (narrow, 3, self.stride), (wide, 1, 1)),
        }[self.kind]
        y = x
        for i, row in enumerate(rows):
            y = nn.relu(self.unit(*row, name=f"conv{i + 1}")(y))
        if self.stride != 1:
            x = self.unit(wide, 1, self.stride, name="downsample")(x)
        return nn.relu(x + y)


class Unit(nn.Module):
    """A convolution with a bias, and a norm.

    Attributes:
        features: Output channels.
        size: Side of the kernel.
        stride: Step.
        norm: "instance" (without parameters), "batch" or "none".
        train: Whether batch norm uses the batch's statistics.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    size: int
    stride: int
    norm: Literal["instance", "batch", "none"]
    train: bool
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """Maps [B, H, W, C] to [B, H / stride, W / stride, features]."""
        size = (self.size, self.size)
        x = Conv(
            self.features,
            size,
            self.stride,
            "torch",
            use_bias=True,
            dtype=self.dtype,
            name="conv",
        )(x)
        if self.norm == "batch":
            return BatchNorm(self.train, dtype=self.dtype, name="bn")(x)
        return _instance_norm(x) if self.norm == "instance" else x


def _instance_norm(x: Array) -> Array:
    """Normalises every channel of every image by itself, [B, H, W, C]."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    var = jnp.mean(jnp.square(y), axis=(1, 2), keepdims=True)
    return (y * jax.lax.rsqrt(var + 1e-5)).astype(x.dtype)  # PyTorch's epsilon.
