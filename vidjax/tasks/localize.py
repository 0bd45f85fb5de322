"""Actions of an untrimmed video: when they start and end, by a recognition model."""

import dataclasses
import functools
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vidjax import data
from vidjax.data.windows import batched, centre_frames, count_windows, sliding_windows
from vidjax.localization.detect import Segment
from vidjax.localization.grouping import Grouping, group_scores
from vidjax.ops.pixels import normalize
from vidjax.tasks.predict import Recognizer, load_recognizer
from vidjax.typing import ClipSpec

StrPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]

_SHOWN = 12  # Frames of a timeline's picture.


@dataclasses.dataclass(frozen=True)
class Scan:
    """How windows slide over a video. The numbers are ours.

    Attributes:
        scales: Lengths of windows, in clips of the model.
        stride: Frames from one window to the next; None is a quarter of a clip.
        batch: Windows that are scored at once.
        grouping: How scores become segments.
    """

    scales: tuple[float, ...] = (0.5, 1.0)
    stride: int | None = None
    batch: int = 2
    grouping: Grouping = dataclasses.field(default_factory=Grouping)


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


def localize_by(
    recognizer: Recognizer,
    video: StrPath,
    *,
    scan: Scan | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Segment]:
    """Finds the actions of a video by a model that is loaded.

    Windows of several lengths slide over the video; the probabilities of those that
    stand over a moment are averaged, smoothed over time and grouped to segments.

    Args:
        recognizer: What scores the windows.
        video: A video file.
        scan: How windows slide over the video; None takes the defaults.
        progress: Called with the number of windows that are scored, and their total.

    Returns:
        The actions, the clearest first; one at a time.

    Raises:
        ValueError: If the video cannot be read.
    """
    scan = scan or Scan()
    spec = recognizer.spec
    fps = spec.fps or data.probe(video).fps
    span = spec.num_frames * spec.frame_stride
    stride = scan.stride or max(1, span // 4)
    total = data.count_frames(video, fps=fps)
    lengths = [max(1, round(scale * spec.num_frames)) for scale in scan.scales]
    reach = [length * spec.frame_stride for length in lengths]
    counts = [count_windows(total, window=r, stride=stride) for r in reach]
    done, moments = 0, (np.arange(math.ceil(total / stride)) + 0.5) * stride
    scores = np.zeros((len(moments), len(recognizer.label_names)))
    for window, count in zip(reach, counts, strict=True):
        rows = []
        frames = centre_frames(video, spec, fps=fps)
        windows = sliding_windows(frames, window=window, stride=stride)
        thinned = (frames[:: spec.frame_stride] for frames in windows)
        for clips, filled in batched(thinned, scan.batch):
            rows.append(_probabilities(recognizer, clips)[:filled])
            done += filled
            progress(done, sum(counts))
        middles = np.arange(count) * stride + window / 2
        scores += _at(moments, middles, np.concatenate(rows)) / len(reach)
    found = group_scores(scores.astype(np.float32), scan.grouping)
    duration = total / fps
    return [
        Segment(
            round(float(start) * stride / fps, 3),
            round(min(float(end) * stride / fps, duration), 3),
            recognizer.label_names[label],
            round(float(score), 4),
        )
        for (start, end), score, label in zip(*found, strict=True)
    ]


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


def _at(
    moments: np.ndarray, middles: np.ndarray, scores: np.ndarray
) -> Float[np.ndarray, "t k"]:
    """Scores of windows at other moments, linearly; those at the ends go on."""
    place = np.interp(moments, middles, np.arange(len(middles)))
    before = np.floor(place).astype(int)
    behind = np.minimum(before + 1, len(middles) - 1)
    share = (place - before)[:, None]
    return scores[before] * (1 - share) + scores[behind] * share


def _probabilities(
    recognizer: Recognizer, clips: np.ndarray
) -> Float[np.ndarray, "b k"]:
    """Of clips [B, T, H, W, 3], uint8."""
    return np.asarray(
        _softmax(
            recognizer.model,
            recognizer.spec,
            recognizer.variables,
            jnp.asarray(clips),
        )
    )


@functools.partial(jax.jit, static_argnames=("model", "spec"))
def _softmax(
    model: nn.Module, spec: ClipSpec, variables: dict[str, Any], clips: Array
) -> Float[Array, "b k"]:
    clips = normalize(
        clips,
        value_range=spec.value_range,
        mean=spec.mean,
        std=spec.std,
        channel_order=spec.channel_order,
    )
    logits, _ = model.apply(variables, clips)  # type: ignore[misc]
    return jax.nn.softmax(logits)
