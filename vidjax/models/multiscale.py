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

import functools

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.layers.pool import max_pool
from vidjax.models.multiscale_layout import PATCH_STRIDE, Extent, Layout, Stage
from vidjax.models.pooled_attention import (
    EPSILON,
    PooledAttention,
    pooled_extent,
    resize_map,
)
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, Endpoints, Logits

_MLP_RATIO = 4


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
        norm = functools.partial(LayerNorm, EPSILON, self.dtype)
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
            PATCH_STRIDE,
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
        norm = LayerNorm(EPSILON, self.dtype, name="norm")
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
    space = resize_map(space, (1, grid[1], grid[2], width))
    time = resize_map(time, (grid[0], 1, 1, width))
    return jnp.tile(space, (grid[0], 1, 1, 1)) + jnp.tile(time, (1, *grid[1:], 1))


def _maps(x: Array, grid: Extent) -> Array:
    """Maps tokens [B, 1 + T * H * W, D] to [B, T, H, W, D]."""
    return x[:, 1:].reshape(len(x), *grid, x.shape[-1])
