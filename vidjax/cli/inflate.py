"""`vidjax inflate`: image weights in, video weights out."""

import json
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro

from vidjax.tasks.inflation import InflatedFile, inflate_file
from vidjax.typing import Head, Temporal, TimeAttention


def run(argv: Sequence[str]) -> int:
    """Inflates weights.

    Args:
        argv: Arguments after `vidjax inflate`.

    Returns:
        The exit code.

    Raises:
        ValueError: If a name or the weights are unknown, or the networks do not match.
    """
    return tyro.cli(
        _inflate,
        args=list(argv),
        prog="vidjax inflate",
        description="Turns the weights of an image network into those of a video "
        "network.\n\nexample: vidjax inflate resnet50-0676ba61.pth --from resnet50 "
        "--to slow_8x8_resnet50 --out slow.safetensors",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _inflate(
    weights: Annotated[str, tyro.conf.Positional],
    *,
    from_: Annotated[str, tyro.conf.arg(name="from")],
    to: str,
    out: pathlib.Path,
    temporal: Temporal = "average",
    head: Head = "match",
    time_attention: TimeAttention | None = None,
    num_classes: int | None = None,
    frames: int | None = None,
    size: int | None = None,
    channels: int | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Inflates.

    Args:
        weights: File of weights of the image network, or a tag of its card.
        from_: Name of the image network (`vidjax models` lists it with fusion none).
        to: Name of the video network.
        out: File to write, .safetensors.
        temporal: "average" repeats kernels over time and divides by their length,
            "center" puts them into the middle and zeros elsewhere.
        head: What becomes of the classifier: "match" takes it over if it has the right
            number of classes and else starts afresh, "keep" must take it over, "reset"
            starts afresh.
        time_attention: How a transformer's attention over time begins: "copy" takes
            the weights of attention over space, "zero" leaves tokens as they are; by
            default as published for the network.
        num_classes: Classes of the video network.
        frames: Frames of its clips, where its parameters depend on them.
        size: Height and width of its clips in pixels.
        channels: Channels of a frame: 10 for five stacked flows.
        json_: Print one JSON object and nothing else.
    """
    result = inflate_file(
        weights,
        source=from_,
        target=to,
        out=out,
        temporal=temporal,
        head=head,
        time_attention=time_attention,
        num_classes=num_classes,
        num_frames=frames,
        size=size,
        channels=channels,
    )
    if json_:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        _show(result, from_, to)
    return 0


def _show(result: InflatedFile, source: str, target: str) -> None:
    found = result.inflation
    print(f"{source} as {target}, {result.num_classes} classes: {result.path}")
    print(f"  {len(found.taken):4} arrays as they were")
    print(f"  {len(found.inflated):4} arrays given a time axis")
    for title, paths in (
        ("arrays filled up (with zeros, or the mean over colours)", found.widened),
        ("arrays of attention over time, taken from that over space", found.copied),
        ("arrays of attention over time, started at zero", found.zeroed),
        ("arrays that an image network cannot give, started afresh", found.fresh),
        ("arrays that the video network has no place for", found.dropped),
    ):
        if paths:
            print(f"  {len(paths):4} {title}:")
            for path in _by_layer(paths):
                print(f"         {path}")


def _by_layer(paths: Sequence[str]) -> list[str]:
    """The layers of parameters, each once."""
    layers = (path.partition("/")[2].rpartition("/")[0] for path in paths)
    return list(dict.fromkeys(layers))
