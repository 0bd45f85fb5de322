"""Attention whose queries and keys are pooled, with relative positions along each axis.

Reference:
    Fan et al., "Multiscale Vision Transformers", ICCV 2021,
    https://arxiv.org/abs/2104.11227, Sec. 3.1 (v1), and Li et al., "MViTv2: Improved
    Multiscale Vision Transformers for Classification and Detection", CVPR 2022,
    https://arxiv.org/abs/2112.01526, Sec. 3.1 (v2); details are those of
    facebookresearch/SlowFast, slowfast/models/attention.py.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.mlp import KERNEL_INIT
from vidjax.layers.norm import LayerNorm
from vidjax.models.multiscale_layout import Extent, Layout, Stage
from vidjax.ops.attention import attention

EPSILON = 1e-6  # Of all layer norms.


class PooledAttention(nn.Module):
    """Attention between queries and keys of their own resolutions.

    Attributes:
        layout: Of the network.
        stage: Of the block.
        grid: Extent of the map of the tokens.
        dtype: Computation dtype; parameters and softmax stay float32.
    """

    layout: Layout
    stage: Stage
    grid: Extent
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n2 d2"]:
        """Maps [B, N, D] to queries [B, N2, D2], the class token first."""
        heads, width = self.stage.heads, self.stage.width
        dense = functools.partial(nn.Dense, kernel_init=KERNEL_INIT, dtype=self.dtype)
        qkv = dense(3 * width, name="qkv")(x)
        qkv = qkv.reshape(*x.shape[:2], 3, heads, width // heads)
        query, key, value = (qkv[:, :, i] for i in range(3))
        if self.layout.pool_all_queries or self.stage.stride > 1:
            query = self._pool(query, "q", self.stage.stride)
        key = self._pool(key, "k", self.stage.kv_stride)
        value = self._pool(value, "v", self.stage.kv_stride)
        bias = self._bias(query) if self.layout.relative else None
        y = attention(query, key, value, bias=bias)
        if self.layout.residual_pool:  # But for the class token.
            y = y.at[:, 1:].add(query[:, 1:])
        return dense(width, name="proj")(y.reshape(*y.shape[:2], width))

    def _pool(self, x: Array, name: str, stride: int) -> Array:
        """Convolves all heads alike; the class token meets the norm alone."""
        kernel = self.layout.pool_kernel or (1, stride + 1, stride + 1)
        if stride == 1 and not self.layout.pool_kernel:
            return x
        token, maps = x[:, :1], jnp.moveaxis(x[:, 1:], 2, 1)
        maps = maps.reshape(*maps.shape[:2], *self.grid, -1)
        width = maps.shape[-1]
        pool = Conv(
            width,
            kernel,
            (1, stride, stride),
            "torch",
            groups=width,
            dtype=self.dtype,
            name=f"pool_{name}",
        )
        maps = pool(maps)
        tokens = maps.reshape(*maps.shape[:2], -1, width)
        x = jnp.concatenate([token, jnp.moveaxis(tokens, 1, 2)], axis=1)
        return LayerNorm(EPSILON, self.dtype, name=f"norm_{name}")(x)

    def _bias(self, query: Array) -> Float[Array, "b h n m"]:
        """Products of queries and vectors of the distance to each key, by axis.

        Class tokens have no place, so their rows and columns are zero.
        """
        width = query.shape[-1]
        queries = pooled_extent(self.grid, self.stage.stride)
        keys = pooled_extent(self.grid, self.stage.kv_stride)
        maps = query[:, 1:].reshape(-1, *queries, *query.shape[2:])
        time, space = self.stage.rows
        parts = []
        for axis, name, rows in (0, "t", time), (1, "h", space), (2, "w", space):
            table = self.param(f"rel_pos_{name}", KERNEL_INIT, (rows, width))
            vectors = relative_vectors(table, queries[axis], keys[axis])
            part = jnp.einsum(
                f"bthwnd,{name}kd->bnthwk",
                maps,
                vectors.astype(maps.dtype),
                preferred_element_type=jnp.float32,
            )
            shape = [keys[axis] if i == axis else 1 for i in range(3)]
            parts.append(part.reshape(*part.shape[:-1], *shape))
        bias = parts[0] + parts[1] + parts[2]
        bias = bias.reshape(*bias.shape[:2], np.prod(queries), np.prod(keys))
        return jnp.pad(bias, ((0, 0), (0, 0), (1, 0), (1, 0)))


def pooled_extent(grid: Extent, stride: int) -> Extent:
    """Returns the extent of a map after a pool of odd extent with half of it around.

    Args:
        grid: Extent before it.
        stride: Step over rows and columns.

    Returns:
        Extent after it.

    Example:
        >>> pooled_extent((8, 39, 39), 2)
        (8, 20, 20)
    """
    frames, rows, columns = grid
    return frames, -(-rows // stride), -(-columns // stride)


def relative_vectors(
    table: Float[Array, "r d"], queries: int, keys: int
) -> Float[Array, "q k d"]:
    """Picks the vector of the distance of each query to each key along an axis.

    Distances are in steps of whichever are closer together, and cut to whole numbers,
    in float32 as in facebookresearch/SlowFast.

    Args:
        table: Vectors from the farthest key after a query to the farthest before it,
            [R, D]; resized linearly to the 2 * max(queries, keys) - 1 that there are.
        queries: Number of queries along the axis.
        keys: Number of keys.

    Returns:
        [queries, keys, D].

    Example:
        >>> table = jnp.arange(7.0)[:, None]
        >>> relative_vectors(table, 4, 2)[..., 0].tolist()
        [[2.0, 0.0], [3.0, 1.0], [4.0, 2.0], [5.0, 3.0]]
    """
    table = resize_map(table, (2 * max(queries, keys) - 1, table.shape[-1]))
    step = np.float32(max(keys / queries, 1.0))
    key_step = np.float32(max(queries / keys, 1.0))
    places = np.arange(queries, dtype=np.float32) * step
    key_places = np.arange(keys, dtype=np.float32) * key_step
    apart = places[:, None] - key_places[None, :]
    apart = apart + np.float32((keys - 1) * max(queries / keys, 1.0))
    return table[apart.astype(np.int32)]


def resize_map(table: Float[Array, "*n"], shape: tuple[int, ...]) -> Float[Array, "*m"]:
    """Interpolates a table linearly between the middles of its places.

    Args:
        table: Of any shape, such as [R, D].
        shape: The shape wanted, of as many axes.

    Returns:
        An array of that shape; `table` itself if it has it.
    """
    if table.shape == shape:
        return table
    return jax.image.resize(table, shape, "linear", antialias=False)
