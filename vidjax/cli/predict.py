"""`vidjax predict`: videos in, labels with probabilities out."""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import console, progress

from vidjax.tasks.predict import (
    Recognizer,
    VideoLabels,
    load_recognizer,
    load_trained_recognizer,
    write_video_scores,
)


def run(argv: Sequence[str]) -> int:
    """Labels videos.

    Args:
        argv: Arguments after `vidjax predict`.

    Returns:
        The exit code: 1 if a video could not be read; the others are labelled still.

    Raises:
        ValueError: If the model, its weights or a combination of flags is not usable.
    """
    return tyro.cli(
        _predict,
        args=list(argv),
        prog="vidjax predict",
        description="Labels videos.\n\nexample: vidjax predict juggling.mp4 --model "
        "i3d_rgb --weights kinetics400",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _predict(
    videos: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.MISSING],
    *,
    model: str | None = None,
    weights: str | None = None,
    workdir: pathlib.Path | None = None,
    top: int = 5,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
    plot: pathlib.Path | None = None,
    scores: pathlib.Path | None = None,
) -> int:
    """Labels videos.

    Args:
        videos: Video files, on a disk or in a bucket.
        model: Name of a model (`vidjax models` lists them).
        weights: A tag of the model card, or the path of a file of weights.
        workdir: Folder that `vidjax train` made: its model, weights and label names.
        top: Labels a video.
        json_: Print one JSON array and nothing else.
        plot: Picture to write: frames of each video and a bar for each label.
        scores: JSON to write: the probability of every class in each video, with which
            `vidjax evaluate --video-scores` names proposals.
    """
    recognizer = _recognizer(model, weights, workdir)
    results, everything = [], []
    for video in _tracked(videos, hidden=json_):
        everything.append(recognizer.label(video, top=None))
        result = everything[-1].first(top)
        if result.error:
            print(f"vidjax predict: {result.error}", file=sys.stderr)
        elif not json_:
            _show(result)
        results.append(result)
    if json_:
        print(json.dumps([result.to_dict() for result in results], indent=2))
    if plot is not None:
        from vidjax.tasks.predict import plot_labels

        plot_labels(results, plot)
    if scores is not None:
        write_video_scores(scores, everything, recognizer.label_names)
    return 1 if any(result.error for result in results) else 0


def _recognizer(
    model: str | None, weights: str | None, workdir: pathlib.Path | None
) -> Recognizer:
    if workdir is not None:
        if model is not None or weights is not None:
            raise ValueError("--workdir already says which model and which weights.")
        return load_trained_recognizer(workdir)
    if model is None or weights is None:
        raise ValueError("Give --model and --weights, or --workdir of a training run.")
    return load_recognizer(model, weights)


def _tracked(videos: Sequence[str], *, hidden: bool) -> Sequence[str]:
    """The videos, with a progress bar on a terminal if there are several."""
    screen = console.Console(stderr=True)
    if hidden or len(videos) < 2 or not screen.is_terminal:
        return videos
    return progress.track(videos, "labelling", console=screen, transient=True)  # type: ignore


def _show(result: VideoLabels) -> None:
    print(result.path)
    for prediction in result.predictions:
        print(f"  {prediction.probability:6.1%}  {prediction.label}")
