"""`vidjax protocol`: test protocols as tables of integers."""

import json
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import box, console, table

from vidjax.tasks.protocol import ViewPlan, compare_plans, list_protocols, plan_views


def run(argv: Sequence[str]) -> int:
    """Prints protocols, spells one out for a video, or compares two.

    Args:
        argv: Arguments after `vidjax protocol`.

    Returns:
        The exit code; 1 if two that are compared differ.

    Raises:
        ValueError: If there is no such protocol or model, or it does not fit the video.
    """
    return tyro.cli(
        _protocol,
        args=list(argv),
        prog="vidjax protocol",
        description="Spells a test protocol out for a video: which frames and crops, "
        "and how scores are joined. Without a name it lists them.\n\nexample: vidjax "
        "protocol pyslowfast-30 --frames 300 --fps 30 --size 320x240 --model "
        "slowfast_8x8_resnet50",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _protocol(
    name: Annotated[str | None, tyro.conf.Positional] = None,
    *,
    frames: int = 300,
    fps: float = 30.0,
    size: str = "340x256",
    model: str | None = None,
    clip: str | None = None,
    against: str | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Prints.

    Args:
        name: Of the protocol; with --model alone, that of its card.
        frames: Frames in the video.
        fps: Frames per second of the video.
        size: Width and height of the video, such as 340x256.
        model: Model whose clip is taken (`vidjax models` lists them); by default the
            first one that is tested by this protocol.
        clip: Frames of a clip and frames from one to the next, such as 8x8; by default
            those of the model.
        against: Another protocol, to compare with.
        json_: Print one JSON object and nothing else.
    """
    if name is None and model is None:
        _list()
        return 0
    width, height = _pair("size", size)

    def plan(protocol: str | None) -> ViewPlan:
        return plan_views(
            protocol,
            num_frames=frames,
            fps=fps,
            size=(height, width),
            model=model,
            clip=_pair("clip", clip) if clip else None,
        )

    found = plan(name)
    if against is not None:
        differences = compare_plans(found, plan(against))
        print("\n".join(differences) if differences else "no difference")
        return 1 if differences else 0
    if json_:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _show(found)
    return 0


def _pair(what: str, text: str) -> tuple[int, int]:
    one, _, other = text.partition("x")
    if not (one.isdecimal() and other.isdecimal()):
        raise ValueError(f"--{what} is two numbers such as 16x4, got {text!r}.")
    return int(one), int(other)


def _list() -> None:
    titles = ("protocol", "clips", "crops", "frames by", "crops by", "averages")
    grid = table.Table(*titles, box=box.SIMPLE_HEAD)
    for name, views in list_protocols().items():
        counts = str(views.num_clips), str(views.num_crops)
        grid.add_row(name, *counts, views.frames, views.crops, views.average)
    console.Console(width=120).print(grid)


def _show(plan: ViewPlan) -> None:
    height, width = plan.size
    print(f"{plan.protocol}: {plan.num_views} views; digest {plan.digest}")
    print(f"resized to {width}x{height} ({plan.interpolation})")
    for number, frames in enumerate(plan.frames):
        print(f"clip {number}: {' '.join(map(str, frames))}")
    for number, (part, mirrored) in enumerate(plan.crops):
        place = f"{part.width}x{part.height} at ({part.left}, {part.top})"
        print(f"crop {number}: {place}{', mirrored' if mirrored else ''}")
    low, high = plan.value_range
    print(
        f"pixels: [{low:g}, {high:g}], mean {list(plan.mean)}, std {list(plan.std)}, "
        f"{plan.channel_order}"
    )
    print(f"average: {plan.average}")
