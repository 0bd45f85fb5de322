"""A clip of a video file, as a model wants it: frames, size, crop."""

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
    clip_number, crop = divmod(view, views.num_crops)
    position = view_positions(views.num_clips, sampling=spec.sampling)[clip_number]
    fps = _rate(spec)
    count = count_frames(path, fps=fps, start_sec=start_sec, end_sec=end_sec)
    if spec.sampling == "segments":
        indices = segment_indices(
            count, segments=spec.num_frames, position=float(position)
        )
    else:
        indices = dense_indices(
            count,
            clip_length=spec.num_frames,
            stride=spec.frame_stride,
            position=float(position),
        )
    clip = read_frames(
        path,
        indices,
        fps=fps,
        start_sec=start_sec,
        end_sec=end_sec,
        short_side=spec.short_side,
        interpolation=spec.interpolation,
    )
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
    fps = _rate(spec)
    count = count_frames(path, fps=fps, start_sec=start_sec, end_sec=end_sec)
    if spec.sampling == "segments":
        indices = random_segment_indices(count, segments=spec.num_frames, rng=rng)
    else:
        indices = dense_indices(
            count,
            clip_length=spec.num_frames,
            stride=spec.frame_stride,
            position=float(position),
        )
    clip = read_frames(
        path,
        indices,
        fps=fps,
        start_sec=start_sec,
        end_sec=end_sec,
        short_side=side,
        interpolation=spec.interpolation,
    )
    clip = crop_clip(clip, random_box(*clip.shape[1:3], size=spec.size, rng=rng))
    return np.ascontiguousarray(flip_clip(clip) if flip < flip_rate else clip)


def _rate(spec: ClipSpec) -> float | None:
    """Segments are shares of a video: a rate would only choose between neighbours."""
    return spec.fps if spec.sampling == "dense" else None
