"""`vidjax models`: the zoo as a table."""

from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import box, console, table

from vidjax.models.registry import list_models
from vidjax.tasks import zoo

_WIDTH = 160  # Columns of a table that goes into a file.


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
        description="Lists the models: the clip that they want, parameters, "
        "multiply-adds of one clip, what was published of their accuracy, and tags of "
        "weights.\n\nexample: vidjax models 'tsm_*'",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _models(
    pattern: Annotated[str, tyro.conf.Positional] = "*",
    *,
    markdown: bool = False,
    families: bool = False,
    page: bool = False,
) -> int:
    """Lists the models.

    Args:
        pattern: Shell pattern that names must match.
        markdown: Print the table in Markdown.
        families: Print a line for each family, in Markdown, as README.md has it.
        page: Print docs/models.md, which is about all models.
    """
    if page:
        print(zoo.models_page(), end="")
        return 0
    names = list_models(pattern)
    if not names:
        raise ValueError(f"No model's name matches {pattern!r}.")
    if families:
        print(zoo.family_table([n for n in names if not n.endswith("_tiny")]))
    elif markdown:
        print(zoo.markdown(zoo.COLUMNS, map(zoo.model_row, names)))
    else:
        _show(names)
    return 0


def _show(names: Sequence[str]) -> None:
    grid = table.Table(box=box.SIMPLE_HEAD)
    for title in zoo.COLUMNS[:-2]:
        justify = "right" if title in zoo.RIGHT else "left"
        grid.add_column(title, justify=justify, no_wrap=True)
    for title in zoo.COLUMNS[-2:]:
        grid.add_column(title, overflow="fold")
    for name in names:
        grid.add_row(*zoo.model_row(name))
    screen = console.Console()
    if not screen.is_terminal:
        screen = console.Console(width=_WIDTH)
    screen.print(grid)
