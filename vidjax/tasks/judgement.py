"""What the scores of held-out videos say: exact metrics, with their intervals."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.eval.metrics import classify
from vidjax.eval.stored import StoredScores, bootstrap_intervals, load_scores
from vidjax.eval.views import ViewScores
from vidjax.typing import Average


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """How well a model does on held-out videos.

    Attributes:
        metrics: "top1", "top5", "mean_class" (in [0, 1]), "loss" (nats), and "examples"
            and "failed", the number of videos that counted and that could not be read.
        confusion: Number of videos of class i that were taken for class j, [K, K]
            int64.
        label_names: Names of the K classes.
        paths: The videos, [N].
        labels: True class of each video, [N] int32.
        probabilities: Averaged over the views, [N, K] float64.
        present: Whether a video could be read, [N] bool.
        intervals: Low and high end of the interval that holds 95 % of the accuracies of
            other draws of as many videos (bootstrap); empty where not asked for.
        protocol: Name of the test protocol.
        videos: SHA-256 of the list of videos that were really there: their file names
            and labels, sorted.
    """

    metrics: dict[str, float]
    confusion: np.ndarray
    label_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    present: np.ndarray
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=dict
    )
    protocol: str = ""
    videos: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns metrics, label names, confusion and predictions, ready for JSON."""
        rows = [
            {
                "path": self.paths[i],
                "label": self.label_names[self.labels[i]],
                "predicted": self.label_names[int(np.argmax(self.probabilities[i]))],
                "probability": round(float(np.max(self.probabilities[i])), 6),
            }
            if self.present[i]
            else {
                "path": self.paths[i],
                "label": self.label_names[self.labels[i]],
                "error": "could not be read",
            }
            for i in range(len(self.paths))
        ]
        return {
            "metrics": self.metrics,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "protocol": self.protocol,
            "videos": self.videos,
            "label_names": list(self.label_names),
            "confusion": self.confusion.tolist(),
            "predictions": rows,
        }


def join_scores(
    path: str | pathlib.Path, *, average: Average | None = None
) -> EvalResult:
    """Joins the scores that an evaluation kept; no model and no video is needed.

    Args:
        path: The file, such as scores.npz of a workdir.
        average: What is averaged over the views; None takes the protocol's.

    Returns:
        As `evaluate`.

    Raises:
        ValueError: If the file holds no scores, or those of single positions are wanted
            and were not kept.
    """
    return judge(load_scores(path), average=average)


def judge(stored: StoredScores, *, average: Average | None = None) -> EvalResult:
    """Returns what the scores of an evaluation say, joined in one way or another.

    Args:
        stored: The scores of every view.
        average: What is averaged over the views; None takes the protocol's.

    Returns:
        Metrics with intervals, confusion matrix and probabilities.

    Raises:
        ValueError: If no video could be read, scores are not finite, or those of single
            positions are wanted and were not kept.
    """
    average = average or stored.views.average
    result = measure(
        stored.scores,
        stored.labels,
        label_names=stored.label_names,
        paths=stored.paths,
        average=average,
    )
    there = result.present
    names = [
        f"{pathlib.PurePath(path).name}\t{stored.label_names[label]}\n"
        for path, label, is_there in zip(
            stored.paths, stored.labels, there, strict=True
        )
        if is_there
    ]
    return dataclasses.replace(
        result,
        intervals=bootstrap_intervals(
            result.probabilities[there], result.labels[there]
        ),
        protocol=stored.views.name
        if average == stored.views.average
        else f"{stored.views.name}, {average}",
        videos=hashlib.sha256("".join(sorted(names)).encode()).hexdigest(),
    )


def measure(
    scores: ViewScores,
    labels: np.ndarray,
    *,
    label_names: tuple[str, ...],
    paths: Sequence[str],
    average: Average | None = None,
) -> EvalResult:
    """Returns what an evaluation found.

    Args:
        scores: Of N examples.
        labels: True class of each, [N] integers.
        label_names: Names of the K classes.
        paths: Where each example comes from, N of them.
        average: What is averaged over the views; None takes that of `scores`.

    Returns:
        The result, without intervals.

    Raises:
        ValueError: If no video could be read, or scores are not finite.
    """
    present = scores.present
    if not present.any():
        raise ValueError(
            f"None of the {len(labels)} held-out videos could be read; the log above "
            "says why."
        )
    log_p = scores.log_probabilities(average)
    result = classify(log_p, labels, present)
    metrics = {
        "top1": result.top1,
        "top5": result.top5,
        "mean_class": result.mean_class,
        "loss": result.loss,
        "examples": result.examples,
        "failed": int(np.sum(~present)),
    }
    return EvalResult(
        metrics=metrics,
        confusion=result.confusion,
        label_names=label_names,
        paths=tuple(paths),
        labels=labels,
        probabilities=np.exp(log_p),
        present=present,
    )
