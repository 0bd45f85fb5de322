"""Segments from the scores of a classifier that slides over a video, untrained.

References:
    Zhao et al., "Temporal Action Detection with Structured Segment Networks", ICCV
    2017, https://arxiv.org/abs/1704.06228, Sec. 3.4: a signal is flooded at several
    levels, and neighbouring basins are grouped while enough of the group is above the
    water. Shou et al., "AutoLoc: Weakly-supervised Temporal Action Localization in
    Untrimmed Videos", ECCV 2018, https://arxiv.org/abs/1807.08333, Sec. 3.3: a segment
    is scored by its mean less that of what lies around it.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

_LEVELS = tuple(np.arange(1, 10) / 10)


@dataclasses.dataclass(frozen=True)
class Grouping:
    """How scores become segments. The numbers are ours.

    Attributes:
        smoothing: Standard deviation, in steps, of the Gaussian that smooths scores
            over time; 0 leaves them.
        levels: Shares of the highest score of a class at which its signal is flooded.
        shares: Shares of a group's steps that have to be above the water.
        min_score: Segments that do not stand out by so much are left out.
        margin: What lies around a segment, on each side, as a share of its length
            (AutoLoc has 1/4, with which a short gap cuts an action).
        snap: Steps by which an edge may move to a cut of the video.
        overlap: Share of the shorter of two segments, whatever their classes, from
            which only the better one is kept.
        max_segments: Most segments of a video.
    """

    smoothing: float = 1.0
    levels: tuple[float, ...] = _LEVELS
    shares: tuple[float, ...] = (0.6, 0.8, 1.0)
    min_score: float = 0.3
    margin: float = 0.5
    snap: float = 2.0
    overlap: float = 0.5
    max_segments: int = 1000


class Found(NamedTuple):
    """Segments, the best first.

    Attributes:
        segments: First step and the one behind the last, [N, 2] float32; between two
            steps where an edge is at a cut.
        scores: Mean score inside less that around, in (0, 1], [N] float32.
        labels: Classes, [N] int32.
    """

    segments: Float[np.ndarray, "n 2"]
    scores: Float[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]


def group_scores(
    probabilities: Float[np.ndarray, "t k"],
    grouping: Grouping | None = None,
    *,
    cuts: Num[np.ndarray, " n"] | None = None,
) -> Found:
    """Finds the segments in which a class stands out.

    Args:
        probabilities: Of each step and class, in [0, 1], [T, K].
        grouping: How; None takes the defaults.
        cuts: Where shots of the video begin, in steps, rising, [N]; an action that
            seems to start or end near a cut does so there.

    Returns:
        The segments.

    Raises:
        ValueError: If there are no steps.

    Example:
        >>> scores = np.zeros((20, 3), np.float32)
        >>> scores[5:11, 2] = 0.9
        >>> found = group_scores(scores, Grouping(smoothing=0.0))
        >>> found.segments.tolist(), found.labels.tolist()
        ([[5.0, 11.0]], [2])
    """
    grouping = grouping or Grouping()
    if not len(probabilities):
        raise ValueError(f"Expected scores [T, K], got {probabilities.shape}.")
    smooth = smooth_scores(probabilities, grouping.smoothing)
    rows = []
    for label in np.flatnonzero(smooth.max(axis=0) >= grouping.min_score):
        signal = smooth[:, label]
        for start, end in sorted(_proposals(signal, grouping)):
            score = contrast(signal, start, end, margin=grouping.margin)
            rows.append((start, end, score, int(label)))
    rows = [row for row in rows if row[2] >= grouping.min_score]
    table = np.array(rows, np.float32).reshape(-1, 4)
    if cuts is not None and len(cuts):
        table[:, :2] = snap_edges(table[:, :2], cuts, reach=grouping.snap)
    table = table[_one_at_a_time(table, grouping.overlap)[: grouping.max_segments]]
    return Found(table[:, :2], table[:, 2], table[:, 3].astype(np.int32))


def snap_edges(
    segments: Float[np.ndarray, "n 2"], cuts: Num[np.ndarray, " m"], *, reach: float
) -> Float[np.ndarray, "n 2"]:
    """Moves the edges of segments to cuts that are near.

    Args:
        segments: Starts and ends, [N, 2].
        cuts: Where shots begin, rising, [M], at least one.
        reach: How far an edge may move.

    Returns:
        [N, 2]; a segment whose edges would meet stays as it is.

    Example:
        >>> segments = np.array([[1.0, 7.0], [4.2, 4.8]])
        >>> snap_edges(segments, np.array([4.5, 6.0]), reach=1.0).tolist()
        [[1.0, 6.0], [4.2, 4.8]]
    """
    behind = np.searchsorted(cuts, segments).clip(1, max(len(cuts) - 1, 1))
    near = np.stack([cuts[behind - 1], cuts[np.minimum(behind, len(cuts) - 1)]])
    away = np.abs(near - segments)
    nearest = np.where(away[0] <= away[1], near[0], near[1])
    moved = np.where(away.min(axis=0) <= reach, nearest, segments)
    return np.where((moved[:, 1] > moved[:, 0])[:, None], moved, segments)


def smooth_scores(
    scores: Float[np.ndarray, "t k"], sigma: float
) -> Float[np.ndarray, "t k"]:
    """Smooths scores over time by a Gaussian; what is beyond the ends has no weight.

    Args:
        scores: [T, K].
        sigma: Standard deviation in steps; 0 leaves the scores.

    Returns:
        [T, K].

    Example:
        >>> peak = np.array([[0.0], [1.0], [0.0]])
        >>> smooth_scores(peak, 1.0).round(2).ravel().tolist()
        [0.35, 0.45, 0.35]
    """
    if sigma == 0:
        return scores
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(scores, ((reach, reach), (0, 0)))
    there = np.pad(np.ones((len(scores), 1)), ((reach, reach), (0, 0)))
    total, weight = (
        sum(w * x[i : i + len(scores)] for i, w in enumerate(weights))
        for x in (padded, there)
    )
    return np.asarray(total / weight, scores.dtype)


def contrast(
    signal: Float[np.ndarray, " t"], start: int, end: int, *, margin: float
) -> float:
    """Returns the mean of a segment less that of what lies around it.

    Args:
        signal: Scores of a class, [T].
        start: First step of the segment.
        end: The step behind its last one.
        margin: Length of what lies on each side, as a share of the segment's; at least
            one step.

    Returns:
        The difference; steps beyond the ends of the video count as nothing.

    Example:
        >>> contrast(np.array([0.0, 0.5, 1.0, 1.0, 0.5]), 2, 4, margin=0.5)
        0.5
    """
    reach = max(1, round((end - start) * margin))
    before, behind = signal[max(start - reach, 0) : start], signal[end:][:reach]
    around = np.concatenate([before, behind])
    outside = around.mean() if around.size else 0.0
    return float(signal[start:end].mean() - outside)


def _proposals(
    signal: Float[np.ndarray, " t"], grouping: Grouping
) -> set[tuple[int, int]]:
    """Groups of basins over all levels and shares."""
    found = set()
    for level in grouping.levels:
        runs = _runs(signal >= level * signal.max())
        for share in grouping.shares:
            found |= set(_groups(runs, share))
    return found


def _runs(above: np.ndarray) -> list[tuple[int, int]]:
    """First steps, and those behind the last, of what is above the water."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _groups(runs: list[tuple[int, int]], share: float) -> list[tuple[int, int]]:
    """Joins each run with those behind it while enough of the group is above water."""
    groups = []
    for i, (start, end) in enumerate(runs):
        above = end - start
        for after, last in itertools.islice(runs, i + 1, None):
            if (above + last - after) / (last - start) < share:
                break
            above, end = above + last - after, last
        groups.append((start, end))
    return groups


def _one_at_a_time(table: np.ndarray, share: float) -> list[int]:
    """Which rows (start, end, score, label) are kept, the best first."""
    left, kept = np.argsort(-table[:, 2], kind="stable"), []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        start, end = table[best, :2]
        starts, ends = table[left, 0], table[left, 1]
        inside = np.minimum(ends, end) - np.maximum(starts, start)
        left = left[inside < share * np.minimum(ends - starts, end - start)]
    return kept
