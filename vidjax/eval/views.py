"""Several clips and crops of a video, joined to one score."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vidjax.eval.metrics import log_softmax


class ViewScores:
    """Collects the scores of views and joins those of each example.

    Batches may come in any order and padded in any way; what counts is said by the
    mask. A view that is counted twice is an error, and one that never comes (its video
    cannot be read) is left out of its example's average. An example without any is
    reported as missing, not as wrong.

    Args:
        num_examples: Examples N.
        num_views: Views of each.
        num_classes: Classes K.
        average: What is averaged: "softmax" probabilities or "logits".
    """

    def __init__(
        self,
        num_examples: int,
        num_views: int,
        num_classes: int,
        *,
        average: Literal["softmax", "logits"],
    ) -> None:
        self._average = average
        self._seen = np.zeros((num_examples, num_views), bool)
        self._total = np.zeros((num_examples, num_classes), np.float64)

    def add(
        self,
        logits: Float[np.ndarray, "b k"],
        *,
        index: Int[np.ndarray, " b"],
        view: Int[np.ndarray, " b"],
        mask: Bool[np.ndarray, " b"],
    ) -> None:
        """Adds a batch.

        Args:
            logits: Scores before softmax, [B, K].
            index: Example of each row, [B] integers in [0, N).
            view: View of each row, [B] integers in [0, views).
            mask: Which rows count, [B] bool.

        Raises:
            ValueError: If a view of an example is counted a second time, or there is no
                such example or view.
        """
        logits, index, view = logits[mask], index[mask], view[mask]
        examples, views = self._seen.shape
        if ((index < 0) | (index >= examples) | (view < 0) | (view >= views)).any():
            raise ValueError(
                f"Expected examples in [0, {examples}) and views in [0, {views}), got "
                f"examples {index.tolist()} and views {view.tolist()}."
            )
        before = int(self._seen.sum())
        self._seen[index, view] = True
        if int(self._seen.sum()) != before + len(index):
            raise ValueError(
                "A view is counted twice, in or before a batch of examples "
                f"{index.tolist()} and views {view.tolist()}."
            )
        scores = logits.astype(np.float64)
        if self._average == "softmax":
            scores = np.exp(log_softmax(scores))
        np.add.at(self._total, index, scores)

    @property
    def present(self) -> Bool[np.ndarray, " n"]:
        """Which examples have a view at least, [N] bool."""
        return np.any(self._seen, axis=1, keepdims=True)[:, 0]

    def log_probabilities(self) -> Float[np.ndarray, "n k"]:
        """Returns the joined scores.

        Returns:
            Log-probabilities, [N, K] float64; zeros where no view is present.
        """
        present = self.present
        views = np.maximum(self._seen.sum(axis=1, keepdims=True), 1)
        mean = self._total / views
        if self._average == "logits":
            return np.where(present[:, None], log_softmax(mean), 0.0)
        tiny = np.finfo(np.float64).tiny  # Keeps the logarithm of an underflow finite.
        return np.where(present[:, None], np.log(np.maximum(mean, tiny)), 0.0)
