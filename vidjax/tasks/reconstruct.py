"""Learning without labels: a masked autoencoder's losses and how they are tested.

References:
    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for
    Self-Supervised Video Pre-Training", NeurIPS 2022, https://arxiv.org/abs/2203.12602,
    Sec. 3.1: the mean squared error of the normalised pixels of hidden blocks.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vidjax.ops.masked_modeling import (
    Targets,
    pixel_targets,
    reconstruction_error,
)
from vidjax.train.step import Batch, Losses, Metrics, Output, Prepare

LossStep = Callable[[Mapping[str, Any], Batch], dict[str, jax.Array]]

_ROWS = ("index", "mask")


@dataclasses.dataclass(frozen=True)
class ReconstructionResult:
    """How well a masked autoencoder predicts what is hidden of held-out videos.

    Attributes:
        metrics: "loss", the mean squared error of what is predicted, and "examples" and
            "failed", the number of videos that counted and that could not be read.
        paths: The videos, [N].
        losses: Of each video, [N] float64; NaN where it could not be read.
    """

    metrics: dict[str, float]
    paths: tuple[str, ...]
    losses: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Returns metrics and the loss of each video, ready for JSON."""
        rows = [
            {"path": path, "error": "could not be read"}
            if np.isnan(loss)
            else {"path": path, "loss": round(float(loss), 6)}
            for path, loss in zip(self.paths, self.losses, strict=True)
        ]
        return {"metrics": self.metrics, "reconstructions": rows}


def reconstruction(
    patch: tuple[int, int, int], targets: Targets = "normalised"
) -> Losses:
    """Returns the losses of a masked autoencoder.

    Args:
        patch: Extent (t, h, w) of a block of pixels.
        targets: What of a block is predicted.

    Returns:
        `losses((logits, endpoints), batch)`: each clip's mean squared error over its
        hidden blocks, [B], from the pixels of "clip" uint8 [B, T, H, W, C]; and nothing
        else of the rows.
    """

    def losses(output: Output, batch: Batch) -> tuple[jax.Array, Metrics]:
        _, endpoints = output
        pixels = batch["clip"].astype(jnp.float32) / 255
        wanted = pixel_targets(pixels, patch, targets)
        predicted, mask = endpoints["logits_per_step"], endpoints["mask"]
        return reconstruction_error(predicted, wanted, mask), {}

    return losses


def make_loss_step(model: nn.Module, *, prepare: Prepare, losses: Losses) -> LossStep:
    """Returns the losses of a batch without dropout, the hidden blocks always the same.

    Args:
        model: A masked autoencoder.
        prepare: Maps the clips of a batch, uint8 [B, T, H, W, C], to what it wants.
        losses: From `reconstruction`.

    Returns:
        `step(variables, batch)`, pure: "loss" [B], and the rows "index" and "mask" [B]
        that it belongs to.
    """

    def step(variables: Mapping[str, Any], batch: Batch) -> dict[str, jax.Array]:
        output: Any = model.apply(variables, prepare(batch["clip"]))
        loss, _ = losses(output, batch)
        return {"loss": loss, **{name: batch[name] for name in _ROWS}}

    return step


def gather_losses(
    rows: Iterator[Mapping[str, np.ndarray]], paths: tuple[str, ...]
) -> ReconstructionResult:
    """Gathers the losses of batches.

    Args:
        rows: What `make_loss_step` gives, arrays [B] on the host, a batch at a time.
        paths: Where each of the N examples comes from.

    Returns:
        The result.

    Raises:
        ValueError: If no video could be read.

    Example:
        >>> row = {"loss": np.array([2.0, 9.0]), "index": np.array([1, 0])}
        >>> batch = {**row, "mask": np.array([True, False])}
        >>> gather_losses(iter([batch]), ("a.mp4", "b.mp4")).metrics
        {'loss': 2.0, 'examples': 1, 'failed': 1}
    """
    losses = np.full(len(paths), np.nan)
    for batch in rows:
        counts = batch["mask"]
        losses[batch["index"][counts]] = batch["loss"][counts]
    present = ~np.isnan(losses)
    if not present.any():
        raise ValueError(
            f"None of the {len(paths)} held-out videos could be read; the log above "
            "says why."
        )
    metrics = {
        "loss": float(np.mean(losses[present])),
        "examples": int(present.sum()),
        "failed": int(np.sum(~present)),
    }
    return ReconstructionResult(metrics, paths, losses)
