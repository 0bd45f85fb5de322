"""Actions by a recognition model alone: its clips slide over the video."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from vidjax import data
from vidjax.data.cuts import ChangeMeter, find_cuts
from vidjax.data.windows import batched, centre_frames, cover, windows_at
from vidjax.localization.detect import Segment
from vidjax.localization.grouping import Grouping, group_scores
from vidjax.tasks.experiment import make_prepare
from vidjax.tasks.predict import Recognizer
from vidjax.typing import ClipSpec

StrPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]

_STEPS = 8  # Steps of the scores in a window. Ours; I3D has as many positions in time.
_SEGMENTS_SEC = 2.0  # A window of models whose clips have no length of their own. Ours.
_SHARE = 0.75  # From one window to the next, of a window, where a clip has positions...
_SHARE_WHOLE = 0.25  # ...and where it has one score. Ours.
_EDGE = 1e-3  # Weight of what only the edge of a window saw, above nothing. Ours.


@dataclasses.dataclass(frozen=True)
class Scan:
    """How windows slide over a video. The numbers are ours.

    Attributes:
        scales: Lengths of windows, in clips of the model. A window of another length
            than a clip gives as many frames to the model, nearer or further apart.
        stride: Frames from one window to the next, at scale 1; None is three quarters
            of a clip for models that score positions in time, and a quarter for others.
        batch: Windows that are scored at once; None is 1 on a CPU and 8 elsewhere.
        grouping: How scores become segments.
    """

    scales: tuple[float, ...] = (1.0,)
    stride: int | None = None
    batch: int | None = None
    grouping: Grouping = dataclasses.field(default_factory=Grouping)


class Track(NamedTuple):
    """Scores of a video over time.

    Attributes:
        probabilities: Of each step and class, [T, K] float32.
        step_sec: Seconds of a step.
        duration: Of the video, in seconds.
        cuts: Where its shots begin, but for the first, in steps [N].
    """

    probabilities: Float[np.ndarray, "t k"]
    step_sec: float
    duration: float
    cuts: Float[np.ndarray, " n"]


def localize_by(
    recognizer: Recognizer,
    video: StrPath,
    *,
    scan: Scan | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Segment]:
    """Finds the actions of a video by a model that is loaded.

    Args:
        recognizer: What scores the windows.
        video: A video file.
        scan: How windows slide over the video; None takes the defaults.
        progress: Called with the number of windows that are scored, and their total.

    Returns:
        The actions, the clearest first; one at a time.

    Raises:
        ValueError: If the video cannot be read, the model does not take colours, or a
            number of the scan is out of range.
    """
    scan = scan or Scan()
    track = score_video(recognizer, video, scan=scan, progress=progress)
    return segments_of(track, recognizer.label_names, scan.grouping)


def score_video(
    recognizer: Recognizer,
    video: StrPath,
    *,
    scan: Scan | None = None,
    progress: Progress = lambda done, total: None,
) -> Track:
    """Returns what a model says of each moment of a video.

    Windows slide over the video, which is decoded once. Where a model scores positions
    in time ("logits_per_step"), their probabilities are put where they are; a single
    score stands for the middle of its window. Windows that see the same moment are
    averaged, those in whose middle it is with more weight.

    Args:
        recognizer: What scores the windows.
        video: A video file.
        scan: How windows slide over the video; None takes the defaults.
        progress: Called with the number of windows that are scored, and their total.

    Returns:
        The probabilities, in steps of an eighth of a window.

    Raises:
        ValueError: If the video cannot be read, the model does not take colours, or a
            number of the scan is out of range.
    """
    scan, spec = scan or Scan(), recognizer.spec
    _check(scan, spec)
    fps = spec.fps or data.probe(video).fps
    total = data.count_frames(video, fps=fps)
    clip = _clip_frames(spec, fps)
    places = _positions(recognizer)
    spans = _spans(total, clip, scan, whole=len(places) == 1)
    step = clip / _STEPS
    # The last step may be cut short; its moment is one that there is.
    moments = np.minimum(np.arange(0, total, step) + step / 2, total - 0.5)
    mean = _Mean(moments, len(recognizer.label_names))
    meter = ChangeMeter()
    frames = meter.watch(centre_frames(video, spec, fps=fps))
    windows = windows_at(frames, spans)
    clips = (window[_chosen(len(window), spec)] for window in windows)
    scored = _scored(recognizer, clips, _batch(scan))
    for done, (scores, span) in enumerate(zip(scored, spans, strict=True), start=1):
        mean.add(scores, *span, places)
        progress(done, len(spans))
    cuts = find_cuts(np.array(meter.changes)) / step
    return Track(mean.result(), step / fps, total / fps, cuts)


def segments_of(
    track: Track, label_names: Sequence[str], grouping: Grouping
) -> list[Segment]:
    """Groups scores to segments in seconds.

    Args:
        track: The scores.
        label_names: Names of the K classes.
        grouping: How.

    Returns:
        The segments, the clearest first.
    """
    found = group_scores(track.probabilities, grouping, cuts=track.cuts)
    return [
        Segment(
            round(float(start) * track.step_sec, 3),
            round(min(float(end) * track.step_sec, track.duration), 3),
            str(label_names[label]),
            round(float(score), 4),
        )
        for (start, end), score, label in zip(*found, strict=True)
    ]


class _Mean:
    """The mean of windows at moments, in frames; memory is that of the result."""

    def __init__(self, moments: np.ndarray, classes: int) -> None:
        self._moments = moments
        self._total = np.zeros((len(moments), classes), np.float32)
        self._weight = np.zeros((len(moments), 1), np.float32)

    def add(self, scores: np.ndarray, start: int, end: int, places: np.ndarray) -> None:
        """Adds the scores [N, K] of a window, at shares `places` [N] of its length."""
        first, last = np.searchsorted(self._moments, (start, end))
        share = (self._moments[first:last] - start) / (end - start)
        weight = np.maximum(1 - np.abs(2 * share - 1), _EDGE)[:, None]
        self._total[first:last] += weight * _at(share, places, scores)
        self._weight[first:last] += weight

    def result(self) -> Float[np.ndarray, "t k"]:
        return self._total / self._weight


def _at(
    moments: np.ndarray, places: np.ndarray, scores: np.ndarray
) -> Float[np.ndarray, "t k"]:
    """Scores at places, at other moments, linearly; those at the ends go on."""
    place = np.interp(moments, places, np.arange(len(places)))
    before = np.floor(place).astype(int)
    behind = np.minimum(before + 1, len(places) - 1)
    share = (place - before)[:, None]
    return scores[before] * (1 - share) + scores[behind] * share


def _check(scan: Scan, spec: ClipSpec) -> None:
    problems = []
    if spec.modality != "rgb":
        problems.append(
            f"expected a model that sees colours, got one that sees {spec.modality}"
        )
    if not scan.scales or min(scan.scales) <= 0:
        problems.append(f"scales must be above 0, got {scan.scales}")
    for name in ("stride", "batch"):
        number = getattr(scan, name)
        if number is not None and number < 1:
            problems.append(f"{name} must be at least 1, got {number}")
    if problems:
        raise ValueError(f"Cannot scan: {'; '.join(problems)}.")


def _clip_frames(spec: ClipSpec, fps: float) -> int:
    """Frames of the video that a clip spans."""
    if spec.sampling == "dense" and spec.num_frames > 1:
        return spec.num_frames * spec.frame_stride
    return max(spec.num_frames, round(_SEGMENTS_SEC * fps))


def _chosen(window: int, spec: ClipSpec) -> np.ndarray:
    """Which frames of a window the model sees."""
    return (np.arange(spec.num_frames) * window / spec.num_frames).astype(int)


def _positions(recognizer: Recognizer) -> Float[np.ndarray, " n"]:
    """Where the scores of a clip lie in it, as shares of its length."""
    model: Any = recognizer.model

    def outputs(variables: dict[str, Any], clip: Array) -> tuple[Array, Array]:
        logits, endpoints = model.apply(variables, clip)
        return _position_logits(logits, endpoints), endpoints["features"]

    clip = jax.ShapeDtypeStruct((1, *recognizer.spec.shape), jnp.float32)
    scores, features = jax.eval_shape(outputs, recognizer.variables, clip)
    count = scores.shape[1]
    steps = features.shape[1] if count > 1 else 1
    return (np.arange(count) + (steps - count + 1) / 2) / steps


def _position_logits(logits: Any, endpoints: Any) -> Any:
    """Scores [B, N, K] at positions in time; those of the whole clip if there are none.

    A pool over two steps, as I3D's, leaves one position less than there are steps.
    """
    scores, steps = endpoints.get("logits_per_step"), endpoints["features"].shape[1]
    if scores is None or scores.shape[1] not in (steps - 1, steps):
        return logits[:, None]
    return scores


def _spans(total: int, clip: int, scan: Scan, *, whole: bool) -> list[tuple[int, int]]:
    """Windows of all scales, in the order of their ends."""
    stride = scan.stride or max(1, int(clip * (_SHARE_WHOLE if whole else _SHARE)))
    spans = []
    for scale in scan.scales:
        window = max(1, round(scale * clip))
        apart = min(max(1, round(scale * stride)), window)
        starts = cover(total, window=window, stride=apart)
        spans += [(start, start + window) for start in starts]
    return sorted(spans, key=lambda span: span[::-1])


def _batch(scan: Scan) -> int:
    return scan.batch or (1 if jax.default_backend() == "cpu" else 8)


def _scored(
    recognizer: Recognizer, clips: Iterator[np.ndarray], batch: int
) -> Iterator[Float[np.ndarray, "n k"]]:
    """Probabilities of each clip; the next one is decoded while one is computed."""
    waiting = None
    for rows, filled in itertools.chain(batched(clips, batch), [(None, 0)]):
        ready, waiting = waiting, None
        if rows is not None:
            args = (recognizer.model, recognizer.spec, recognizer.variables, rows)
            waiting = _probabilities(*args)[:filled]
        if ready is not None:
            yield from np.asarray(ready)


@functools.partial(jax.jit, static_argnames=("model", "spec"))
def _probabilities(
    model: nn.Module, spec: ClipSpec, variables: dict[str, Any], clips: Array
) -> Float[Array, "b n k"]:
    """Of clips [B, T, H, W, 3], uint8, at their positions in time."""
    output: Any = model.apply(variables, make_prepare(spec, "float32")(clips))
    return jax.nn.softmax(_position_logits(*output))
