"""Blocks of Video Swin: attention inside windows, and the joining of tokens.

Reference:
    Liu et al., "Video Swin Transformer", CVPR 2022, https://arxiv.org/abs/2106.13230,
    Sec. 3.
"""

import functools
import math

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.attention import SelfAttention
from vidjax.layers.drop_path import DropPath
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.ops.windows import (
    Extent,
    cut,
    fill,
    join,
    neighbours,
    relative_position_index,
    window_and_shift,
)

EPSILON = 1e-5  # Of the layer norms: PyTorch's default.
_MLP_RATIO = 4


class SwinBlock(nn.Module):
    """Attention inside windows, then an MLP, each behind a norm and beside a shortcut.

    Attributes:
        heads: Number of heads of attention.
        window: Extent of the windows. Along axes on which the map is not larger, one
            window holds all of it.
        shifted: Whether windows begin half a window later than at the border.
        drop_path: Probability of dropping a branch in training.
        train: Whether to drop branches.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    window: Extent
    shifted: bool
    drop_path: float = 0.0
    train: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w d"]) -> Float[Array, "b t h w d"]:
        """Maps [B, T, H, W, D] to the same shape."""
        norm = functools.partial(LayerNorm, EPSILON, self.dtype)
        drop = DropPath(self.drop_path)
        y = self._attend(norm(name="norm1")(x))
        x = x + drop(y, train=self.train)
        mlp = Mlp(_MLP_RATIO * x.shape[-1], dtype=self.dtype, name="mlp")
        return x + drop(mlp(norm(name="norm2")(x)), train=self.train)

    def _attend(self, x: Array) -> Array:
        size = x.shape[1:4]
        window, shift = window_and_shift(size, self.window, shifted=self.shifted)
        # Zeros that fill the last windows are seen, as in all published code.
        x = fill(x, window)
        filled = x.shape[1:4]
        x = jnp.roll(x, [-s for s in shift], axis=(1, 2, 3))
        windows = cut(x, window)
        mask = None
        if any(shift):
            mask = jnp.tile(neighbours(filled, window, shift), (x.shape[0], 1, 1, 1))
        attend = SelfAttention(self.heads, dtype=self.dtype, name="attn")
        windows = attend(windows, bias=self._bias(windows.shape[1]), mask=mask)
        x = join(windows, filled, window)
        x = jnp.roll(x, shift, axis=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def _bias(self, length: int) -> Float[Array, "1 h n n"]:
        """Biases of the first tokens of a whole window to each other.

        A window that was cut to a small map takes the biases of as many tokens of the
        whole window, in order, wherever they lie: so do all published code bases.
        """
        rows = math.prod(2 * n - 1 for n in self.window)
        table = self.param(
            "relative_position_bias_table", KERNEL_INIT, (rows, self.heads)
        )
        index = relative_position_index(self.window)[:length, :length]
        return jnp.moveaxis(table[index], -1, 0)[None]


class PatchMerging(nn.Module):
    """Joins 2 x 2 tokens of a frame to one of twice the width.

    Attributes:
        dtype: Computation dtype; parameters stay float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w d"]) -> Float[Array, "b t h2 w2 d2"]:
        """Maps [B, T, H, W, D] to [B, T, H/2, W/2, 2D]; odd sizes gain a zero."""
        x = fill(x, (1, 2, 2))
        # Column by column: (0, 0), (1, 0), (0, 1), (1, 1).
        corners = [x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        x = jnp.concatenate(corners, axis=-1)
        x = LayerNorm(EPSILON, self.dtype, name="norm")(x)
        return nn.Dense(
            x.shape[-1] // 2,
            use_bias=False,
            kernel_init=KERNEL_INIT,
            dtype=self.dtype,
            name="reduction",
        )(x)
