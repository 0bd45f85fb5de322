"""From what a detector says of every point to segments."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vidjax.localization.points import first_steps, level_steps, make_points
from vidjax.localization.trident import offsets_at
from vidjax.ops.segments import Kept, Suppression, Voting, nms


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How segments are taken from what a detector says.

    Attributes:
        ranges: For each level, see `make_points`.
        top_k: Candidates of each level.
        score_threshold: Candidates score more.
        min_length: They are longer, in steps.
        method: See `vidjax.ops.segments.Suppression`.
        iou_threshold: As for `vidjax.ops.segments.nms`.
        sigma: As there.
        min_score: As there.
        max_segments: As there.
        class_wise: As there.
        voting: As there.
        voting_threshold: As there.
    """

    ranges: tuple[tuple[int, int], ...]
    top_k: int = 2000
    score_threshold: float = 0.001
    min_length: float = 0.05
    method: Suppression = "gaussian"
    iou_threshold: float = 0.1
    sigma: float = 0.5
    min_score: float = 0.001
    max_segments: int = 200
    class_wise: bool = True
    voting: Voting = "score_iou"
    voting_threshold: float = 0.7


class Candidates(NamedTuple):
    """Segments before suppression, level after level, in each the best first.

    Attributes:
        segments: Start and end in steps, [B, M, 2] float32.
        scores: [B, M] float32.
        labels: [B, M] int32.
        valid: Which there are, [B, M] bool.
    """

    segments: Float[Array, "b m 2"]
    scores: Float[Array, "b m"]
    labels: Int[Array, "b m"]
    valid: Bool[Array, "b m"]


def decode(
    logits: Float[Array, "b n k"],
    endpoints: Mapping[str, Array],
    decoding: Decoding,
) -> Kept:
    """Returns the segments that a detector finds in videos.

    Args:
        logits: Of a detector, [B, N, K].
        endpoints: Of a detector: "mask" [B, N], and "offsets" [B, N, 2] (ActionFormer)
            or "bins" [B, N, 2 (B + 1)], "start_logits" and "end_logits" [B, N, K]
            (TriDet).
        decoding: How.

    Returns:
        Segments in steps, the best first, with a leading axis of videos.
    """
    found = candidates(logits, endpoints, decoding)
    return jax.vmap(functools.partial(suppress, decoding=decoding))(*found)


def suppress(
    segments: Float[Array, "m 2"],
    scores: Float[Array, " m"],
    labels: Int[Array, " m"],
    valid: Bool[Array, " m"],
    *,
    decoding: Decoding,
) -> Kept:
    """Drops candidates of one video that better ones overlap.

    Args:
        segments: Start and end, [M, 2].
        scores: [M].
        labels: [M].
        valid: Which there are, [M].
        decoding: How.

    Returns:
        What is left, the best first.
    """
    return nms(
        segments,
        scores,
        labels,
        valid=valid,
        method=decoding.method,
        iou_threshold=decoding.iou_threshold,
        sigma=decoding.sigma,
        min_score=decoding.min_score,
        max_segments=decoding.max_segments,
        class_wise=decoding.class_wise,
        voting=decoding.voting,
        voting_threshold=decoding.voting_threshold,
    )


def candidates(
    logits: Float[Array, "b n k"],
    endpoints: Mapping[str, Array],
    decoding: Decoding,
) -> Candidates:
    """Returns the best points and classes of each level, as segments.

    Args:
        logits: Of a detector, [B, N, K].
        endpoints: [B, N, ...], as for `decode`.
        decoding: How.

    Returns:
        M candidates of each video.

    References:
        Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with
        Transformers", ECCV 2022, Sec. 3.4, https://arxiv.org/abs/2202.07925; as in
        libs/modeling/meta_archs.py.
    """
    levels = len(decoding.ranges)
    steps = first_steps(logits.shape[1], levels)
    points = make_points(steps, decoding.ranges)
    parts = {"logits": logits, **{n: endpoints[n] for n in _used(endpoints)}}
    one = jax.vmap(functools.partial(_level, decoding=decoding), (0, None))
    found, start = [], 0
    for count in level_steps(steps, levels):
        cut = {name: a[:, start : start + count] for name, a in parts.items()}
        found.append(one(cut, points[start : start + count]))
        start += count
    return Candidates(*(jnp.concatenate(part, 1) for part in zip(*found, strict=True)))


def _used(endpoints: Mapping[str, Array]) -> Sequence[str]:
    if "offsets" in endpoints:
        return ("mask", "offsets")
    return ("mask", "bins", "start_logits", "end_logits")


def _level(
    parts: Mapping[str, Array], points: Array, *, decoding: Decoding
) -> Candidates:
    """Returns the candidates of one level of one video."""
    num_classes = parts["logits"].shape[-1]
    scores = jax.nn.sigmoid(parts["logits"])
    scores = jnp.where(parts["mask"][:, None], scores, 0.0).reshape(-1)
    best, index = jax.lax.top_k(scores, min(decoding.top_k, len(scores)))
    point, label = index // num_classes, index % num_classes
    if "offsets" in parts:
        offsets = parts["offsets"][point]
    else:
        offsets = offsets_at(
            parts["bins"],
            parts["start_logits"],
            parts["end_logits"],
            point=point,
            label=label,
        )
    place, stride = points[point, 0], points[point, 3]
    start = place - offsets[:, 0] * stride
    end = place + offsets[:, 1] * stride
    valid = (best > decoding.score_threshold) & (end - start > decoding.min_length)
    return Candidates(jnp.stack([start, end], -1), best, label, valid)
