"""`vidjax configs`: the experiments that ship with vidjax."""

import ast
from collections.abc import Sequence

import tyro
from rich import box, console, table

from vidjax.config import find_config, list_configs


def run(argv: Sequence[str]) -> int:
    """Lists the shipped configs with the first line of each.

    Args:
        argv: Arguments after `vidjax configs`.

    Returns:
        The exit code.
    """
    return tyro.cli(
        _configs,
        args=list(argv),
        prog="vidjax configs",
        description="Lists the configs that ship with vidjax: a name serves wherever a "
        "config file does.\n\nexample: vidjax configs",
    )


def _configs() -> int:
    grid = table.Table("config", "what it trains", box=box.SIMPLE_HEAD)
    for name in list_configs():
        text = find_config(name).read_text(encoding="utf-8")
        lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
        grid.add_row(name, lines[0] if lines else "")
    console.Console().print(grid)
    return 0
