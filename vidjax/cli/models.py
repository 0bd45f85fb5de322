"""`vidjax models`: the zoo as a table."""

from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import box, console, table

from vidjax.models.registry import list_models, model_card
from vidjax.typing import ModelCard

_COLUMNS = ("model", "fusion", "clip", "params", "GMACs", "weights")
_RIGHT = ("params", "GMACs")


def run(argv: Sequence[str]) -> int:
    """Lists the models whose names match a pattern.

    Args:
        argv: Arguments after `vidjax models`.

    Returns:
        The exit code.
    """
    return tyro.cli(
        _models,
        args=list(argv),
        prog="vidjax models",
        description="Lists the models.\n\nexample: vidjax models 'tsm_*'",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def markdown_table(names: Sequence[str]) -> str:
    """Returns a table of models in Markdown, as README.md shows it.

    Args:
        names: Registered names.

    Returns:
        Lines joined by newlines.

    Example:
        >>> print(markdown_table(["resnet50"]).splitlines()[2])
        | resnet50 | none | 1x224x224x3 | 25.56 M | 4.089 | imagenet, imagenet_v2 |
    """
    rules = ["---:" if column in _RIGHT else "---" for column in _COLUMNS]
    rows = [_COLUMNS, rules, *(_row(model_card(name)) for name in names)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _models(
    pattern: Annotated[str, tyro.conf.Positional] = "*", *, markdown: bool = False
) -> int:
    """Lists the models.

    Args:
        pattern: Shell pattern that names must match.
        markdown: Print the table in Markdown.
    """
    names = list_models(pattern)
    if not names:
        raise ValueError(f"No model's name matches {pattern!r}.")
    if markdown:
        print(markdown_table(names))
        return 0
    grid = table.Table(box=box.SIMPLE_HEAD)
    for title in _COLUMNS[:-1]:
        justify = "right" if title in _RIGHT else "left"
        grid.add_column(title, justify=justify, no_wrap=True)
    grid.add_column(_COLUMNS[-1], overflow="fold")
    for name in names:
        grid.add_row(*_row(model_card(name)))
    console.Console().print(grid)
    return 0


def _row(card: ModelCard) -> tuple[str, ...]:
    clip = card.clip
    return (
        card.name,
        card.fusion,
        f"{clip.num_frames}x{clip.size}x{clip.size}x{clip.channels}",
        f"{card.params / 1e6:.2f} M",
        f"{card.gmacs:.4g}",
        ", ".join(weight.tag for weight in card.weights) or "-",
    )
