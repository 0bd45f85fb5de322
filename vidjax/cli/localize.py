"""`vidjax localize`: an untrimmed video in, its actions with start and end out."""

import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

import tyro
from rich import box, console, table

from vidjax.cli.count_view import CountView
from vidjax.tasks.localize import Segment, plot_segments
from vidjax.tasks.localize_scan import Scan, localize_by
from vidjax.tasks.predict import load_recognizer, load_trained_recognizer


def run(argv: Sequence[str]) -> int:
    """Localizes the actions of a video.

    Args:
        argv: Arguments after `vidjax localize`.

    Returns:
        The exit code.

    Raises:
        ValueError: If the video, the model or a combination of flags is not usable.
    """
    return tyro.cli(
        _localize,
        args=list(argv),
        prog="vidjax localize",
        description="Finds the actions of an untrimmed video with a recognition model."
        "\n\nexample: vidjax localize day.mp4 --model i3d_rgb --weights kinetics400",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _localize(
    video: Annotated[tyro.conf.Positional[pathlib.Path], tyro.MISSING],
    *,
    model: str | None = None,
    weights: str | None = None,
    workdir: pathlib.Path | None = None,
    stride: int | None = None,
    batch: int | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
    plot: pathlib.Path | None = None,
) -> int:
    """Finds the actions of a video.

    Args:
        video: A video file.
        model: Name of a recognition model (`vidjax models` lists them).
        weights: A tag of the model card, or the path of a file of weights.
        workdir: Folder that `vidjax train` made of a recognition model.
        stride: Frames from one scored window to the next; by default three quarters of
            the model's clip, or a quarter where it has one score only.
        batch: Windows that are scored at once.
        json_: Print one JSON array and nothing else.
        plot: Picture to write: frames, and the segments by class.
    """
    if workdir is not None:
        if model is not None or weights is not None:
            raise ValueError("--workdir already says which model and which weights.")
        recognizer = load_trained_recognizer(workdir)
    elif model is None or weights is None:
        raise ValueError("Give --model and --weights, or --workdir of a training run.")
    else:
        recognizer = load_recognizer(model, weights)
    with CountView("windows") as show:
        segments = localize_by(
            recognizer,
            video,
            scan=Scan(stride=stride, batch=batch),
            progress=functools.partial(show, video.name),
        )
    if json_:
        print(json.dumps([_to_json(segment) for segment in segments], indent=2))
    else:
        _show(segments)
    if plot is not None:
        plot_segments(video, segments, plot)
    return 0


def _show(segments: Sequence[Segment]) -> None:
    if not segments:
        print("No action stands out.")
        return
    grid = table.Table(box=box.SIMPLE_HEAD)
    for title in ("start", "end", "label", "score"):
        grid.add_column(title, justify="left" if title == "label" else "right")
    for s in sorted(segments, key=lambda segment: segment.start_sec):
        grid.add_row(_clock(s.start_sec), _clock(s.end_sec), s.label, f"{s.score:.3f}")
    console.Console().print(grid)


def _to_json(segment: Segment) -> dict[str, Any]:
    return {
        "start": segment.start_sec,
        "end": segment.end_sec,
        "label": segment.label,
        "score": segment.score,
    }


def _clock(seconds: float) -> str:
    """Returns m:ss.cc."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
