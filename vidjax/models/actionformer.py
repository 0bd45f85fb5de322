"""ActionFormer: actions in the features of an untrimmed video, by local attention.

Reference:
    Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with Transformers",
    ECCV 2022, https://arxiv.org/abs/2202.07925.

Conventions, parameter names and defaults follow happyharrycn/actionformer_release
(libs/modeling, configs). Points, targets, losses and decoding are in
`vidjax.localization`.
"""

import dataclasses
import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from vidjax.layers.detection import join_levels, regress, score_classes
from vidjax.layers.mlp import exact_gelu
from vidjax.layers.pool import max_pool
from vidjax.layers.sequence import (
    ConvStack,
    ScaledPath,
    SequenceConv,
    StepNorm,
    add_positions,
    apply_mask,
    check_features,
)
from vidjax.models.registry import register
from vidjax.ops.attention import attention
from vidjax.typing import Endpoints, FeatureSpec

_BLOCK = 64  # Ours: queries that look at keys together.
_PADDED = -1e4  # Added to the scores of padded keys, as published.


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths and windows.

    Attributes:
        width: Channels D of the pyramid and the heads.
        windows: Steps that a query sees around it, one number for each level, odd; 1 or
            less sees the whole video.
        heads: Of attention.
        stem: Blocks before the pyramid.
        position_steps: Steps of the table of positions; 0 adds none.
    """

    width: int = 512
    windows: tuple[int, ...] = (19,) * 6
    heads: int = 4
    stem: int = 2
    position_steps: int = 0


THUMOS14 = Layout()
ACTIVITYNET = Layout(256, windows=(7,) * 5 + (-1,), position_steps=192)
EPIC = Layout(windows=(9,) * 6)
TINY = Layout(24, windows=(5, 5, -1), heads=2, stem=1, position_steps=32)


class ActionFormer(nn.Module):
    """A pyramid of local attention, with shared heads for classes and boundaries.

    Attributes:
        num_classes: Classes K; 1 proposes segments without a class.
        layout: Widths and windows.
        empty_classes: Classes that the training data does not have.
        dropout_rate: Probability of dropping a unit in the blocks.
        drop_path_rate: Probability of dropping each branch of a block.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 20
    layout: Layout = THUMOS14
    empty_classes: tuple[int, ...] = ()
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.1
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "b t c"],
        mask: Bool[Array, "b t"] | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b n k"], Endpoints]:
        """Scores every point of every level.

        Args:
            features: [B, T, C]; T is a multiple of 2 ** (L - 1) for L levels.
            mask: Which steps are of the video, [B, T]; the first ones. None means all.
            train: Whether to use dropout and drop paths.

        Returns:
            Logits [B, N, K] before the sigmoid, for the N = T + T / 2 + ... points of
            all levels, and "offsets" [B, N, 2], distances to start and end in units of
            the level's stride; "mask" [B, N], which points are of the video; "features"
            [B, N, D]; "pooled" [B, D], the mean of those of the video.

        Raises:
            ValueError: If the features do not have three axes, or another number of
                steps or channels, or the mask another shape.
            TypeError: If they are not of floating point.
        """
        layout = self.layout
        levels = len(layout.windows)
        mask = check_features(features, levels, mask)
        x = ConvStack(layout.width, dtype=self.dtype, name="embed")(features, mask)
        if layout.position_steps:
            x = add_positions(x, mask, layout.position_steps)
        block = functools.partial(
            nn.remat(Block) if self.remat else Block,
            layout.heads,
            train=train,
            dropout_rate=self.dropout_rate,
            drop_path_rate=self.drop_path_rate,
            dtype=self.dtype,
        )
        for i in range(layout.stem):
            x = block(window=layout.windows[0], name=f"stem_{i}")(x, mask)
        pyramid, masks = [x], [mask]
        for i, window in enumerate(layout.windows[1:]):
            x = block(window=window, stride=2, name=f"branch_{i}")(x, masks[-1])
            pyramid.append(x)
            masks.append(masks[-1][:, ::2])
        pyramid = [
            StepNorm(dtype=self.dtype, name=f"neck_{i}")(x)
            for i, x in enumerate(pyramid)
        ]
        logits = score_classes(
            pyramid, masks, self.num_classes, layout.width, empty=self.empty_classes
        )
        offsets = regress(pyramid, masks, 2, layout.width)
        return jnp.concatenate(logits, 1), {
            "offsets": jnp.concatenate(offsets, 1),
            **join_levels(pyramid, masks),
        }


class Block(nn.Module):
    """A transformer's block whose queries, keys and values come of convolutions.

    Attributes:
        heads: Of attention.
        window: Steps that a query sees around it; 1 or less sees the whole video.
        stride: 2 halves the steps.
        train: Whether to use dropout and drop paths.
        dropout_rate: Probability of dropping a unit.
        drop_path_rate: Probability of dropping each branch.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    window: int
    stride: int = 1
    train: bool = False
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t2 d"]:
        """Mixes the steps of a video.

        Args:
            x: [B, T, D].
            mask: Which steps are of the video, [B, T].

        Returns:
            [B, T / stride, D].
        """
        width = x.shape[-1]
        norm = functools.partial(StepNorm, dtype=self.dtype)
        pointwise = functools.partial(SequenceConv, use_bias=True, dtype=self.dtype)
        drop = nn.Dropout(self.dropout_rate, deterministic=not self.train)
        path = functools.partial(ScaledPath, self.drop_path_rate)

        y = norm(name="ln1")(x)
        inner = mask[:, :: self.stride]
        parts = []
        for part in ("query", "key", "value"):
            conv = SequenceConv(
                width,
                (3,),
                self.stride,
                groups=width,
                dtype=self.dtype,
                name=f"{part}_conv",
            )
            z = norm(name=f"{part}_norm")(apply_mask(conv(y), inner))
            z = pointwise(width, (1,), name=part)(z)
            parts.append(z.reshape(*z.shape[:2], self.heads, -1))
        query, key, value = parts
        y = look_around(query, key, value, inner, self.window)
        y = y.reshape(*inner.shape, width)
        y = drop(pointwise(width, (1,), name="proj")(y))
        if self.stride > 1:
            x = max_pool(x, (3,), (self.stride,), ((1, 1),))
        x = apply_mask(x, inner) + path(name="attention_path")(
            apply_mask(y, inner), train=self.train
        )
        y = pointwise(4 * width, (1,), name="fc1")(norm(name="ln2")(x))
        y = drop(pointwise(width, (1,), name="fc2")(drop(exact_gelu(y))))
        return x + path(name="mlp_path")(apply_mask(y, inner), train=self.train)


def look_around(
    query: Float[Array, "b t h d"],
    key: Float[Array, "b t h d"],
    value: Float[Array, "b t h d"],
    mask: Bool[Array, "b t"],
    window: int,
) -> Float[Array, "b t h d"]:
    """Lets every step gather values from steps around it.

    Steps are cut into blocks, and the queries of a block look at its keys and those of
    the blocks beside it, so that memory grows with T and not with its square.

    Args:
        query: [B, T, H, D].
        key: [B, T, H, D].
        value: [B, T, H, D].
        mask: Which steps are of the video, [B, T]. As published, a step behind its end
            counts a little where `window` is more than 1, and else nothing.
        window: Steps that are seen, the own one in the middle; 1 or less sees all.

    Returns:
        [B, T, H, D].
    """
    if window <= 1:
        return attention(query, key, value, mask=mask[:, None, None])
    reach, (batch, steps) = window // 2, mask.shape
    block = max(_BLOCK, reach)
    count = math.ceil(steps / block)
    place = jnp.arange(count * block).reshape(count, block)
    sees = _beside(place[None], -1)[0]
    near = jnp.abs(sees[:, None] - place[..., None]) <= reach
    near = near & (sees >= 0)[:, None] & (sees < steps)[:, None]

    def cut(x: Array) -> Array:
        pads = [(0, 0)] * x.ndim
        pads[1] = (0, count * block - steps)
        return jnp.pad(x, pads).reshape(batch, count, block, *x.shape[2:])

    def fold(x: Array) -> Array:
        return x.reshape(batch * count, *x.shape[2:])

    padded = jnp.where(_beside(cut(mask), False), 0.0, _PADDED)
    y = attention(
        fold(cut(query)),
        fold(_beside(cut(key), 0)),
        fold(_beside(cut(value), 0)),
        bias=fold(padded)[:, None, None],
        mask=jnp.tile(near, (batch, 1, 1))[:, None],
    )
    return y.reshape(batch, count * block, *y.shape[2:])[:, :steps]


def _beside(blocks: Array, fill: Any) -> Array:
    """Puts the blocks before and after beside each: [B, N, S, ...], [B, N, 3S, ...]."""
    pads = [(0, 0)] * blocks.ndim
    pads[1] = (1, 1)
    more = jnp.pad(blocks, pads, constant_values=fill)
    return jnp.concatenate([more[:, :-2], blocks, more[:, 2:]], axis=2)


_CARD: dict[str, Any] = {
    "family": "actionformer",
    "task": "localize",
    "fusion": "attention",
    "paper": 'Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with '
    'Transformers", ECCV 2022, https://arxiv.org/abs/2202.07925',
    "reference": "happyharrycn/actionformer_release",
}
_REPOSITORY = "README of happyharrycn/actionformer_release"


@register(
    clip=FeatureSpec(2304, 2048, multiple=576),
    params=29_251_612,
    gmacs=39.25,
    accuracy=f"66.83 average mAP, I3D features ({_REPOSITORY})",
    **_CARD,
)
def actionformer_thumos14(**kwargs: Any) -> ActionFormer:
    """ActionFormer for THUMOS14 on two-stream I3D features."""
    return ActionFormer(**kwargs)


@register(
    clip=FeatureSpec(192, 512, multiple=96),
    params=6_943_497,
    gmacs=0.781,
    accuracy=f"36.56 average mAP, TSP features ({_REPOSITORY})",
    **_CARD,
)
def actionformer_activitynet(**kwargs: Any) -> ActionFormer:
    """ActionFormer for ActivityNet-1.3 on TSP features; proposes segments."""
    return ActionFormer(**{"num_classes": 1, "layout": ACTIVITYNET, **kwargs})


@register(
    clip=FeatureSpec(2304, 2304, multiple=256),
    params=29_763_177,
    gmacs=40.7,
    accuracy=f"23.51 average mAP, SlowFast features ({_REPOSITORY})",
    **_CARD,
)
def actionformer_epic_verb(**kwargs: Any) -> ActionFormer:
    """ActionFormer for the verbs of EPIC-KITCHENS-100 on SlowFast features."""
    return ActionFormer(**{"num_classes": 97, "layout": EPIC, **kwargs})


@register(
    clip=FeatureSpec(2304, 2304, multiple=256),
    params=30_075_188,
    gmacs=42.11,
    accuracy=f"21.88 average mAP, SlowFast features ({_REPOSITORY})",
    **_CARD,
)
def actionformer_epic_noun(**kwargs: Any) -> ActionFormer:
    """ActionFormer for the nouns of EPIC-KITCHENS-100 on SlowFast features."""
    return ActionFormer(**{"num_classes": 300, "layout": EPIC, **kwargs})


@register(
    clip=FeatureSpec(32, 16, multiple=4),
    params=33_488,
    gmacs=0.00188,
    **_CARD,
)
def actionformer_tiny(**kwargs: Any) -> ActionFormer:
    """ActionFormer of three levels, for tests."""
    return ActionFormer(**{"num_classes": 3, "layout": TINY, **kwargs})
