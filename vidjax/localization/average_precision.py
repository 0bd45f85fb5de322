"""Average precision and recall of labelled segments, exactly as published.

Predictions of a class are taken by falling score; each takes the free ground truth of
its video that it overlaps most, if it overlaps it enough. Pairs are found for all
classes and videos at once, and only those that overlap enough are walked through.
"""

from typing import NamedTuple

import numpy as np

from vidjax.localization.annotations import Segments


class Pairs(NamedTuple):
    """Predictions beside ground truth of the same video and class, P pairs.

    Attributes:
        prediction: Rank among all predictions, [P] int64, rising.
        truth: Place in the ground truth, [P] int64.
        overlap: Intersection over union, [P] float64; of one prediction, falling.
    """

    prediction: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray


class Match(NamedTuple):
    """Predictions by falling score, and what they overlap.

    Attributes:
        classes: Of each prediction, in [0, K), [N] int64.
        place: Rank of each among those of its class in its video, [N] int64.
        pairs: Those of the same video and class.
        truth_classes: Of the ground truth, [G] int64.
        truth_siblings: Number of ground truth of the same class and video, [G] int64.
    """

    classes: np.ndarray
    place: np.ndarray
    pairs: Pairs
    truth_classes: np.ndarray
    truth_siblings: np.ndarray


def match(
    predictions: Segments,
    truth: Segments,
    *,
    classes: np.ndarray,
    truth_classes: np.ndarray,
    first_wins: bool = True,
) -> Match:
    """Sorts predictions by score, and pairs them with ground truth.

    Args:
        predictions: N segments.
        truth: G segments.
        classes: Of the predictions, [N] integers in [0, K).
        truth_classes: Of the ground truth, [G] integers in [0, K).
        first_wins: Whether of equal scores the first comes first, or the last, as in
            the published code.

    Returns:
        The pairs.
    """
    if first_wins:
        order = np.argsort(-predictions.scores, kind="stable")
    else:
        order = np.argsort(predictions.scores, kind="stable")[::-1]
    classes = classes[order]
    names, numbers = np.unique(
        np.concatenate([truth.videos, predictions.videos]).astype(str),
        return_inverse=True,
    )
    count = int(max(classes.max(initial=0), truth_classes.max(initial=0))) + 1
    del names
    truth_group = numbers[: len(truth)] * count + truth_classes
    group = numbers[len(truth) :][order] * count + classes
    by_group = np.argsort(truth_group, kind="stable")
    sorted_group = truth_group[by_group]
    low = np.searchsorted(sorted_group, group, "left")
    many = np.searchsorted(sorted_group, group, "right") - low
    prediction = np.repeat(np.arange(len(group)), many)
    within = np.arange(len(prediction)) - np.repeat(np.cumsum(many) - many, many)
    paired = by_group[np.repeat(low, many) + within]
    pairs = _sorted_pairs(predictions, truth, order, prediction, paired)
    siblings = np.searchsorted(sorted_group, truth_group, "right")
    siblings -= np.searchsorted(sorted_group, truth_group, "left")
    return Match(classes, _place(group), pairs, truth_classes, siblings)


def _sorted_pairs(
    predictions: Segments,
    truth: Segments,
    order: np.ndarray,
    prediction: np.ndarray,
    paired: np.ndarray,
) -> Pairs:
    start, end = (
        predictions.start[order][prediction],
        predictions.end[order][prediction],
    )
    shared = np.minimum(end, truth.end[paired]) - np.maximum(start, truth.start[paired])
    shared = np.maximum(shared, 0.0)
    union = (truth.end[paired] - truth.start[paired]) + (end - start) - shared
    overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    some = overlap > 0
    prediction, paired, overlap = prediction[some], paired[some], overlap[some]
    # Of equal overlaps the last ground truth comes first, as in the published code.
    best = np.lexsort((-paired, -overlap, prediction))
    return Pairs(prediction[best], paired[best], overlap[best])


def _place(group: np.ndarray) -> np.ndarray:
    """Returns how many of the same group come before each."""
    by_group = np.argsort(group, kind="stable")
    sorted_group = group[by_group]
    first = np.searchsorted(sorted_group, sorted_group, "left")
    place = np.empty(len(group), np.int64)
    place[by_group] = np.arange(len(group)) - first
    return place


def average_precision(found: Match, num_classes: int, tious: np.ndarray) -> np.ndarray:
    """Returns the interpolated average precision of each class at each threshold.

    Args:
        found: From `match`.
        num_classes: Classes K, each with ground truth.
        tious: Overlaps that are enough, [S], positive.

    Returns:
        [S, K] float64 in [0, 1].

    References:
        Everingham et al., "The Pascal Visual Object Classes Challenge 2012", Sec. 3.4.1
        of the development kit; as in activitynet/ActivityNet,
        Evaluation/eval_detection.py.
    """
    positives = np.bincount(found.truth_classes, minlength=num_classes).tolist()
    by_class = np.argsort(found.classes, kind="stable")
    ends = np.cumsum(np.bincount(found.classes, minlength=num_classes))
    parts = np.split(by_class, ends[:-1])
    table = np.zeros((len(tious), num_classes))
    for row, tiou in enumerate(tious):
        hit = _hits(found, float(tiou))
        for k, members in enumerate(parts):
            table[row, k] = _interpolated(hit[members], positives[k])
    return table


def _hits(found: Match, tiou: float) -> np.ndarray:
    """Returns which predictions take a ground truth, [N] bool."""
    enough = found.pairs.overlap >= tiou
    hit = np.zeros(len(found.classes), bool)
    taken = [False] * len(found.truth_classes)
    before = -1
    for prediction, truth in zip(
        found.pairs.prediction[enough].tolist(),
        found.pairs.truth[enough].tolist(),
        strict=True,
    ):
        if prediction != before and not taken[truth]:
            taken[truth] = hit[prediction] = True
            before = prediction
    return hit


def _interpolated(hit: np.ndarray, positives: int) -> float:
    """Returns the area under precision that never rises, over recall."""
    if not len(hit):
        return 0.0
    true = np.cumsum(hit).astype(np.float64)
    recall = np.concatenate([[0.0], true / positives, [1.0]])
    precision = true / np.arange(1, len(hit) + 1)
    precision = np.concatenate([[0.0], precision, [0.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


def recall_at(found: Match, num_classes: int, tious: np.ndarray, k: int) -> np.ndarray:
    """Returns the recall of the best k * x predictions of each class in a video.

    x is the number of ground truth of the class in the video.

    Args:
        found: From `match`.
        num_classes: Classes K, each with ground truth.
        tious: Overlaps that are enough, [S].
        k: See above.

    Returns:
        [S, K] float64 in [0, 1].

    References:
        Grauman et al., "Ego4D", CVPR 2022, Sec. F, https://arxiv.org/abs/2110.07058; as
        in libs/utils/metrics.py of ActionFormer.
    """
    pairs, count = found.pairs, len(found.truth_classes)
    near = found.place[pairs.prediction] < k * found.truth_siblings[pairs.truth]
    best = np.zeros(count)
    np.maximum.at(best, pairs.truth[near], pairs.overlap[near])
    positives = np.bincount(found.truth_classes, minlength=num_classes)
    return np.stack(
        [
            np.bincount(
                found.truth_classes, weights=best >= tiou, minlength=num_classes
            )
            / positives
            for tiou in tious
        ]
    )
