"""`vidjax localize`: an untrimmed video in, its actions with start and end out."""

import functools
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro
from rich import box, console, table

from vidjax.cli.count_view import CountView
from vidjax.tasks.localize import Scan, Segment, localize
from vidjax.tasks.localize_outputs import (
    check_outputs,
    plot_segments,
    write_clips,
    write_page,
)


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
        description="Finds the actions of an untrimmed video, by a recognition model "
        "alone or by a detector.\n\n"
        "example: vidjax localize day.mp4 --model i3d_rgb --weights kinetics400\n"
        "example: vidjax localize day.mp4 --workdir runs/detector --clip-out found",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _localize(
    video: Annotated[tyro.conf.Positional[pathlib.Path | None], tyro.conf.arg()] = None,
    *,
    model: str | None = None,
    weights: str | None = None,
    workdir: pathlib.Path | None = None,
    detector: str | None = None,
    features: pathlib.Path | None = None,
    features_model: str | None = None,
    features_weights: str | None = None,
    features_preset: Literal["thumos14_i3d"] | None = None,
    labels: pathlib.Path | None = None,
    stride: int | None = None,
    batch: int | None = None,
    min_score: float | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
    plot: pathlib.Path | None = None,
    html: pathlib.Path | None = None,
    clip_out: pathlib.Path | None = None,
) -> int:
    """Finds the actions of a video.

    Args:
        video: A video file; not needed where --features are given.
        model: Name of a recognition model (`vidjax models` lists them).
        weights: Of the model or the detector: a tag of its card, or the path of a file.
        workdir: Folder that `vidjax train` made, of a recognition model or a detector.
        detector: Name of a detector, in place of a model.
        features: File of features of the video, for a detector; by default they are
            made.
        features_model: Model that makes the features for --detector.
        features_weights: Its weights; with --workdir, where they are now.
        features_preset: Published features, in place of --features-model.
        labels: Text file with the names of the classes of --detector, one a line.
        stride: Frames from one scored window to the next; by default three quarters of
            the model's clip, or a quarter where it has one score only.
        batch: Windows that are computed at once.
        min_score: Leave out what scores less; by default 0.3, with a detector 0.1.
        json_: Print one JSON array and nothing else.
        plot: Picture to write: frames, and the segments by class.
        html: Page to write: the video above a timeline on which one can click.
        clip_out: Folder for a file of each found part, without sound.
    """
    if video is None and (plot or html or clip_out):
        raise ValueError("--plot, --html and --clip-out need the video.")
    check_outputs(plot=plot, page=html, clips=clip_out)
    with CountView("windows") as show:
        segments = localize(
            video,
            model=model,
            weights=weights,
            workdir=workdir,
            detector=detector,
            features=features,
            features_model=features_model,
            features_weights=features_weights,
            features_preset=features_preset,
            labels=labels,
            scan=Scan(stride=stride, batch=batch),
            min_score=min_score,
            progress=functools.partial(show, video.name if video else "features"),
        )
    if json_:
        print(json.dumps([_to_json(segment) for segment in segments], indent=2))
    else:
        _show(segments)
    if video is None:
        return 0
    if plot is not None:
        plot_segments(video, segments, plot)
    if html is not None:
        by = " ".join(
            str(part) for part in (model or detector or workdir, weights) if part
        )
        played = write_page(video, segments, html, by=by)
        if played.resolve() != video.resolve():
            print(
                f"{html} plays {played}, a copy of {video} in H.264.", file=sys.stderr
            )
    if clip_out is not None:
        with CountView("clips") as show:
            told = functools.partial(show, str(clip_out))
            write_clips(video, segments, clip_out, progress=told)
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
        "start": round(segment.start_sec, 3),
        "end": round(segment.end_sec, 3),
        "label": segment.label,
        "score": round(segment.score, 4),
    }


def _clock(seconds: float) -> str:
    """Returns m:ss.cc."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"
