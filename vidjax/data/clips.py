"""A clip of a video file, as a model wants it: frames, size, crop."""

import dataclasses

import numpy as np

from vidjax.data.decode import count_frames, read_frames
from vidjax.data.sampling import (
    dense_indices,
    random_segment_indices,
    segment_indices,
    view_positions,
)
from vidjax.data.timeline import StrPath
from vidjax.data.transforms import crop_clip, flip_clip, random_box, view_box
from vidjax.typing import ClipSpec, Views

ONE_VIEW = Views()


def load_clip(
    path: StrPath,
    spec: ClipSpec,
    *,
    view: int = 0,
    views: Views = ONE_VIEW,
    start_sec: float = 0.0,
    end_sec: float | None = None,
) -> np.ndarray:
    """Reads one view of a video for a test.

    Frames are chosen as `spec` says, resized to `spec.short_side` and cropped. View v
    is crop v mod `num_crops` of clip floor(v / `num_crops`).

    Args:
        path: A video file.
        spec: The clip that the model wants; pixel values are left as they are.
        view: Which view, in [0, num_clips * num_crops).
        views: The views of a test.
        start_sec: Where in the video to start, in seconds.
        end_sec: Where to end; None is the end of the video.

    Returns:
        The clip, uint8 RGB in [0, 255], [1, T, H, W, 3].

    Raises:
        VideoError: If the video cannot be read.
        ValueError: If there is no such view.
        ImportError: If PyAV is missing.
    """
    if not 0 <= view < views.num_clips * views.num_crops:
        raise ValueError(
            f"view must be in [0, {views.num_clips * views.num_crops}), got {view}."
        )
    number, crop = divmod(view, views.num_crops)
    position = float(view_positions(views.num_clips, sampling=spec.sampling)[number])
    part = _Part(path, start_sec, end_sec)
    count = part.count(spec)
    if spec.sampling == "segments":
        indices = segment_indices(count, segments=spec.num_frames, position=position)
    else:
        indices = _dense(count, spec, position)
    clip = part.read(indices, spec, spec.short_side)
    box = view_box(
        *clip.shape[1:3], size=spec.size, crop=crop, num_crops=views.num_crops
    )
    return np.ascontiguousarray(crop_clip(clip, box))[None]


def random_clip(
    path: StrPath,
    spec: ClipSpec,
    *,
    rng: np.random.Generator,
    short_side: tuple[int, int] | None = None,
    flip_rate: float = 0.0,
    start_sec: float = 0.0,
    end_sec: float | None = None,
) -> np.ndarray:
    """Reads a random clip of a video for training.

    All draws are the same for every frame: where the clip lies in time, the short side,
    the crop and the flip.

    Args:
        path: A video file.
        spec: The clip that the model wants; pixel values are left as they are.
        rng: Where randomness comes from.
        short_side: Smallest and largest short side in pixels, all equally likely; None
            takes `spec.short_side`.
        flip_rate: Probability that left and right are swapped.
        start_sec: Where in the video to start, in seconds.
        end_sec: Where to end; None is the end of the video.

    Returns:
        The clip, uint8 RGB in [0, 255], [T, H, W, 3].

    Raises:
        VideoError: If the video cannot be read.
        ImportError: If PyAV is missing.
    """
    # Every draw is made in every case, so that none depends on another's setting.
    position, flip = rng.random(2)
    low, high = short_side or (spec.short_side, spec.short_side)
    side = int(rng.integers(low, high + 1))
    part = _Part(path, start_sec, end_sec)
    count = part.count(spec)
    if spec.sampling == "segments":
        indices = random_segment_indices(count, segments=spec.num_frames, rng=rng)
    else:
        indices = _dense(count, spec, float(position))
    clip = part.read(indices, spec, side)
    clip = crop_clip(clip, random_box(*clip.shape[1:3], size=spec.size, rng=rng))
    return np.ascontiguousarray(flip_clip(clip) if flip < flip_rate else clip)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A span of a video file, in seconds."""

    path: StrPath
    start_sec: float
    end_sec: float | None

    def count(self, spec: ClipSpec) -> int:
        return count_frames(
            self.path, fps=_rate(spec), start_sec=self.start_sec, end_sec=self.end_sec
        )

    def read(self, indices: np.ndarray, spec: ClipSpec, short_side: int) -> np.ndarray:
        return read_frames(
            self.path,
            indices,
            fps=_rate(spec),
            start_sec=self.start_sec,
            end_sec=self.end_sec,
            short_side=short_side,
            interpolation=spec.interpolation,
        )


def _dense(count: int, spec: ClipSpec, position: float) -> np.ndarray:
    return dense_indices(
        count,
        clip_length=spec.num_frames,
        stride=spec.frame_stride,
        position=position,
    )


def _rate(spec: ClipSpec) -> float | None:
    """Segments are shares of a video: a rate would only choose between neighbours."""
    return spec.fps if spec.sampling == "dense" else None
