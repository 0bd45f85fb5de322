"""Multiscale Vision Transformers: attention whose tokens are pooled, stage by stage.

Reference:
    Fan et al., "Multiscale Vision Transformers", ICCV 2021,
    https://arxiv.org/abs/2104.11227 (v1), and Li et al., "MViTv2: Improved Multiscale
    Vision Transformers for Classification and Detection", CVPR 2022,
    https://arxiv.org/abs/2112.01526 (v2).

Details are those of facebookresearch/SlowFast
(slowfast/models/{attention,video_model_builder}.py), with which torchvision,
PyTorchVideo and MMAction2 agree. Stages have the names of the paper: "cube1" makes
tokens, "scale2" to "scale5" follow. `vidjax.models.mvit` has the networks themselves.
"""

import dataclasses
import functools
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.layers.pool import max_pool
from vidjax.ops.attention import attention
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, Endpoints, Logits

Extent = tuple[int, ...]
"""Frames, rows and columns of a map."""

_EPSILON = 1e-6  # Of all layer norms.
_MLP_RATIO = 4
_PATCH_STRIDE = (2, 4, 4)


@dataclasses.dataclass(frozen=True)
class Stage:
    """What a block of a network is made of.

    Attributes:
        name: Of the stage that it belongs to.
        heads: Heads of attention.
        width: Channels of queries, keys and values, over all heads.
        features: Channels of the result.
        stride: Step over rows and columns between queries.
        kv_stride: Step over them between keys.
        rows: Sizes (time, space) of the tables of relative positions.
    """

    name: str
    heads: int
    width: int
    features: int
    stride: int
    kv_stride: int
    rows: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths and depths of a network, and what v1 and v2 do differently.

    Attributes:
        depth: Number of blocks.
        doubles: The blocks in which attention has twice the width and heads of the
            block before, and queries are pooled to half the rows and columns.
        width: Channels in the first attention.
        heads: Heads in the first attention.
        frames: Frames of the clips for which tables of positions are made; those of
            other clips are resized from them.
        size: Their rows and columns, in pixels.
        kv_stride: Step over rows and columns between keys in the first block; it halves
            where queries are pooled.
        relative: Whether positions are biases of attention by the distance between
            query and key along each axis (v2), or are added to tokens once (v1).
        widen_in_attention: Whether the attention of a block widens it (v2), or the MLP
            of the block before (v1).
        pool_all_queries: Whether queries go through a convolution and a norm in each
            block (v2), or only where they are pooled (v1).
        pool_kernel: Extent of the convolutions that pool; None takes one frame, and
            rows and columns by the stride: one more, or no convolution for stride 1.
        residual_pool: Whether queries are added to what they gather (v2).
        classify: The class token, or the mean of the others.
    """

    depth: int
    doubles: tuple[int, ...]
    width: int = 96
    heads: int = 1
    frames: int = 16
    size: int = 224
    kv_stride: int = 8
    relative: bool = True
    widen_in_attention: bool = True
    pool_all_queries: bool = True
    pool_kernel: Extent | None = (3, 3, 3)
    residual_pool: bool = True
    classify: Literal["class", "mean"] = "class"

    @property
    def grid(self) -> Extent:
        """Tokens of the clips for which tables are made."""
        t, h, w = _PATCH_STRIDE
        return self.frames // t, self.size // h, self.size // w

    def stages(self) -> tuple[Stage, ...]:
        """Returns what each block is made of."""
        times = [
            2 ** sum(i >= double for double in self.doubles)
            for i in range(self.depth + 1)
        ]
        times[-1] = times[-2]
        frames, size, _ = self.grid
        blocks = []
        for i, (now, then) in enumerate(itertools.pairwise(times)):
            stride = 2 if i in self.doubles else 1
            kv_stride = max(self.kv_stride // now, 1)
            farthest = max(size // stride, size // kv_stride)
            blocks.append(
                Stage(
                    name=f"scale{2 + sum(i >= d for d in self.doubles)}",
                    heads=self.heads * now,
                    width=self.width * now,
                    features=self.width * (now if self.widen_in_attention else then),
                    stride=stride,
                    kv_stride=kv_stride,
                    rows=(2 * frames - 1, 2 * farthest - 1),
                )
            )
            size //= stride
        return tuple(blocks)


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
        return LayerNorm(_EPSILON, self.dtype, name=f"norm_{name}")(x)

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


class MultiscaleBlock(nn.Module):
    """Pooled attention, then an MLP, each behind a norm and beside a shortcut.

    Attributes:
        layout: Of the network.
        stage: Of the block.
        grid: Extent of the map of the tokens.
        drop_path: Probability of dropping a branch in training.
        train: Whether to drop branches.
        dtype: Computation dtype; parameters stay float32.
    """

    layout: Layout
    stage: Stage
    grid: Extent
    drop_path: float = 0.0
    train: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n2 d2"]:
        """Maps [B, N, D] to queries [B, N2, D2], the class token first."""
        norm = functools.partial(LayerNorm, _EPSILON, self.dtype)
        drop = DropPath(self.drop_path)
        attend = PooledAttention(
            self.layout, self.stage, self.grid, self.dtype, name="attn"
        )
        normed = norm(name="norm1")(x)
        if self.layout.widen_in_attention:
            x = self._widen(x, normed, self.stage.width)
        x = self._shrink(x) + drop(attend(normed), train=self.train)
        normed = norm(name="norm2")(x)
        features = self.stage.features
        mlp = Mlp(_MLP_RATIO * self.stage.width, features, dtype=self.dtype, name="mlp")
        if not self.layout.widen_in_attention:
            x = self._widen(x, normed, features)
        return x + drop(mlp(normed), train=self.train)

    def _widen(self, x: Array, normed: Array, features: int) -> Array:
        """Returns the shortcut: where widths differ, a linear map of what is normed."""
        if x.shape[-1] == features:
            return x
        dense = nn.Dense(
            features, kernel_init=KERNEL_INIT, dtype=self.dtype, name="proj"
        )
        return dense(normed)

    def _shrink(self, x: Array) -> Array:
        """Takes maxima over 3 x 3 tokens, beside the class token, where queries do."""
        if self.stage.stride == 1:
            return x
        size = self.stage.stride + 1
        border = (size // 2, size // 2)
        maps = x[:, 1:].reshape(-1, *self.grid, x.shape[-1])
        strides = (1, self.stage.stride, self.stage.stride)
        maps = max_pool(maps, (1, size, size), strides, ((0, 0), border, border))
        return jnp.concatenate([x[:, :1], maps.reshape(len(x), -1, x.shape[-1])], 1)


class MViT(nn.Module):
    """Multiscale Vision Transformer.

    Attributes:
        layout: Widths, depths, and what v1 and v2 do differently.
        num_classes: Number of classes; 0 leaves the classifier out.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5.
        drop_path_rate: Probability of dropping the branches of the last block; it grows
            linearly from 0 at the first. The authors train with 0.2 (16 frames), 0.3
            (32 frames) and 0.75 (v2-L).
        head_std: Standard deviation of the classifier's kernel at the start;
            the authors' is 0.02.
        dtype: Computation dtype; parameters, softmax and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    num_classes: int = 400
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    head_std: float = 0.01
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any number of frames and any size; positions are
                resized linearly where they differ from those of the layout.
            train: Whether to use dropout and drop path; takes the random key "dropout".

        Returns:
            Logits [B, num_classes]; maps of all tokens but the class token by the names
            of the stages, "cube1" [B, T/2, H/4, W/4, D] and "scale2" to "scale5", with
            "features" (the last of them; normalised, unless their mean is classified),
            "pooled" [B, D] (what is classified) and "logits_per_step" [B, 1,
            num_classes].

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        block = nn.remat(MultiscaleBlock) if self.remat else MultiscaleBlock
        maps = Conv(
            self.layout.width,
            (3, 7, 7),
            _PATCH_STRIDE,
            "torch",
            use_bias=True,
            dtype=self.dtype,
            name="patch_embed",
        )(clip)
        grid, endpoints = maps.shape[1:4], {"cube1": maps}
        x = self._tokens(maps)
        rates = drop_path_rates(self.drop_path_rate, self.layout.depth)
        for i, (stage, rate) in enumerate(
            zip(self.layout.stages(), rates, strict=True)
        ):
            x = block(
                self.layout, stage, grid, rate, train, self.dtype, name=f"blocks_{i}"
            )(x)
            grid = pooled_extent(grid, stage.stride)
            endpoints[stage.name] = _maps(x, grid)
        norm = LayerNorm(_EPSILON, self.dtype, name="norm")
        if self.layout.classify == "mean":
            mean = jnp.mean(x[:, 1:].astype(jnp.float32), axis=1, keepdims=True)
            steps, features = norm(mean), _maps(x, grid)
        else:
            x = norm(x)
            steps, features = x[:, :1], _maps(x, grid)
        head = Classifier(
            self.num_classes, self.dropout_rate, self.head_std, name="logits"
        )
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, "features": features, **scores}

    def _tokens(self, maps: Array) -> Float[Array, "b n d"]:
        """Joins the class token and those of a map, with their positions."""
        batch, *grid, width = maps.shape
        frames, rows, columns = self.layout.grid

        def table(name: str, length: int) -> Array:
            return self.param(name, KERNEL_INIT, (1, length, width))

        token = table("cls_token", 1)
        if not self.layout.relative:
            token = token + table("cls_pos_embed", 1)
            space = table("pos_embed", rows * columns).reshape(1, rows, columns, width)
            time = table("time_embed", frames).reshape(frames, 1, 1, width)
            places = positions(space, time, (grid[0], grid[1], grid[2]))
            maps = maps + places.astype(self.dtype)[None]
        token = jnp.broadcast_to(token.astype(self.dtype), (batch, 1, width))
        return jnp.concatenate([token, maps.reshape(batch, -1, width)], axis=1)


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


def positions(
    space: Float[Array, "1 h w d"], time: Float[Array, "t 1 1 d"], grid: Extent
) -> Float[Array, "t2 h2 w2 d"]:
    """Adds the vectors of places and times, for other extents than the tables' too.

    Args:
        space: A vector for each row and column, [1, H, W, D].
        time: A vector for each frame, [T, 1, 1, D].
        grid: Extent wanted; tables are resized linearly to it.

    Returns:
        [T', H', W', D].

    Example:
        >>> space, time = jnp.zeros((1, 1, 1, 1)), jnp.array([0.0, 4.0])
        >>> positions(space, time[:, None, None, None], (4, 1, 1)).ravel().tolist()
        [0.0, 1.0, 3.0, 4.0]

    References:
        `_get_pos_embed` of facebookresearch/SlowFast resizes their sum, which is equal.
    """
    width = space.shape[-1]
    space = _resize(space, (1, grid[1], grid[2], width))
    time = _resize(time, (grid[0], 1, 1, width))
    return jnp.tile(space, (grid[0], 1, 1, 1)) + jnp.tile(time, (1, *grid[1:], 1))


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
    table = _resize(table, (2 * max(queries, keys) - 1, table.shape[-1]))
    step = np.float32(max(keys / queries, 1.0))
    key_step = np.float32(max(queries / keys, 1.0))
    places = np.arange(queries, dtype=np.float32) * step
    key_places = np.arange(keys, dtype=np.float32) * key_step
    apart = places[:, None] - key_places[None, :]
    apart = apart + np.float32((keys - 1) * max(queries / keys, 1.0))
    return table[apart.astype(np.int32)]


def _resize(table: Array, shape: tuple[int, ...]) -> Array:
    if table.shape == shape:
        return table
    return jax.image.resize(table, shape, "linear", antialias=False)


def _maps(x: Array, grid: Extent) -> Array:
    """Maps tokens [B, 1 + T * H * W, D] to [B, T, H, W, D]."""
    return x[:, 1:].reshape(len(x), *grid, x.shape[-1])
