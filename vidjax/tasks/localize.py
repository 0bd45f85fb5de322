"""Actions of an untrimmed video: when they start and end, by a recognition model."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from vidjax import data
from vidjax.localization.detect import Segment
from vidjax.tasks.localize_scan import Scan, localize_by
from vidjax.tasks.predict import load_recognizer

StrPath = str | os.PathLike[str]

_SHOWN = 12  # Frames of a timeline's picture.


def localize(
    video: StrPath,
    *,
    model: str,
    weights: StrPath,
    scan: Scan | None = None,
) -> list[Segment]:
    """Finds the actions of a video by a recognition model, without a detector.

    Args:
        video: A video file.
        model: Registered name of a recognition model.
        weights: A tag of its card, such as "kinetics400", or the path of a file.
        scan: How windows slide over the video; None takes the defaults.

    Returns:
        The actions, the clearest first; one at a time.

    Raises:
        ValueError: If the video cannot be read, or the model or its weights are
            unknown.
    """
    return localize_by(load_recognizer(model, weights), video, scan=scan)


def plot_segments(video: StrPath, segments: Sequence[Segment], path: StrPath) -> None:
    """Draws some frames of a video, and below them its segments by class.

    Args:
        video: The video.
        segments: What was found in it.
        path: Picture to write; the ending says which kind.

    Raises:
        ValueError: If the video cannot be read, or the kind of picture is unknown.
        ImportError: If matplotlib is missing.
    """
    from vidjax.analysis.plots import save_figure
    from vidjax.analysis.timeline import timeline_figure

    info = data.probe(video)
    count = min(_SHOWN, info.num_frames)
    shown = ((np.arange(count) + 0.5) * info.num_frames / count).astype(int)
    figure = timeline_figure(
        data.read_frames(video, shown, short_side=96),
        [(s.start_sec, s.end_sec, s.label, s.score) for s in segments],
        duration=info.duration,
        title=pathlib.Path(video).name,
    )
    save_figure(figure, pathlib.Path(path))
