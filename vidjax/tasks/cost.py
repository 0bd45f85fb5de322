"""What models cost: the numbers of `vidjax cost`, and their picture."""

import dataclasses
import pathlib
from typing import Any

from vidjax.analysis import plots
from vidjax.analysis.conventions import ConventionName
from vidjax.analysis.cost import Cost, LayerCost, cost
from vidjax.models.registry import clip_spec

__all__ = ["Cost", "LayerCost", "clip_cost", "plot_cost"]


def clip_cost(
    name: str,
    *,
    num_frames: int | None = None,
    size: int | None = None,
    batch: int = 1,
    convention: ConventionName = "macs",
    **arguments: Any,
) -> Cost:
    """Counts what a model costs on clips that differ from its card's.

    Args:
        name: A registered name.
        num_frames: Frames of a clip; None takes the card's.
        size: Height and width in pixels; None takes the card's.
        batch: Clips in the batch.
        convention: As for `vidjax.cost`.
        **arguments: Attributes of the module.

    Returns:
        The cost of the batch.

    Raises:
        ValueError: As for `vidjax.cost`.
        TypeError: If the module has no such attribute.
    """
    if num_frames is None and size is None:
        return cost(name, batch=batch, convention=convention, **arguments)
    clip = clip_spec(name)
    clip = dataclasses.replace(
        clip,
        num_frames=clip.num_frames if num_frames is None else num_frames,
        size=clip.size if size is None else size,
    )
    return cost(name, clip.shape, batch=batch, convention=convention, **arguments)


def plot_cost(found: Cost, path: pathlib.Path, *, depth: int | None = None) -> None:
    """Draws what the layers of a model cost as bars.

    Args:
        found: The cost, with activations.
        path: Picture to write; the ending says which kind.
        depth: As for `vidjax.analysis.cost.Cost.by_depth`.

    Raises:
        ImportError: If matplotlib is missing.
        ValueError: If it does not know the ending.
        OSError: If the file cannot be written.
    """
    rows = found.by_depth(depth)
    panels = {
        "parameters, millions": [row.params / 1e6 for row in rows],
        "multiply-adds, 1e9": [row.macs / 1e9 for row in rows],
        "alive in a forward pass, MiB": [_mib(row.forward_bytes) for row in rows],
        "kept for the backward pass, MiB": [_mib(row.training_bytes) for row in rows],
    }
    shape = "x".join(map(str, (found.batch, *found.clip_shape)))
    figure = plots.costs_figure(
        [row.path or "outside of layers" for row in rows],
        panels,
        title=f"{found.name} on {shape}",
    )
    plots.save_figure(figure, path)


def _mib(size: int | None) -> float:
    return (size or 0) / 2**20
