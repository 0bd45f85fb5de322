"""Segments of time: their overlap, and the choice among those that overlap."""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Suppression = Literal["hard", "linear", "gaussian"]
"""What becomes of the score s of a segment that overlaps a better one by u: "hard"
drops it where u >= iou_threshold, "linear" makes it s * (1 - u) there, and "gaussian"
makes it s * exp(-u^2 / sigma) everywhere."""

Voting = Literal["score", "score_iou"]
"""What a segment's neighbours weigh when it moves to their mean: their score (TriDet,
OpenTAD), or that times their overlap with it (ActionFormer)."""

_LENGTH_OFFSET = 1e-6  # ActionFormer, libs/utils/csrc/nms_cpu.cpp.


class Kept(NamedTuple):
    """Segments that suppression left, the best first; M places, some of them empty.

    Attributes:
        segments: Start and end, [M, 2] float32.
        scores: After suppression, [M] float32; 0 in empty places.
        labels: Classes, [M] int32.
        source: Which of the given segments each is, [M] int32; -1 in empty places.
        valid: Which places are filled, [M] bool: the first ones.
    """

    segments: Float[Array, "m 2"]
    scores: Float[Array, " m"]
    labels: Int[Array, " m"]
    source: Int[Array, " m"]
    valid: Bool[Array, " m"]


def temporal_iou(
    first: Float[Array, "n 2"], second: Float[Array, "m 2"]
) -> Float[Array, "n m"]:
    """Returns the intersection of segments over their union.

    Args:
        first: Starts and ends, [N, 2], in any unit.
        second: Starts and ends, [M, 2], in the same unit.

    Returns:
        [N, M] in [0, 1]; 0 where both segments are empty.

    Example:
        >>> temporal_iou(jnp.array([[0.0, 2.0]]), jnp.array([[1.0, 3.0]])).round(4)
        Array([[0.3333]], dtype=float32)
    """
    shared, union = _overlap(first[:, None], second[None], 0.0)
    return shared / jnp.where(union > 0, union, 1.0)


def nms(
    segments: Float[Array, "n 2"],
    scores: Float[Array, " n"],
    labels: Int[Array, " n"] | None = None,
    *,
    valid: Bool[Array, " n"] | None = None,
    method: Suppression = "gaussian",
    iou_threshold: float = 0.1,
    sigma: float = 0.5,
    min_score: float = 0.001,
    max_segments: int = 200,
    class_wise: bool = True,
    voting: Voting = "score_iou",
    voting_threshold: float = 0.0,
) -> Kept:
    """Takes segments by falling score, each lowering the scores of those it overlaps.

    Shapes do not depend on values, so that it runs under `jax.jit`, and over videos
    under `jax.vmap`. Of equal scores, the first segment wins.

    Args:
        segments: Start and end, [N, 2] float32, in any unit.
        scores: [N] float32, not negative.
        labels: Classes, [N] integers; None means that there is one.
        valid: Which segments there are, [N] bool; None means all.
        method: See `Suppression`.
        iou_threshold: See `Suppression`.
        sigma: See `Suppression`.
        min_score: Scores that fall below it are dropped.
        max_segments: Segments M that are kept at most.
        class_wise: Whether segments of different classes leave each other alone.
        voting: See `Voting`.
        voting_threshold: Segments that are left move to the weighted mean of all given
            ones that overlap them at least so much, whatever their class; 0 leaves them
            where they are. As published, nothing moves if `class_wise`.

    Returns:
        The segments that are left.

    Raises:
        ValueError: If `method` or `voting` is unknown, or `max_segments` not positive.

    Example:
        >>> found = jnp.array([[0.0, 10.0], [1.0, 10.0], [20.0, 25.0]])
        >>> kept = nms(found, jnp.array([0.9, 0.8, 0.7]), method="hard", max_segments=3)
        >>> kept.source.tolist()
        [0, 2, -1]

    References:
        Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", ICCV
        2017, https://arxiv.org/abs/1704.04503; constants and order as in
        happyharrycn/actionformer_release, libs/utils/nms.py.
    """
    _check(method, voting, max_segments)
    if labels is None:
        labels = jnp.zeros(scores.shape, jnp.int32)
    labels = labels.astype(jnp.int32)
    alive = jnp.ones(scores.shape, bool) if valid is None else valid
    if method == "hard":
        alive = alive & (scores > min_score)
    given = jnp.where(alive, scores, 0.0)

    def weights(overlap: Array) -> Array:
        if method == "gaussian":
            return jnp.exp(-jnp.square(overlap) / sigma)
        less = 0.0 if method == "hard" else 1.0 - overlap
        return jnp.where(overlap >= iou_threshold, less, 1.0)

    def take(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple]:
        scores, alive = state
        best = jnp.argmax(jnp.where(alive, scores, -1.0))
        found, score = alive[best], scores[best]
        near = (labels == labels[best]) | (not class_wise)
        shared, union = _overlap(segments[best][None], segments, _LENGTH_OFFSET)
        scores = jnp.where(near, scores * weights(shared / union), scores)
        alive = alive & ~(near & (scores < min_score))
        alive = alive.at[best].set(False)
        return (scores, alive), (best, score, found)

    _, (best, score, found) = jax.lax.scan(take, (given, alive), length=max_segments)
    left = segments[best]
    if voting_threshold > 0 and not class_wise:
        left = _vote(left, segments, given, voting_threshold, voting)
    return Kept(
        segments=jnp.where(found[:, None], left, 0.0),
        scores=jnp.where(found, score, 0.0),
        labels=jnp.where(found, labels[best], 0),
        source=jnp.where(found, best, -1).astype(jnp.int32),
        valid=found,
    )


def _overlap(first: Array, second: Array, offset: float) -> tuple[Array, Array]:
    """Returns intersection and union; `offset` is added to both lengths."""
    start = jnp.maximum(first[..., 0], second[..., 0])
    end = jnp.minimum(first[..., 1], second[..., 1])
    shared = jnp.maximum(end - start, 0.0)
    lengths = [s[..., 1] - s[..., 0] + offset for s in (first, second)]
    return shared, lengths[0] + lengths[1] - shared


def _vote(
    kept: Array, segments: Array, scores: Array, threshold: float, voting: Voting
) -> Array:
    """Moves segments [M, 2] to the weighted means of their neighbours."""
    overlap = temporal_iou(kept, segments)
    weights = jnp.where(overlap >= threshold, scores[None], 0.0)
    if voting == "score_iou":
        weights = weights * overlap
    total = jnp.sum(weights, axis=1, keepdims=True)
    means = jnp.matmul(
        weights / jnp.where(total > 0, total, 1.0),
        segments,
        precision=jax.lax.Precision.HIGHEST,
    )
    return jnp.where(total > 0, means, kept)


def _check(method: str, voting: str, max_segments: int) -> None:
    wrong = [
        f"{name} must be one of {', '.join(map(repr, get_args(known)))}, got {given!r}"
        for name, given, known in (
            ("method", method, Suppression),
            ("voting", voting, Voting),
        )
        if given not in get_args(known)
    ]
    if max_segments < 1:
        wrong.append(f"max_segments must be positive, got {max_segments}")
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}.")
