"""Exact metrics of classification: counts, not averages of batch averages."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Classification:
    """How well classes are told apart.

    Attributes:
        top1: Share of the examples whose label has the highest score.
        top5: Share of the examples whose label is among the five highest scores; with
            fewer classes, among all of them.
        mean_class: Mean over the classes that have examples of the share of these that
            are right.
        loss: Mean cross-entropy in nats.
        confusion: Number of examples of class i that were taken for class j, [K, K]
            int64.
        examples: Number of examples.
    """

    top1: float
    top5: float
    mean_class: float
    loss: float
    confusion: np.ndarray
    examples: int


def classify(
    scores: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    mask: Bool[np.ndarray, " n"] | None = None,
) -> Classification:
    """Returns the metrics of the examples whose mask is True.

    Of equal scores, that of the smaller class index counts as the higher.

    Args:
        scores: Logits or log-probabilities, [N, K] (the softmax of either is the same).
        labels: True classes, [N] integers in [0, K).
        mask: Which examples count, [N] bool; None counts all.

    Returns:
        The metrics. Without any example they are NaN and the confusion matrix is zero.

    Raises:
        ValueError: If a label of a counted example is outside [0, K), or its scores are
            not finite.

    Example:
        >>> scores = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
        >>> result = classify(scores, np.array([0, 1, 1]))
        >>> result.confusion.tolist(), round(result.top1, 3), result.mean_class
        ([[1, 0], [1, 1]], 0.667, 0.75)
    """
    if mask is not None:
        scores, labels = scores[mask], labels[mask]
    _check(scores, labels)
    num_classes = scores.shape[1]
    rank = rank_of_label(scores, labels)
    confusion = np.bincount(
        labels * num_classes + np.argmax(scores, axis=1), minlength=num_classes**2
    ).reshape(num_classes, num_classes)
    return Classification(
        top1=_share(rank < 1),
        top5=_share(rank < 5),
        mean_class=_mean_class(confusion),
        loss=_cross_entropy(scores, labels),
        confusion=confusion.astype(np.int64),
        examples=len(labels),
    )


def log_softmax(logits: Float[np.ndarray, "*n k"]) -> Float[np.ndarray, "*n k"]:
    """Returns log-probabilities, on the host.

    Args:
        logits: Scores before softmax, [..., K].

    Returns:
        Log-probabilities, [..., K].

    Example:
        >>> np.exp(log_softmax(np.zeros((1, 4)))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    with np.errstate(invalid="ignore"):  # Infinity minus infinity; `classify` raises.
        shifted = logits - logits.max(axis=-1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def rank_of_label(
    scores: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Returns how many classes come before the label: higher, or equal and earlier.

    Args:
        scores: Scores of the classes, [N, K].
        labels: Classes in [0, K), [N].

    Returns:
        Ranks in [0, K), [N]; zero where the label has the highest score.

    Example:
        >>> rank_of_label(np.array([[0.1, 0.5, 0.5]]), np.array([2])).tolist()
        [1]
    """
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1])[None, :] < labels[:, None]
    return np.sum((scores > own) | ((scores == own) & earlier), axis=1)


def _check(scores: np.ndarray, labels: np.ndarray) -> None:
    num_classes = scores.shape[1]
    outside = np.unique(labels[(labels < 0) | (labels >= num_classes)])
    if len(outside):
        raise ValueError(
            f"Expected labels in [0, {num_classes}), one for each column of scores of "
            f"shape {scores.shape}; got {outside[:5].tolist()}."
        )
    broken = int(np.sum(~np.isfinite(scores).all(axis=1)))
    if broken:
        raise ValueError(
            f"The scores of {broken} of {len(labels)} examples are not finite: the "
            "model's parameters or statistics have diverged."
        )


def _share(right: np.ndarray) -> float:
    return float(np.mean(right)) if len(right) else float("nan")


def _mean_class(confusion: np.ndarray) -> float:
    examples = confusion.sum(axis=1)
    seen = examples > 0
    return _share(np.diag(confusion)[seen] / examples[seen])


def _cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    if not len(labels):
        return float("nan")
    log_p = log_softmax(scores.astype(np.float64))
    return float(-np.mean(np.take_along_axis(log_p, labels[:, None], axis=1)))
