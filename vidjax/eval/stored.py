"""Scores of every view on disk: joining them otherwise costs no decoding."""

import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np

from vidjax.eval.metrics import rank_of_label
from vidjax.eval.views import ViewScores
from vidjax.typing import Average, Views


@dataclasses.dataclass(frozen=True)
class StoredScores:
    """What an evaluation keeps.

    Attributes:
        scores: Of each view, N examples.
        labels: True class of each example, in the order of `label_names`, int32 [N].
        label_names: Names of the K classes.
        paths: Where each example comes from, N of them.
        views: The protocol.
        model: Registered name of the model.
    """

    scores: ViewScores
    labels: np.ndarray
    label_names: tuple[str, ...]
    paths: tuple[str, ...]
    views: Views
    model: str


def save_scores(path: str | pathlib.Path, stored: StoredScores) -> None:
    """Writes scores to a file: beside it first, so that there is never a part of one.

    Args:
        path: The file, an archive of NumPy (.npz): "logits" float32 [N, V, K], "seen"
            bool [N, V], "labels" int32 [N], "facts" (JSON), and "positions" where kept.
        stored: What goes into it.

    Raises:
        OSError: If it cannot be written.
    """
    path = pathlib.Path(path)
    facts = {
        "label_names": stored.label_names,
        "paths": stored.paths,
        "views": dataclasses.asdict(stored.views),
        "model": stored.model,
    }
    scores = stored.scores
    arrays = {
        "logits": scores.logits,
        "seen": scores.seen,
        "labels": stored.labels,
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }
    if scores.positions is not None:
        arrays["positions"] = scores.positions
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            np.savez(file, **arrays)
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def load_scores(path: str | pathlib.Path) -> StoredScores:
    """Reads scores that `save_scores` wrote.

    Args:
        path: The file.

    Returns:
        The scores.

    Raises:
        ValueError: If there is no such file, or it holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays["facts"].tobytes())
        views = Views(**facts["views"])
        scores = ViewScores(*arrays["logits"].shape, average=_kept(arrays, views))
        scores.logits, scores.seen = arrays["logits"], arrays["seen"]
        scores.positions = arrays.get("positions")
        return StoredScores(
            scores,
            arrays["labels"],
            tuple(facts["label_names"]),
            tuple(facts["paths"]),
            views,
            facts["model"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} holds no scores of an evaluation ({type(error).__name__}: "
            f"{error})."
        ) from error


def _kept(arrays: dict[str, np.ndarray], views: Views) -> Average:
    return "positions" if "positions" in arrays else views.average


def bootstrap_intervals(
    log_p: np.ndarray,
    labels: np.ndarray,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Returns intervals of accuracy over other draws of as many videos.

    The percentile bootstrap: videos are drawn with replacement.

    Args:
        log_p: Scores of the videos that could be read, [N, K].
        labels: Their classes, [N].
        resamples: Draws.
        level: Share of the draws inside an interval.
        seed: Of the draws.

    Returns:
        Low and high ends of "top1", "top5" and "mean_class", in [0, 1].

    Raises:
        ValueError: If there is no video.

    References:
        Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics
        7(1), 1979.
    """
    if not len(labels):
        raise ValueError("There is no video to draw from.")
    rank = rank_of_label(log_p, labels)
    rng = np.random.default_rng(seed)
    classes = log_p.shape[1]
    drawn: dict[str, list[float]] = {"top1": [], "top5": [], "mean_class": []}
    for _ in range(resamples):
        chosen = rng.integers(len(labels), size=len(labels))
        right = rank[chosen] < 1
        drawn["top1"].append(float(right.mean()))
        drawn["top5"].append(float((rank[chosen] < 5).mean()))
        total = np.bincount(labels[chosen], minlength=classes)
        hits = np.bincount(labels[chosen], weights=right, minlength=classes)
        drawn["mean_class"].append(float(np.mean(hits[total > 0] / total[total > 0])))
    tail = (1 - level) / 2
    return {name: _ends(values, tail) for name, values in drawn.items()}


def _ends(values: Sequence[float], tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
