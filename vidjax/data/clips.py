"""A clip of a video file, as a model wants it: frames, size, crop."""

import dataclasses
import functools

import numpy as np

from vidjax.data.crops import resized_size, view_crops
from vidjax.data.decode import Resize, read_frames
from vidjax.data.plan import clip_frames, test_clip
from vidjax.data.sampling import dense_indices, random_segment_indices
from vidjax.data.timeline import StrPath, frame_positions, read_timeline
from vidjax.data.transforms import crop_clip, flip_clip, random_box, short_side_size
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
    """Reads one view of a video for a test, as `make_plan` would spell it out.

    View v is crop v mod `num_crops` of clip floor(v / `num_crops`).

    Args:
        path: A video file.
        spec: The clip that the model wants; pixel values are left as they are.
        view: Which view, in [0, views.num_views).
        views: The protocol of a test; `test_clip` says which clip it makes of `spec`.
        start_sec: Where in the video to start, in seconds.
        end_sec: Where to end; None is the end of the video.

    Returns:
        The clip, uint8 RGB in [0, 255], [1, T, H, W, 3].

    Raises:
        VideoError: If the video cannot be read.
        ValueError: If there is no such view.
        ImportError: If PyAV is missing.
    """
    if not 0 <= view < views.num_views:
        raise ValueError(f"view must be in [0, {views.num_views}), got {view}.")
    number, crop = divmod(view, views.num_crops)
    spec = test_clip(spec, views)
    part = _Part(path, start_sec, end_sec)
    clip = part.read(
        part.test_frames(spec, views)[number],
        spec,
        functools.partial(resized_size, short_side=spec.short_side, views=views),
    )
    box, mirrored = view_crops(*clip.shape[1:3], size=spec.size, views=views)[crop]
    clip = crop_clip(clip, box)
    return np.ascontiguousarray(flip_clip(clip) if mirrored else clip)[None]


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
    count = len(part.shown(spec))
    if spec.sampling == "segments":
        indices = random_segment_indices(count, segments=spec.num_frames, rng=rng)
    else:
        indices = dense_indices(
            count,
            clip_length=spec.num_frames,
            stride=spec.frame_stride,
            position=float(position),
        )
    frames = part.shown(spec)[indices]
    clip = part.read(frames, spec, functools.partial(short_side_size, short_side=side))
    clip = crop_clip(clip, random_box(*clip.shape[1:3], size=spec.size, rng=rng))
    return np.ascontiguousarray(flip_clip(clip) if flip < flip_rate else clip)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A span of a video file, in seconds."""

    path: StrPath
    start_sec: float
    end_sec: float | None

    def shown(self, spec: ClipSpec) -> np.ndarray:
        """The frame on the screen at each tick of the model's rate, [M].

        Segments are shares of a video: a rate would only choose between neighbours.
        """
        fps = spec.fps if spec.sampling == "dense" else None
        return self._positions(fps) - self._positions(None)[0]

    def test_frames(self, spec: ClipSpec, views: Views) -> np.ndarray:
        """The frames of every clip of a test, [clips, T]."""
        line = read_timeline(self.path)
        seconds = float((line.end - line.times[0]) * line.tick)
        return clip_frames(
            views,
            spec,
            num_frames=len(self._positions(None)),
            fps=len(line.times) / seconds,
            shown=self.shown(spec),
        )

    def read(self, indices: np.ndarray, spec: ClipSpec, resize: Resize) -> np.ndarray:
        """Reads frames of this span, [T, H, W, 3]."""
        return read_frames(
            self.path,
            indices,
            start_sec=self.start_sec,
            end_sec=self.end_sec,
            resize=resize,
            interpolation=spec.interpolation,
        )

    def _positions(self, fps: float | None) -> np.ndarray:
        line = read_timeline(self.path)
        span = {"start_sec": self.start_sec, "end_sec": self.end_sec}
        return frame_positions(self.path, line, fps=fps, **span)
