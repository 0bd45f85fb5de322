"""Proposals from boundary probabilities and a map of confidences (BMN).

Reference:
    Lin et al., "BMN: Boundary-Matching Network for Temporal Action Proposal
    Generation", ICCV 2019, Sec. 3.5, https://arxiv.org/abs/1907.09702; constants as in
    MMAction2, mmaction/models/localizers/bmn.py and its configs.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vidjax.ops.segments import Kept, temporal_iou

_ALPHA = 0.4  # soft_nms_alpha.
_LOW, _HIGH = 0.5, 0.9  # soft_nms_low_threshold, soft_nms_high_threshold.
_STRONG = 0.5  # Share of the largest probability that makes a boundary.


@dataclasses.dataclass(frozen=True)
class Matching:
    """How proposals are taken from what BMN says.

    Attributes:
        max_segments: Proposals of a video; post_process_top_k.
    """

    max_segments: int = 100


def propose(
    logits: Float[Array, "b n k"],
    endpoints: Mapping[str, Array],
    *,
    max_segments: int = 100,
) -> Kept:
    """Returns the proposals of videos.

    Args:
        logits: Of BMN, [B, T * T, 2].
        endpoints: Of BMN: "start" and "end", [B, T].
        max_segments: Proposals M of a video.

    Returns:
        Proposals in shares of the video, in [0, 1], the best first, with a leading axis
        of videos; all labels are 0.
    """

    def one(scores: Array, start: Array, end: Array) -> Kept:
        segments, quality, valid = match_boundaries(scores, start, end)
        return _suppress(segments, quality, valid, max_segments)

    probable = map(jax.nn.sigmoid, (logits, endpoints["start"], endpoints["end"]))
    return jax.vmap(one)(*probable)


def match_boundaries(
    scores: Float[Array, "n k"], start: Float[Array, " t"], end: Float[Array, " t"]
) -> tuple[Float[Array, "n 2"], Float[Array, " n"], Bool[Array, " n"]]:
    """Joins likely starts and ends of one video.

    Args:
        scores: Confidences of the pairs of a duration and a start, [T * T, 2].
        start: Probability that an action starts at each step, [T].
        end: Probability that one ends there, [T].

    Returns:
        Start and end of each pair in shares of the video [T * T, 2], the product of its
        probabilities and confidences [T * T], and whether it joins two boundaries.
    """
    steps = len(start)
    duration = jnp.arange(1, steps + 1)[:, None]
    first = jnp.broadcast_to(jnp.arange(steps)[None], (steps, steps))
    last = first + duration
    inside = last < steps
    last = jnp.minimum(last, steps - 1)
    starts = _boundaries(start).at[0].set(True)
    ends = _boundaries(end).at[-1].set(True)
    valid = inside & starts[first] & ends[last]
    quality = start[first] * end[last] * jnp.prod(scores, 1).reshape(steps, steps)
    segments = jnp.stack([first, last], -1) / steps
    return segments.reshape(-1, 2), quality.reshape(-1), valid.reshape(-1)


def _boundaries(chance: Array) -> Array:
    """Peaks and high places, but for the first and the last step."""
    before, here, after = chance[:-2], chance[1:-1], chance[2:]
    peak = (here > before) & (here > after)
    high = here > _STRONG * jnp.max(chance)
    return jnp.pad(peak | high, 1)


def _suppress(segments: Array, scores: Array, valid: Array, count: int) -> Kept:
    """Soft suppression whose threshold grows with the length of what is taken."""

    def take(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple]:
        scores, alive = state
        best = jnp.argmax(jnp.where(alive, scores, -1.0))
        found, score = alive[best], scores[best]
        width = segments[best, 1] - segments[best, 0]
        overlap = temporal_iou(segments[best][None], segments)[0]
        near = overlap > _LOW + (_HIGH - _LOW) * width
        lower = scores * jnp.exp(-jnp.square(overlap) / _ALPHA)
        alive = alive.at[best].set(False)
        return (jnp.where(near, lower, scores), alive), (best, score, found)

    _, (best, score, found) = jax.lax.scan(take, (scores, valid), length=count)
    return Kept(
        segments=jnp.where(found[:, None], segments[best], 0.0),
        scores=jnp.where(found, score, 0.0),
        labels=jnp.zeros(count, jnp.int32),
        source=jnp.where(found, best, -1).astype(jnp.int32),
        valid=found,
    )
