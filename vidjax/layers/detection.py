"""Heads that the levels of a pyramid over the steps of a video share.

Conventions are those of happyharrycn/actionformer_release, libs/modeling/meta_archs.py.
The functions are called inside a compact module, and their layers are that module's.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from vidjax.layers.sequence import ConvStack, SequenceConv, apply_mask
from vidjax.typing import Endpoints

# Probability of each class at the start (train_cfg.cls_prior_prob), and of classes that
# the training data does not have (libs/modeling/meta_archs.py).
_PRIOR, _EMPTY_PRIOR = 0.01, 1e-6


def score_classes(
    pyramid: list[Array],
    masks: list[Array],
    num_classes: int,
    width: int,
    *,
    kernel_size: int = 3,
    empty: tuple[int, ...] = (),
    names: tuple[str, str] = ("cls_head", "logits"),
) -> list[Array]:
    """Scores the points of each level.

    Args:
        pyramid: Levels, [B, T, D] each.
        masks: Which steps are of the video, [B, T] each.
        num_classes: Classes K.
        width: Channels of the head.
        kernel_size: Extent of its convolutions.
        empty: Classes that the training data does not have.
        names: Of its layers, and of the last one.

    Returns:
        Logits of each level, [B, T, K] float32.
    """
    head = ConvStack(
        width, kernel_size=kernel_size, dtype=pyramid[0].dtype, name=names[0]
    )
    last = SequenceConv(
        num_classes,
        (kernel_size,),
        use_bias=True,
        bias_init=functools.partial(_prior_bias, empty),
        name=names[1],
    )
    return [
        apply_mask(last(head(x, mask)), mask)
        for x, mask in zip(pyramid, masks, strict=True)
    ]


def _prior_bias(
    empty: tuple[int, ...], key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32
) -> Array:
    """A bias with which every class has its prior probability."""
    del key
    bias = jnp.full(shape, -math.log((1 - _PRIOR) / _PRIOR), dtype)
    return bias.at[jnp.array(empty, int)].set(
        -math.log((1 - _EMPTY_PRIOR) / _EMPTY_PRIOR)
    )


def regress(
    pyramid: list[Array],
    masks: list[Array],
    num_outputs: int,
    width: int,
    *,
    kernel_size: int = 3,
) -> list[Array]:
    """Regresses boundaries of each level.

    Args:
        pyramid: Levels, [B, T, D] each.
        masks: Which steps are of the video, [B, T] each.
        num_outputs: Numbers R a point.
        width: Channels of the head.
        kernel_size: Extent of its convolutions.

    Returns:
        Numbers of each level, not negative, [B, T, R] float32.
    """
    head = ConvStack(
        width, kernel_size=kernel_size, dtype=pyramid[0].dtype, name="reg_head"
    )
    last = SequenceConv(num_outputs, (kernel_size,), use_bias=True, name="offsets")
    found = []
    for i, (x, mask) in enumerate(zip(pyramid, masks, strict=True)):
        y = apply_mask(last(head(x, mask)), mask)
        found.append(nn.relu(LevelScale(name=f"offset_scale_{i}")(y)))
    return found


class LevelScale(nn.Module):
    """A learned factor."""

    @nn.compact
    def __call__(self, x: Float[Array, "b t r"]) -> Float[Array, "b t r"]:
        """Maps [B, T, R] to [B, T, R]."""
        scale = self.param("scale", nn.initializers.ones, ())
        return x * jnp.broadcast_to(scale, x.shape)


def join_levels(pyramid: list[Array], masks: list[Array]) -> Endpoints:
    """Returns "mask", "features" and "pooled" of all levels.

    Args:
        pyramid: Levels, [B, T, D] each.
        masks: Which steps are of the video, [B, T] each.

    Returns:
        [B, N] bool, [B, N, D], and [B, D], the mean of the features of the video.
    """
    features, mask = jnp.concatenate(pyramid, 1), jnp.concatenate(masks, 1)
    total = jnp.sum(apply_mask(features, mask), axis=1)
    count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
    return {"mask": mask, "features": features, "pooled": total / count}
