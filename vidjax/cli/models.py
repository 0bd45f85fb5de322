"""`vidjax models`: the zoo as a table."""

from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import box, console, table

from vidjax.models.registry import list_models, model_card
from vidjax.typing import ModelCard


def run(argv: Sequence[str]) -> int:
    """Lists the models whose names match a pattern.

    Args:
        argv: Arguments after `vidjax models`.

    Returns:
        The exit code.

    Raises:
        ValueError: If no name matches.
    """
    return tyro.cli(
        _models,
        args=list(argv),
        prog="vidjax models",
        description="Lists the models.\n\nexample: vidjax models 'tsm_*'",
    )


def _models(
    pattern: Annotated[tyro.conf.Positional[str], tyro.conf.arg()] = "*",
) -> int:
    """Lists the models.

    Args:
        pattern: Shell pattern that names must match.
    """
    names = list_models(pattern)
    if not names:
        raise ValueError(f"No model's name matches {pattern!r}.")
    grid = table.Table(box=box.SIMPLE_HEAD)
    for title in ("model", "fusion", "clip"):
        grid.add_column(title, no_wrap=True)
    for title in ("params", "GMACs"):
        grid.add_column(title, justify="right", no_wrap=True)
    grid.add_column("weights", overflow="fold")
    for name in names:
        grid.add_row(*_row(model_card(name)))
    console.Console().print(grid)
    return 0


def _row(card: ModelCard) -> tuple[str, ...]:
    clip = card.clip
    weights = ", ".join(weight.tag for weight in card.weights) or "-"
    return (
        card.name,
        card.fusion,
        f"{clip.num_frames}x{clip.size}x{clip.size}x{clip.channels}",
        f"{card.params / 1e6:.2f} M",
        f"{card.gmacs:.4g}",
        weights,
    )
