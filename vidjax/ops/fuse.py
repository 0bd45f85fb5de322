"""Scores of several networks, or streams of one, as one."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

FuseAt = Literal["logits", "softmax"]


def fuse_scores(
    logits: Sequence[Float[Array, "b k"]],
    *,
    weights: Sequence[float],
    at: FuseAt = "logits",
) -> Float[Array, "b k"]:
    """Adds the weighted scores of S networks.

    Args:
        logits: Scores before softmax, S arrays [B, K].
        weights: Weight of each, S numbers that are not negative and not all zero.
        at: "logits" adds the scores before softmax, "softmax" the probabilities.

    Returns:
        [B, K] float32: the sum of w_s * logits_s, or the logarithm of the mean
        probabilities, weighted by w_s.

    Raises:
        ValueError: If `at` is unknown, or the weights are not as they should be.

    Example:
        >>> rgb, flow = jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 2.0]])
        >>> fuse_scores([rgb, flow], weights=(1.0, 1.5)).tolist()
        [[2.0, 3.0]]

    References:
        Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action
        Recognition in Videos", NeurIPS 2014, https://arxiv.org/abs/1406.2199, Sec. 6,
        average softmax scores; Wang et al., "Temporal Segment Networks", ECCV 2016, and
        Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, add scores
        before softmax.
    """
    if at not in ("logits", "softmax"):
        raise ValueError(f'at must be "logits" or "softmax", got {at!r}.')
    if len(weights) != len(logits) or min(weights) < 0 or not any(weights):
        raise ValueError(
            f"Expected {len(logits)} weights that are not negative and not all zero, "
            f"got {tuple(weights)}."
        )
    scores = [score.astype(jnp.float32) for score in logits]
    if at == "logits":
        parts = [weight * score for weight, score in zip(weights, scores, strict=True)]
        return sum(parts[1:], parts[0])
    total = sum(weights)
    parts = [
        jax.nn.log_softmax(score) + jnp.log(weight / total)
        for weight, score in zip(weights, scores, strict=True)
        if weight
    ]
    return jax.nn.logsumexp(jnp.stack(parts), axis=0)
