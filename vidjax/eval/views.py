"""Several clips and crops of a video, kept one by one and joined to one score."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from vidjax.eval.metrics import log_softmax
from vidjax.typing import Average, Logits


class ViewScores:
    """Keeps the scores of views, and joins those of each example.

    Batches may come in any order and padded in any way; what counts is said by the
    mask. A view that is counted twice is an error, and one that never comes (its video
    cannot be read) is left out of its example's average. An example without any is
    reported as missing, not as wrong.

    Args:
        num_examples: Examples N.
        num_views: Views V of each.
        num_classes: Classes K.
        average: What is averaged where nothing else is asked for; see
            `vidjax.typing.Views`.

    Attributes:
        logits: Scores of each view before softmax, [N, V, K] float32.
        positions: Logarithm of the softmax of each view, averaged over the positions of
            a fully convolutional head, [N, V, K] float32; only with `average`
            "positions".
        seen: Which views came, [N, V] bool.
    """

    def __init__(
        self,
        num_examples: int,
        num_views: int,
        num_classes: int,
        *,
        average: Average,
    ) -> None:
        shape = (num_examples, num_views, num_classes)
        self.average: Average = average
        self.logits = np.zeros(shape, np.float32)
        self.positions = np.zeros(shape, np.float32) if average == "positions" else None
        self.seen = np.zeros(shape[:2], bool)

    def add(
        self,
        logits: Float[np.ndarray, "b k"],
        *,
        index: Int[np.ndarray, " b"],
        view: Int[np.ndarray, " b"],
        mask: Bool[np.ndarray, " b"],
        positions: Float[np.ndarray, "b k"] | None = None,
    ) -> None:
        """Adds a batch.

        Args:
            logits: Scores before softmax, [B, K].
            index: Example of each row, [B] integers in [0, N).
            view: View of each row, [B] integers in [0, V).
            mask: Which rows count, [B] bool.
            positions: Logarithm of the mean softmax over positions, [B, K]; None where
                the model has a single one, whose softmax is taken.

        Raises:
            ValueError: If a view of an example is counted a second time, or there is no
                such example or view.
        """
        logits, index, view = logits[mask], index[mask], view[mask]
        examples, views = self.seen.shape
        if ((index < 0) | (index >= examples) | (view < 0) | (view >= views)).any():
            raise ValueError(
                f"Expected examples in [0, {examples}) and views in [0, {views}), got "
                f"examples {index.tolist()} and views {view.tolist()}."
            )
        before = int(self.seen.sum())
        self.seen[index, view] = True
        if int(self.seen.sum()) != before + len(index):
            raise ValueError(
                "A view is counted twice, in or before a batch of examples "
                f"{index.tolist()} and views {view.tolist()}."
            )
        self.logits[index, view] = logits
        if self.positions is not None:
            inside = log_softmax(logits) if positions is None else positions[mask]
            self.positions[index, view] = inside

    @property
    def present(self) -> Bool[np.ndarray, " n"]:
        """Which examples have a view at least, [N] bool."""
        return np.any(self.seen, axis=1, keepdims=True)[:, 0]

    def log_probabilities(
        self, average: Average | None = None
    ) -> Float[np.ndarray, "n k"]:
        """Returns the joined scores; another average costs no further look at a video.

        Args:
            average: What is averaged; None takes `self.average`.

        Returns:
            Log-probabilities, [N, K] float64; zeros where no view is present.

        Raises:
            ValueError: If "positions" are to be averaged and were not kept.
        """
        average = average or self.average
        if average == "positions" and self.positions is None:
            raise ValueError(
                "The scores of single positions were not kept: they are where the "
                'protocol averages "positions".'
            )
        joined = np.zeros((len(self.seen), self.logits.shape[-1]), np.float64)
        for i in np.flatnonzero(self.present):  # One by one: a set fills the memory.
            joined[i] = self._join(int(i), average)
        return joined

    def _join(self, example: int, average: Average) -> Float[np.ndarray, " k"]:
        seen = self.seen[example]
        logits = self.logits[example][seen].astype(np.float64)
        if average == "logits":
            return log_softmax(logits.mean(axis=0))
        if average == "positions" and self.positions is not None:
            scores = self.positions[example][seen].astype(np.float64)
        else:
            scores = log_softmax(logits)
        tiny = np.finfo(np.float64).tiny  # Keeps the logarithm of an underflow finite.
        return np.log(np.maximum(np.exp(scores).mean(axis=0), tiny))


def position_scores(logits: Logits, endpoints: Mapping[str, Array]) -> Logits:
    """Returns the mean softmax over the positions of a fully convolutional head.

    Args:
        logits: Scores before softmax, [B, K].
        endpoints: Of the model; "logits_per_step" [B, N, K] has the positions, where
            there are any.

    Returns:
        Its logarithm, [B, K] float32; the logarithm of the softmax of `logits` where
        there is a single position.

    Example:
        >>> steps = jnp.array([[[0.0, 0.0], [2.0, 0.0]]])
        >>> scores = position_scores(steps.mean(axis=1), {"logits_per_step": steps})
        >>> jnp.exp(scores).round(2)
        Array([[0.69, 0.31]], dtype=float32)

    References:
        facebookresearch/SlowFast, slowfast/models/head_helper.py.
    """
    steps = endpoints.get("logits_per_step", logits[:, None])
    log_p = jax.nn.log_softmax(steps.astype(jnp.float32))
    return jax.nn.logsumexp(log_p, axis=1) - jnp.log(steps.shape[1])
