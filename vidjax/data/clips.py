"""A clip of a video, as a model wants it: frames, size, crop, augmentation."""

import dataclasses
from collections.abc import Callable

import numpy as np

from vidjax.config import AugmentConfig
from vidjax.data.colors import erase, jitter_colors
from vidjax.data.crops import is_mirrored, resized_size, view_crops
from vidjax.data.decode import read_frames
from vidjax.data.flow_video import FlowVideo
from vidjax.data.geometry import Geometry, draw_geometry
from vidjax.data.plan import clip_frames, frames_inside, test_clip
from vidjax.data.rand_augment import rand_augment
from vidjax.data.sampling import dense_indices, random_segment_indices
from vidjax.data.shards import RecordVideo
from vidjax.data.timeline import (
    StrPath,
    VideoError,
    frame_positions,
    read_timeline,
)
from vidjax.data.transforms import Box, flip_clip
from vidjax.typing import ClipSpec, Interpolation, Views

ONE_VIEW = Views()
NO_AUGMENT = AugmentConfig()


@dataclasses.dataclass(frozen=True)
class FileVideo:
    """A video file, or a span of one.

    Attributes:
        path: The file.
        start_sec: Where the span starts, in seconds.
        end_sec: Where it ends; None is the end of the file.
    """

    path: StrPath
    start_sec: float = 0.0
    end_sec: float | None = None

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def num_frames(self) -> int:
        """Frames N of the span."""
        return len(self._positions(None))

    @property
    def fps(self) -> float:
        """Frames per second, over the whole file."""
        line = read_timeline(self.path)
        return len(line.times) / float((line.end - line.times[0]) * line.tick)

    def shown(self, fps: float | None) -> np.ndarray:
        """Returns the frame on the screen at each tick of a rate.

        Args:
            fps: Ticks per second; None takes every frame once.

        Returns:
            Indices in [0, N), not falling, int64 [M].
        """
        return self._positions(fps) - self._positions(None)[0]

    def read(
        self, indices: np.ndarray, geometry: Geometry, interpolation: Interpolation
    ) -> np.ndarray:
        """Reads a part of some frames.

        Args:
            indices: Which frames, [T], each in [0, N).
            geometry: To which size they are resized, and what is cut out of that.
            interpolation: How they are resized.

        Returns:
            Pixels, uint8 RGB [T, box.height, box.width, 3].

        Raises:
            VideoError: If they cannot be read.
        """
        return read_frames(
            self.path,
            indices,
            start_sec=self.start_sec,
            end_sec=self.end_sec,
            geometry=geometry,
            interpolation=interpolation,
        )

    def _positions(self, fps: float | None) -> np.ndarray:
        line = read_timeline(self.path)
        span = {"start_sec": self.start_sec, "end_sec": self.end_sec}
        return frame_positions(self.path, line, fps=fps, **span)


Video = FileVideo | RecordVideo | FlowVideo
"""Frames by index, wherever they are kept; the last has their flow as well."""


def load_clip(
    path: StrPath,
    spec: ClipSpec,
    *,
    view: int = 0,
    views: Views = ONE_VIEW,
    start_sec: float = 0.0,
    end_sec: float | None = None,
) -> np.ndarray:
    """Reads one view of a video file for a test; see `test_view`.

    Args:
        path: A video file.
        spec: The clip that the model wants; pixel values are left as they are.
        view: Which view, in [0, views.num_views).
        views: The protocol of a test.
        start_sec: Where in the video to start, in seconds.
        end_sec: Where to end; None is the end of the video.

    Returns:
        The clip, uint8 RGB in [0, 255], [1, T, H, W, 3]; of `spec.pixels_shape`, so
        with the frames of every window one after the other where flow is wanted.

    Raises:
        VideoError: If the video cannot be read.
        ValueError: If there is no such view.
        ImportError: If PyAV is missing.
    """
    video = FileVideo(path, start_sec, end_sec)
    return view_clip(video, spec, view=view, views=views)[None]


def view_clip(
    video: Video, spec: ClipSpec, *, view: int = 0, views: Views = ONE_VIEW
) -> np.ndarray:
    """Reads one view of a video for a test, as `make_plan` would spell it out.

    View v is crop v mod `num_crops` of clip floor(v / `num_crops`).

    Args:
        video: The video.
        spec: The clip that the model wants; pixel values are left as they are.
        view: Which view, in [0, views.num_views).
        views: The protocol; `test_clip` says which clip it makes of `spec`.

    Returns:
        The clip, uint8 RGB in [0, 255], [T, H, W, 3], as from `load_clip`.

    Raises:
        VideoError: If the video cannot be read.
        ValueError: If there is no such view.
    """
    if not 0 <= view < views.num_views:
        raise ValueError(f"view must be in [0, {views.num_views}), got {view}.")
    number, crop = divmod(view, views.num_crops)
    spec = test_clip(spec, views)
    frames = clip_frames(
        views,
        spec,
        num_frames=video.num_frames,
        fps=video.fps,
        shown=video.shown(_rate(spec)),
    )[number]
    frames = _around(frames, video.shown(_rate(spec)), spec)

    def geometry(height: int, width: int) -> tuple[tuple[int, int], Box]:
        size = resized_size(height, width, short_side=spec.short_side, views=views)
        return size, view_crops(*size, size=spec.size, views=views)[crop][0]

    return _read(
        *(video, frames, geometry, spec), mirrored=is_mirrored(crop, views=views)
    )


def random_clip(
    video: Video,
    spec: ClipSpec,
    *,
    rng: np.random.Generator,
    short_side: tuple[int, int] | None = None,
    flip_rate: float = 0.0,
    augment: AugmentConfig = NO_AUGMENT,
    loop: bool = True,
) -> tuple[np.ndarray, bool]:
    """Reads a random clip of a video for training.

    All draws are the same for every frame: where the clip lies in time, what part of
    the frame it shows, its colours and the flip.

    Args:
        video: The video.
        spec: The clip that the model wants.
        rng: Where randomness comes from.
        short_side: Smallest and largest short side in pixels, all equally likely; None
            takes `spec.short_side`.
        flip_rate: Probability that left and right are swapped.
        augment: What else varies.
        loop: Whether a video that is shorter than the clip is looped; otherwise it is
            an error.

    Returns:
        The clip, uint8 RGB in [0, 255], [T, H, W, 3], and whether it is flipped.

    Raises:
        VideoError: If the video cannot be read, or is too short and not to be looped.
        ValueError: If the clip does not fit into the frame.
    """
    # Every draw is made in every case, so that none depends on another's setting.
    position, flip = rng.random(2)
    side = short_side or (spec.short_side, spec.short_side)
    geometry = draw_geometry(rng, size=spec.size, short_side=side, augment=augment)
    shown = video.shown(_rate(spec))
    if not loop and len(shown) < _span(spec):
        raise VideoError(
            f"{video.name} has {len(shown)} frames, and a clip spans {_span(spec)}."
        )
    inside = frames_inside(shown, spec)
    indices = _draw_frames(len(inside), spec, float(position), rng)
    frames = _around(inside[indices], shown, spec)
    flipped = bool(flip < flip_rate)

    def vary(clip: np.ndarray) -> np.ndarray:
        if augment.rand_augment is not None:
            layers, magnitude = augment.rand_augment
            clip = rand_augment(clip, rng=rng, layers=layers, magnitude=magnitude)
        clip = jitter_colors(clip, rng=rng, augment=augment)
        return erase(clip, rng=rng, rate=augment.erase_rate)

    clip = _read(video, frames, geometry, spec, mirrored=flipped, vary=vary)
    return clip, flipped


def _read(
    video: Video,
    frames: np.ndarray,
    geometry: Geometry,
    spec: ClipSpec,
    *,
    mirrored: bool,
    vary: Callable[[np.ndarray], np.ndarray] = lambda clip: clip,
) -> np.ndarray:
    """Reads frames, or where flow comes from files, colours and flow of their windows.

    Args:
        video: The video.
        frames: T windows of W frames, [T * W].
        geometry: What is cut out; it is asked once, and is the same for colours and
            flow.
        spec: The clip.
        mirrored: Whether left and right are swapped.
        vary: What else happens to colours.

    Returns:
        Pixels, uint8, of the shape `spec.pixels_shape`.
    """
    if not isinstance(video, FlowVideo):
        clip = video.read(frames, geometry, spec.interpolation)
        return np.ascontiguousarray(vary(flip_clip(clip) if mirrored else clip))
    answers: list[tuple[tuple[int, int], Box]] = []

    def once(height: int, width: int) -> tuple[tuple[int, int], Box]:
        if not answers:
            answers.append(geometry(height, width))
        return answers[0]

    windows, parts = frames.reshape(-1, len(spec.window)), []
    if spec.modality == "rgb+flow":
        shown = windows[:, spec.window.index(0)]
        clip = video.read(shown, once, spec.interpolation)
        parts.append(vary(flip_clip(clip) if mirrored else clip))
    flow = video.read_flow(windows, once, spec.interpolation, mirrored=mirrored)
    return np.concatenate([*parts, flow], axis=-1)


def _around(frames: np.ndarray, shown: np.ndarray, spec: ClipSpec) -> np.ndarray:
    """The frames of the windows around frames [T], one after the other, [T * W].

    Beyond the ends of the video its outermost frames are repeated, between which
    nothing moves.
    """
    if spec.modality == "rgb":
        return frames
    places = np.searchsorted(shown, frames)[:, None] + np.array(spec.window)[None]
    return shown[np.clip(places, 0, len(shown) - 1)].ravel()


def _draw_frames(
    count: int, spec: ClipSpec, position: float, rng: np.random.Generator
) -> np.ndarray:
    if spec.sampling == "segments":
        return random_segment_indices(count, segments=spec.num_frames, rng=rng)
    return dense_indices(
        count,
        clip_length=spec.num_frames,
        stride=spec.frame_stride,
        position=position,
    )


def _span(spec: ClipSpec) -> int:
    """Frames that a video needs, at the model's rate."""
    if spec.sampling == "segments":
        return spec.num_frames
    return (spec.num_frames - 1) * spec.frame_stride + 1


def _rate(spec: ClipSpec) -> float | None:
    """Segments are shares of a video: a rate would only choose between neighbours."""
    return spec.fps if spec.sampling == "dense" else None
