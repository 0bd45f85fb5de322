"""How good proposals are, segments without a class: AR@AN and the area under it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.localization.annotations import (
    Path,
    Policy,
    Segments,
    read_ground_truth,
    read_predictions,
)
from vidjax.localization.evaluation import thresholds

_STEPS = 100  # Points of the curve; eval_proposal.py.


@dataclasses.dataclass(frozen=True)
class ProposalResult:
    """How many actions proposals find.

    Attributes:
        tious: Thresholds of overlap, [S].
        proposals: Average number AN of proposals a video, [100] float64.
        recall: Share of the ground truth that is found, [S, 100] float64.
    """

    tious: tuple[float, ...]
    proposals: np.ndarray
    recall: np.ndarray

    @property
    def average_recall(self) -> np.ndarray:
        """Mean recall over the thresholds, AR, [100] float64."""
        return self.recall.mean(axis=0)

    @property
    def auc(self) -> float:
        """Area under AR over AN, over its width, in [0, 1]."""
        area = np.trapezoid(self.average_recall, self.proposals)
        return float(area / self.proposals[-1])

    def at(self, number: float) -> float:
        """Returns AR at an average number of proposals.

        Args:
            number: AN, such as 100.

        Returns:
            Interpolated between the points of the curve, in [0, 1].
        """
        return float(np.interp(number, self.proposals, self.average_recall))

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve, and recall by threshold along it, for JSON."""
        names = [f"{tiou:.2f}" for tiou in self.tious]
        return {
            "auc": self.auc,
            "proposals": self.proposals.tolist(),
            "average_recall": self.average_recall.tolist(),
            "recall": dict(zip(names, self.recall.tolist(), strict=True)),
        }


def evaluate_proposals(
    proposals: Path | Mapping[str, Any] | Segments,
    ground_truth: Path | Mapping[str, Any] | Segments,
    *,
    tious: str | Sequence[float] | np.ndarray = "activitynet",
    policy: Policy = "official",
    subset: str | None = None,
    max_proposals: int = 100,
) -> ProposalResult:
    """Measures proposals against annotated segments, whatever their labels.

    The number of proposals is the same share of those of each video, as published.

    Args:
        proposals: ActivityNet's JSON, a path or what is in it, or columns.
        ground_truth: The same.
        tious: Thresholds of overlap in (0, 1], [S], or a key of
            `vidjax.localization.evaluation.TIOUS`.
        policy: Which ground truth is left out, see
            `vidjax.localization.annotations.Policy`.
        subset: Videos that count; None takes all.
        max_proposals: Average number of proposals a video at the end of the curve.

    Returns:
        The curve.

    Raises:
        ValueError: If a file is not as it should be, there is no ground truth, or no
            video of it has a proposal.

    References:
        Caba Heilbron et al., "ActivityNet", CVPR 2015; as in activitynet/ActivityNet,
        Evaluation/eval_proposal.py.
    """
    levels = thresholds(tious)
    if not isinstance(proposals, Segments):
        proposals = read_predictions(proposals)
    if not isinstance(ground_truth, Segments):
        ground_truth = read_ground_truth(ground_truth, subset=subset, policy=policy)
    videos = list(dict.fromkeys(ground_truth.videos.tolist()))
    if not videos:
        raise ValueError("There is no ground truth to measure against.")
    share = max_proposals * len(videos) / max(len(proposals), 1)
    ours, theirs = (_rows_by_video(x) for x in (proposals, ground_truth))
    none = np.zeros(0, np.int64)
    tables = [
        _overlaps(proposals, ours.get(v, none), ground_truth, theirs[v], share)
        for v in videos
    ]
    total = sum(table.shape[1] for table in tables)
    if not total:
        raise ValueError("No video with ground truth has a proposal.")
    shares = np.arange(1, _STEPS + 1) / _STEPS * (max_proposals * len(videos) / total)
    found = np.zeros((len(levels), _STEPS))
    for table in tables:
        best = np.maximum.accumulate(np.pad(table, ((0, 0), (1, 0))), axis=1)
        count = np.minimum((table.shape[1] * shares).astype(int), table.shape[1])
        hits = best[:, count][None] >= levels[:, None, None]
        found += hits.sum(axis=1)
    return ProposalResult(
        tious=tuple(levels.tolist()),
        proposals=shares * (total / len(videos)),
        recall=found / len(ground_truth),
    )


def _rows_by_video(segments: Segments) -> dict[str, np.ndarray]:
    """Returns the rows of each video, the best first."""
    rows: dict[str, list[int]] = {}
    for row in np.argsort(-segments.scores, kind="stable"):
        rows.setdefault(str(segments.videos[row]), []).append(int(row))
    return {video: np.array(found) for video, found in rows.items()}


def _overlaps(
    proposals: Segments,
    ours: np.ndarray,
    truth: Segments,
    theirs: np.ndarray,
    share: float,
) -> np.ndarray:
    """Returns overlaps of a video's ground truth with its best proposals, [G, N]."""
    ours = ours[: min(int(len(ours) * share), len(ours))]
    start, end = proposals.start[ours], proposals.end[ours]
    low, high = truth.start[theirs][:, None], truth.end[theirs][:, None]
    shared = np.maximum(np.minimum(end, high) - np.maximum(start, low), 0.0)
    union = (end - start) + (high - low) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
