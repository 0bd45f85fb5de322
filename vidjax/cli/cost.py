"""`vidjax cost`: what a model costs, layer by layer."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro
from rich import box, console, table

from vidjax.cli.arguments import split_model_args
from vidjax.tasks.cost import Cost, LayerCost, clip_cost, plot_cost

_WIDTH = 120  # Columns of a table that goes into a file.


def run(argv: Sequence[str]) -> int:
    """Prints what a model costs.

    Args:
        argv: Arguments after `vidjax cost`.

    Returns:
        The exit code.

    Raises:
        ValueError: If the model is unknown or does not take such clips, or a flag below
            --model-args lacks its value.
    """
    flags, values = split_model_args(argv)
    model_args = {name.removeprefix("model_args."): v for name, v in values.items()}

    def command(
        name: Annotated[str, tyro.conf.Positional],
        *,
        frames: int | None = None,
        size: int | None = None,
        batch: int = 1,
        convention: Literal["macs", "pytorchvideo", "mmaction2", "xla"] = "macs",
        json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
        plot: pathlib.Path | None = None,
        layers: bool = False,
    ) -> int:
        """Prints what a model costs.

        Args:
            name: Name of a model (`vidjax models` lists them).
            frames: Frames of a clip; by default those of the model's card.
            size: Height and width of a clip in pixels; by default those of the card.
            batch: Clips in the batch.
            convention: Rule by which multiply-adds are counted (docs/models.md).
            json_: Print one JSON object and nothing else.
            plot: Picture to write: bars for every layer.
            layers: Show every layer by itself, not joined into blocks.
        """
        found = clip_cost(
            name,
            num_frames=frames,
            size=size,
            batch=batch,
            convention=convention,
            **model_args,
        )
        if json_:
            print(json.dumps(_as_dict(found), indent=2))
        else:
            _show(found, found.layers if layers else found.by_depth())
        if plot is not None:
            plot_cost(found, plot)
        return 0

    return tyro.cli(
        command,
        args=flags,
        prog="vidjax cost",
        description="Prints parameters, multiply-adds and bytes of activations of a "
        "model, layer by layer and in total. Attributes of the model are set as "
        "--model-args.NAME VALUE.\n\nexample: vidjax cost i3d_rgb --frames 32 "
        "--model-args.dtype bfloat16",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _as_dict(found: Cost) -> dict[str, Any]:
    return {**dataclasses.asdict(found), "gmacs": found.gmacs}


def _show(found: Cost, rows: Sequence[LayerCost]) -> None:
    grid = table.Table(box=box.SIMPLE_HEAD, show_footer=True)
    total = LayerCost(
        "total", found.params, found.macs, found.forward_bytes, found.training_bytes
    )
    titles = ("layer", "params", "%", _unit(found)[0], "%", "alive, MiB", "kept, MiB")
    footers = _cells(total, found)
    for title, footer in zip(titles, footers, strict=True):
        justify = "left" if title == "layer" else "right"
        grid.add_column(title, footer, justify=justify, no_wrap=True)
    for row in rows:
        grid.add_row(*_cells(row, found))
    screen = console.Console()
    if not screen.is_terminal:
        screen = console.Console(width=_WIDTH)
    screen.print(grid)
    shape = "x".join(map(str, found.clip_shape))
    clips = "one clip" if found.batch == 1 else f"{found.batch} clips"
    print(
        f"{found.name} on {clips} of {shape}; convention: {found.convention}.\n"
        "alive: the most activations at a time in a forward pass; the total is the "
        "largest.\nkept: activations that a training step keeps for its backward pass."
    )


def _cells(row: LayerCost, found: Cost) -> tuple[str, ...]:
    return (
        row.path or "(outside of layers)",
        f"{row.params:,}",
        _share(row.params, found.params),
        f"{row.macs / _unit(found)[1]:,.3f}",
        _share(row.macs, found.macs),
        f"{(row.forward_bytes or 0) / 2**20:,.2f}",
        f"{(row.training_bytes or 0) / 2**20:,.2f}",
    )


def _unit(found: Cost) -> tuple[str, float]:
    return ("GMACs", 1e9) if found.macs >= 1e9 else ("MMACs", 1e6)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"
