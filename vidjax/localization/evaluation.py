"""How good predicted segments are: mAP over thresholds of overlap, and recall."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.localization.annotations import (
    Label,
    Path,
    Policy,
    Segments,
    read_ground_truth,
    read_predictions,
)
from vidjax.localization.average_precision import average_precision, match, recall_at

TIOUS: Mapping[str, tuple[float, ...]] = {
    "thumos14": tuple(np.linspace(0.3, 0.7, 5)),
    "activitynet": tuple(np.linspace(0.5, 0.95, 10)),
    "hacs": tuple(np.linspace(0.5, 0.95, 10)),
    "epic": tuple(np.linspace(0.1, 0.5, 5)),
    "ego4d": tuple(np.linspace(0.1, 0.5, 5)),
    "multithumos": tuple(np.linspace(0.1, 0.9, 9)),
    "charades": tuple(np.linspace(0.1, 0.9, 9)),
}
"""Thresholds of overlap by data set, those of the published evaluations."""


@dataclasses.dataclass(frozen=True)
class DetectionResult:
    """How good predicted segments are.

    Attributes:
        policy: How files that are not as they should be were read.
        tious: Thresholds of overlap, [S].
        classes: Names or numbers of the K classes with ground truth, sorted.
        ap: Average precision, [S, K] float64 in [0, 1].
        recall: By k, recall of the best k * x predictions, [S, K] float64.
        num_truth: Ground truth that counted.
        num_predictions: Predictions that counted.
    """

    policy: Policy
    tious: tuple[float, ...]
    classes: tuple[Label, ...]
    ap: np.ndarray
    recall: Mapping[int, np.ndarray]
    num_truth: int
    num_predictions: int

    @property
    def map(self) -> np.ndarray:
        """Mean average precision over the classes, [S]."""
        return self.ap.mean(axis=1)

    @property
    def average_map(self) -> float:
        """Its mean over the thresholds."""
        return float(self.map.mean())

    def to_dict(self) -> dict[str, Any]:
        """Returns policy, mAP and recall by threshold, and AP by class, for JSON."""
        names = [f"{tiou:.2f}" for tiou in self.tious]
        return {
            "policy": self.policy,
            "average_map": self.average_map,
            "map": dict(zip(names, self.map.tolist(), strict=True)),
            "recall": {
                f"{k}x": dict(zip(names, r.mean(axis=1).tolist(), strict=True))
                for k, r in self.recall.items()
            },
            "ap": {
                str(c): dict(zip(names, self.ap[:, i].tolist(), strict=True))
                for i, c in enumerate(self.classes)
            },
            "ground_truth": self.num_truth,
            "predictions": self.num_predictions,
        }


def evaluate(
    predictions: Path | Mapping[str, Any] | Segments,
    ground_truth: Path | Mapping[str, Any] | Segments,
    *,
    tious: str | Sequence[float] | np.ndarray = "thumos14",
    policy: Policy = "default",
    subset: str | None = None,
    blocked: Collection[str] = (),
    recall: Sequence[int] = (1, 5),
) -> DetectionResult:
    """Measures predicted segments against annotated ones.

    Ties are broken always alike: of equal scores the first prediction goes first by
    "default", the last by the other policies, as in the published code.

    Args:
        predictions: ActivityNet's JSON, a path or what is in it, or columns.
        ground_truth: The same; labels are matched with the predictions' as names, or
            with "label_id" where the predictions' are numbers.
        tious: Thresholds of overlap in (0, 1], [S], or a key of `TIOUS`.
        policy: See `vidjax.localization.annotations.Policy`.
        subset: Videos whose ground truth counts, such as "validation"; None takes all.
            Predictions in other videos are wrong, as in the published code.
        blocked: Videos that count in nothing.
        recall: Each k of recall at k * x.

    Returns:
        Average precision and recall, with the policy.

    Raises:
        ValueError: If a file is not as it should be, there is no ground truth, a
            threshold or k is out of range, or `policy` is "official" and a predicted
            label has no ground truth.

    Example:
        >>> truth = {"a": {"annotations": [{"label": "run", "segment": [1, 3]}]}}
        >>> found = {"a": [{"label": "run", "score": 0.9, "segment": [1, 2.5]}]}
        >>> evaluate(found, truth, tious=(0.5, 0.9)).map.tolist()
        [1.0, 0.0]
    """
    levels = thresholds(tious)
    if any(k < 1 for k in recall):
        raise ValueError(f"recall must hold positive numbers, got {tuple(recall)}.")
    if not isinstance(predictions, Segments):
        predictions = read_predictions(predictions, blocked=blocked)
    if not isinstance(ground_truth, Segments):
        ground_truth = read_ground_truth(
            ground_truth,
            subset=subset,
            policy=policy,
            label="label_id" if _numbered(predictions) else "label",
            blocked=blocked,
        )
    if not len(ground_truth):
        raise ValueError("There is no ground truth to measure against.")
    classes = tuple(sorted(set(ground_truth.labels.tolist())))
    index = {label: i for i, label in enumerate(classes)}
    numbers = _number(predictions, index, policy)
    known = numbers >= 0
    counted = _take(predictions, known)
    found = match(
        counted,
        ground_truth,
        classes=numbers[known],
        truth_classes=np.array([index[x] for x in ground_truth.labels.tolist()]),
        first_wins=policy == "default",
    )
    return DetectionResult(
        policy=policy,
        tious=tuple(levels.tolist()),
        classes=classes,
        ap=average_precision(found, len(classes), levels),
        recall={k: recall_at(found, len(classes), levels, k) for k in recall},
        num_truth=len(ground_truth),
        num_predictions=len(counted),
    )


def thresholds(tious: str | Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns thresholds of overlap.

    Args:
        tious: Numbers in (0, 1], [S], or a key of `TIOUS`.

    Returns:
        [S] float64.

    Raises:
        ValueError: If the name is unknown, or a number out of range.
    """
    if isinstance(tious, str):
        if tious not in TIOUS:
            near = difflib.get_close_matches(tious, TIOUS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"No thresholds are known for {tious!r}.{hint} Known: "
                f"{', '.join(TIOUS)}."
            )
        tious = TIOUS[tious]
    levels = np.asarray(tious, np.float64)
    if levels.ndim != 1 or not len(levels) or not ((levels > 0) & (levels <= 1)).all():
        raise ValueError(f"tious must be a list of numbers in (0, 1], got {tious}.")
    return levels


def _numbered(predictions: Segments) -> bool:
    return bool(len(predictions)) and not isinstance(predictions.labels[0], str)


def _number(
    predictions: Segments, index: Mapping[Label, int], policy: Policy
) -> np.ndarray:
    """Returns the class of each prediction, or -1 where it does not count, [N]."""
    labels = predictions.labels.tolist()
    unknown = sorted({str(label) for label in labels if label not in index})
    if unknown and policy == "official":
        raise ValueError(
            f"{len(unknown)} predicted labels have no ground truth: "
            f'{", ".join(unknown[:5])}. policy="default" ignores them.'
        )

    def collide(label: Label) -> int:
        """What ActionFormer's evaluator makes of a label without ground truth."""
        if policy != "actionformer" or isinstance(label, str):
            return -1
        return int(label) if 0 <= label < len(index) else -1

    return np.array([index[x] if x in index else collide(x) for x in labels], np.int64)


def _take(segments: Segments, which: np.ndarray) -> Segments:
    return Segments(
        **{
            f.name: getattr(segments, f.name)[which]
            for f in dataclasses.fields(Segments)
        }
    )
