"""What BMN learns: where actions start and end, and how well each proposal fits.

Reference:
    Lin et al., "BMN: Boundary-Matching Network for Temporal Action Proposal
    Generation", ICCV 2019, Sec. 3.4, https://arxiv.org/abs/1907.09702; constants as in
    MMAction2, mmaction/models/losses/bmn_loss.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vidjax.ops.segments import temporal_iou

_BOUNDARY = 3.0  # Steps around a start or an end that count as it.
_ANCHOR = 2.0  # Steps that a point of a curve stands for.
_BOUNDARY_POSITIVE = 0.5  # Overlap from which a point is one.
_FITTING, _MEDIUM, _LOW = 0.9, 0.7, 0.3  # Overlaps that part proposals.
_RATIOS = (1.05, 21.0)  # Of all entries to positive ones, which weights follow.
_EPSILON = 1e-5
_REGRESSION_WEIGHT = 10.0


class BoundaryTargets(NamedTuple):
    """What BMN should say of a video.

    Attributes:
        overlap: With the action that each proposal overlaps most, [D, T]: durations of
            1, 2, ... T steps, and starts; 0 for those that end behind the video.
        start: Share of each point of the curve that an action's start covers, [T].
        end: The same for ends, [T].
    """

    overlap: Float[Array, "*b d t"]
    start: Float[Array, "*b t"]
    end: Float[Array, "*b t"]


def boundary_targets(
    segments: Float[Array, "g 2"], valid: Bool[Array, " g"], *, steps: int
) -> BoundaryTargets:
    """Returns what BMN should say of a video.

    Args:
        segments: Start and end of actions, in shares of the video, [G, 2].
        valid: Which there are, [G].
        steps: Steps T of the curves.

    Returns:
        The targets, float32.

    Example:
        >>> found = boundary_targets(
        ...     jnp.array([[0.25, 0.75]]), jnp.array([True]), steps=4
        ... )
        >>> found.overlap[1].tolist()  # Two of four steps long.
        [0.3333333432674408, 1.0, 0.3333333432674408, 0.0]
    """
    ends = jnp.clip(segments, 0.0, 1.0) * steps
    place = jnp.arange(steps, dtype=jnp.float32)
    last = place[None] + jnp.arange(1, steps + 1)[:, None]
    first = jnp.broadcast_to(place[None], last.shape)
    proposals = jnp.stack([first, last], -1).reshape(-1, 2)
    overlap = jnp.where(valid[None], temporal_iou(proposals, ends), 0.0)
    overlap = jnp.max(overlap, 1, initial=0.0).reshape(steps, steps)

    def covered(boundary: Array) -> Array:
        near = jnp.abs(place[:, None] + 0.5 - boundary[None])
        shared = jnp.clip((_BOUNDARY + _ANCHOR) / 2 - near, 0.0, _ANCHOR)
        share = jnp.where(valid[None], shared / _ANCHOR, 0.0)
        return jnp.max(share, 1, initial=0.0)

    return BoundaryTargets(
        jnp.where(last <= steps, overlap, 0.0), covered(ends[:, 0]), covered(ends[:, 1])
    )


class BoundaryLoss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: What is minimised, [] float32: 10 times the regression, and the others.
        boundary: Of starts and ends.
        regression: Of the overlaps of proposals.
        classification: Of which proposals fit.
    """

    total: Float[Array, ""]
    boundary: Float[Array, ""]
    regression: Float[Array, ""]
    classification: Float[Array, ""]


def boundary_loss(
    logits: Float[Array, "b n 2"],
    start: Float[Array, "b t"],
    end: Float[Array, "b t"],
    targets: BoundaryTargets,
    chances: Float[Array, "2 b d t"],
) -> BoundaryLoss:
    """Returns the loss of BMN.

    Args:
        logits: Of the pairs of a duration and a start, by regression and by
            classification, before the sigmoid, [B, T * T, 2].
        start: Logits of starts, [B, T].
        end: Logits of ends, [B, T].
        targets: For each video, [B, ...].
        chances: Uniform in [0, 1), [2, B, T, T]: which proposals of medium and of low
            overlap are learned from, about as many of each as there are of high
            overlap.

    Returns:
        The loss; sums run over the whole batch.
    """
    batch, steps = start.shape
    found = jax.nn.sigmoid(logits).reshape(batch, steps, steps, 2)
    inside = jnp.arange(steps)[None] + jnp.arange(1, steps + 1)[:, None] <= steps
    inside = jnp.broadcast_to(inside[None], targets.overlap.shape)
    everywhere = jnp.ones_like(start, bool)
    boundary = sum(
        _balanced(jax.nn.sigmoid(curve), wanted > _BOUNDARY_POSITIVE, everywhere)
        for curve, wanted in ((start, targets.start), (end, targets.end))
    )
    regression = _regression(found[..., 0], targets.overlap, chances)
    classification = _balanced(found[..., 1], targets.overlap > _FITTING, inside)
    total = boundary + _REGRESSION_WEIGHT * regression + classification
    return BoundaryLoss(total, jnp.asarray(boundary), regression, classification)


def _balanced(chance: Array, positive: Array, counts: Array) -> Array:
    """Cross-entropy in which positive entries and others weigh about the same."""
    entries, many = jnp.sum(counts), jnp.maximum(jnp.sum(positive), 1)
    ratio = jnp.clip(entries / many, *_RATIOS)
    hit = 0.5 * ratio * jnp.log(chance + _EPSILON)
    miss = 0.5 * ratio / (ratio - 1) * jnp.log(1 - chance + _EPSILON)
    weighed = jnp.where(positive, hit, jnp.where(counts, miss, 0.0))
    return -jnp.sum(weighed) / entries


def _regression(found: Array, wanted: Array, chances: Array) -> Array:
    """Squared error over proposals of high, medium and low overlap, as many of each."""
    high = wanted > _MEDIUM
    medium = (wanted > _LOW) & ~high
    low = (wanted > 0) & (wanted <= _LOW)
    count, learned = jnp.sum(high), high
    for part, chance in zip((medium, low), chances, strict=True):
        share = count / jnp.maximum(jnp.sum(part), 1)
        learned = learned | (part & (chance > 1 - share))
    error = jnp.sum(jnp.where(learned, jnp.square(found - wanted), 0.0))
    return 0.5 * error / jnp.maximum(jnp.sum(learned), 1)
