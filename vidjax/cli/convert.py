"""`vidjax convert`: foreign weights in, vidjax weights out."""

import json
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro

from vidjax.tasks.convert import ConvertedFile, convert_file
from vidjax.typing import Head


def run(argv: Sequence[str]) -> int:
    """Converts weights.

    Args:
        argv: Arguments after `vidjax convert`.

    Returns:
        The exit code.

    Raises:
        ValueError: If the file, the model, the naming or a combination of them is not
            usable.
    """
    return tyro.cli(
        _convert,
        args=list(argv),
        prog="vidjax convert",
        description="Turns published weights into a .safetensors file for vidjax.\n\n"
        "example: vidjax convert SLOWFAST_8x8_R50.pyth --model slowfast_8x8_resnet50 "
        "--out slowfast.safetensors",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _convert(
    file: Annotated[pathlib.Path, tyro.conf.Positional],
    *,
    model: str,
    out: pathlib.Path,
    naming: str | None = None,
    entry: str | None = None,
    head: Head = "keep",
    num_classes: int | None = None,
    labels: str | None = None,
    licence: str = "",
    verbose: bool = False,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Converts.

    Args:
        file: Weights: .safetensors, .npz, .pth/.pt/.pyth, .pkl, .h5, Flax msgpack, a
            TensorFlow checkpoint, or an Orbax folder.
        model: Name of the model (`vidjax models` lists them).
        out: File to write, .safetensors.
        naming: Code base that named the arrays, such as torchvision; recognised if left
            out.
        entry: Part of the file to take, such as target_encoder, where it has several.
        head: What becomes of the classifier: "keep" takes it over, "reset" starts
            afresh, "match" takes it over if it has the right number of classes.
        num_classes: Classes of the model.
        labels: Names of the classes: a list that ships with vidjax, such as
            kinetics400, or a text file with one a line.
        licence: Licence of the weights.
        verbose: Show where every array went.
        json_: Print one JSON object and nothing else.
    """
    result = convert_file(
        file,
        model=model,
        out=out,
        naming=naming,
        entry=entry,
        head=head,
        num_classes=num_classes,
        labels=labels,
        licence=licence,
    )
    if json_:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        _show(result, verbose=verbose)
    return 0


def _show(result: ConvertedFile, *, verbose: bool) -> None:
    turned = sum(move.shape != move.new_shape for move in result.moves)
    print(f"{result.source} as {result.model}, {result.num_classes} classes")
    print(f"  naming   {result.naming}")
    print(f"  loaded   {len(result.moves)} arrays, {turned} of them to another layout")
    print(f"  ignored  {_listed(result.ignored)}")
    print(f"  fresh    {_listed(result.fresh)}")
    print(f"  written  {result.path}, {result.values:,} values")
    if verbose:
        for move in result.moves:
            print(f"  {move.name} {_text(move.shape)}")
            print(f"    -> {move.path} {_text(move.new_shape)}")


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "nothing"
    shown = ", ".join(names[:3])
    return f"{len(names)}: {shown}" + (", ..." if len(names) > 3 else "")


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "-"
