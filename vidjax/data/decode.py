"""Frames from video files, through PyAV: only those that are wanted.

The times of all frames are known before the first is decoded (`vidjax.data.timeline`),
so that decoding does no more than it must (`vidjax.data.decoder`).
"""

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vidjax.data.decoder import decode, frames_at
from vidjax.data.geometry import Geometry
from vidjax.data.timeline import (
    StrPath,
    VideoError,
    frame_positions,
    import_av,
    open_video,
    read_timeline,
)
from vidjax.data.transforms import Box, empty_clip, short_side_size
from vidjax.typing import Interpolation

Resize = Callable[[int, int], tuple[int, int]]
"""From the height and width of a frame to those of the resized one."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What is known of a video without decoding it.

    Attributes:
        num_frames: Frames that it has, counted.
        fps: Mean rate: `num_frames` over `duration`.
        duration: From the first frame to the end of the last, in seconds.
        width: Columns of a frame as it is shown.
        height: Rows of a frame as it is shown.
        rotation: Degrees by which stored frames are turned counterclockwise to be
            shown: 0, 90, 180 or 270.
    """

    num_frames: int
    fps: float
    duration: float
    width: int
    height: int
    rotation: int


def probe(path: StrPath) -> VideoInfo:
    """Returns what a video is. One frame is decoded, for its rotation.

    Args:
        path: A video file.

    Returns:
        The facts, after rotation.

    Raises:
        VideoError: If the file is missing, empty, truncated or no video.
        ImportError: If PyAV is missing.
    """
    line = read_timeline(path)
    rotation = 0
    with open_video(path) as (container, stream):
        for frame in decode(container, stream):
            rotation = _rotation(frame)
            break
    duration = float((line.end - line.times[0]) * line.tick)
    width, height = line.size if rotation % 180 == 0 else line.size[::-1]
    count = len(line.times)
    return VideoInfo(count, count / duration, duration, width, height, rotation)


def count_frames(
    path: StrPath,
    *,
    fps: float | None = None,
    start_sec: float = 0.0,
    end_sec: float | None = None,
) -> int:
    """Returns how many frames `read_frames` can choose from.

    Args:
        path: A video file.
        fps: Rate in frames per second at which it is read; None counts its own frames.
        start_sec: First moment that counts, in seconds.
        end_sec: Where counting ends; None goes to the end of the video.

    Returns:
        Frames N, at least 1.

    Raises:
        VideoError: If the file cannot be read, or has nothing between the two moments.
        ImportError: If PyAV is missing.
    """
    line = read_timeline(path)
    return len(
        frame_positions(path, line, fps=fps, start_sec=start_sec, end_sec=end_sec)
    )


def read_frames(
    path: StrPath,
    indices: ArrayLike,
    *,
    fps: float | None = None,
    start_sec: float = 0.0,
    end_sec: float | None = None,
    short_side: int | None = None,
    geometry: Geometry | None = None,
    interpolation: Interpolation = "bilinear",
) -> np.ndarray:
    """Reads some frames of a video.

    Without `fps`, index i is the i-th frame that is shown. With it, index i is the
    frame that is on the screen i / fps seconds after the start, whatever the rate of
    the video and however irregular. Frames are turned as the file says; what is
    transparent is put on black.

    Args:
        path: A video file.
        indices: Which frames, [T], each in [0, N) with N from `count_frames`; in any
            order, repeats allowed.
        fps: Rate in frames per second at which the video is read, or None.
        start_sec: Moment of index 0, in seconds from the first frame.
        end_sec: Moment at which frames end; None is the end of the video.
        short_side: Length in pixels to which the short side is resized, or None.
        geometry: Another rule instead: from height and width of a frame as it is shown
            to those to which it is resized, and the box that is cut out of that.
        interpolation: How frames are resized; each of them averages when it shrinks.

    Returns:
        Frames, uint8 RGB in [0, 255], [T, H, W, 3].

    Raises:
        VideoError: If the file is missing, empty, truncated or no video, or a frame
            that is wanted cannot be decoded.
        ValueError: If an index is out of range.
        ImportError: If PyAV is missing.
    """
    line = read_timeline(path)
    choice = frame_positions(path, line, fps=fps, start_sec=start_sec, end_sec=end_sec)
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.ndim != 1 or len(wanted) == 0:
        raise ValueError(f"Expected indices of shape [T], got {wanted.shape}.")
    if wanted.min() < 0 or wanted.max() >= len(choice):
        raise ValueError(
            f"Expected frames in [0, {len(choice)}) of {os.fspath(path)}, got "
            f"{wanted.min()} to {wanted.max()}."
        )
    unique, inverse = np.unique(choice[wanted], return_inverse=True)
    if geometry is None and short_side is not None:
        geometry = _whole(functools.partial(short_side_size, short_side=short_side))
    clip = np.empty(0, np.uint8)
    for i, image in enumerate(_read(path, unique, _Converter(geometry, interpolation))):
        if i == 0:
            clip = empty_clip((len(wanted), *image.shape))
        clip[inverse == i] = image
    return clip


def iterate_frames(
    path: StrPath,
    indices: np.ndarray,
    *,
    start_sec: float = 0.0,
    end_sec: float | None = None,
    resize: Resize | None = None,
    interpolation: Interpolation = "bilinear",
) -> Iterator[np.ndarray]:
    """Reads frames one by one, so that a long video takes no memory.

    Args:
        path: A video file.
        indices: Which of the frames that begin in the span, [T], not falling, repeats
            allowed.
        start_sec: Where the span starts, in seconds.
        end_sec: Where it ends; None is the end of the video.
        resize: From height and width of a frame as it is shown to those to which it is
            resized; None keeps them.
        interpolation: How frames are resized.

    Yields:
        A frame for each index, uint8 RGB [H, W, 3].

    Raises:
        VideoError: If the file cannot be read, or a frame cannot be decoded.
        ImportError: If PyAV is missing.
    """
    line = read_timeline(path)
    own = frame_positions(path, line, fps=None, start_sec=start_sec, end_sec=end_sec)
    unique, counts = np.unique(own[indices], return_counts=True)
    images = _read(path, unique, _Converter(resize and _whole(resize), interpolation))
    for image, count in zip(images, counts.tolist(), strict=True):
        for _ in range(count):
            yield image


def _read(
    path: StrPath, positions: np.ndarray, convert: "_Converter"
) -> Iterator[np.ndarray]:
    """Decodes the frames at rising positions of the timeline."""
    line = read_timeline(path)
    with open_video(path) as (container, stream):
        left = collections.deque(positions.tolist())
        for frame in frames_at(container, stream, line, positions):
            left.popleft()
            yield convert(frame)
    if left:
        raise VideoError(
            f"{os.fspath(path)} is damaged: frame {left[0]} of {len(line.times)} "
            "cannot be decoded."
        )


def _whole(resize: Resize) -> Geometry:
    """Resizes, and cuts nothing off."""

    def geometry(height: int, width: int) -> tuple[tuple[int, int], Box]:
        size = resize(height, width)
        return size, Box(0, 0, *size)

    return geometry


class _Converter:
    """Turns decoded frames to pixels, all of the size that the first one asks for."""

    def __init__(self, geometry: Geometry | None, interpolation: Interpolation) -> None:
        self._geometry = geometry or _whole(lambda height, width: (height, width))
        self._interpolation = interpolation.upper()
        self._reformatter = import_av().video.reformatter.VideoReformatter()
        self._chosen: tuple[tuple[int, int], Box] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """Returns a part of a frame as it is shown, uint8 RGB [H, W, 3]."""
        self._chosen = self._chosen or self._choose(frame)
        size, box = self._chosen
        alpha = any(part.is_alpha for part in frame.format.components)
        image = self._reformatter.reformat(
            frame,
            height=size[0],
            width=size[1],
            format="rgba" if alpha else "rgb24",
            interpolation=self._interpolation,
            threads=1,
        ).to_ndarray()
        if alpha:  # On black.
            shares = image[..., 3:] / np.float32(255)
            image = (image[..., :3] * shares + 0.5).astype(np.uint8)
        shown = np.rot90(image, _rotation(frame) // 90)
        return shown[box.top : box.top + box.height, box.left : box.left + box.width]

    def _choose(self, frame: Any) -> tuple[tuple[int, int], Box]:
        """Size before a frame is turned, and the box after; rules see what is shown."""
        if _rotation(frame) % 180 == 0:
            return self._geometry(frame.height, frame.width)
        (height, width), box = self._geometry(frame.width, frame.height)
        return (width, height), box


class Resizer:
    """Resizes pictures of one size as `read_frames` does.

    Args:
        size: New height and width.
        interpolation: How; each averages when it shrinks.

    Raises:
        ImportError: If PyAV is missing.
    """

    def __init__(self, size: tuple[int, int], interpolation: Interpolation) -> None:
        self._size, self._interpolation = size, interpolation.upper()
        self._reformatter = import_av().video.reformatter.VideoReformatter()

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns a picture, resized.

        Args:
            image: Pixels, uint8 RGB [H, W, 3], or of one channel [H, W].

        Returns:
            Pixels, uint8, with the same channels.
        """
        height, width = self._size
        kind = "rgb24" if image.ndim == 3 else "gray"
        frame = import_av().VideoFrame.from_ndarray(image, format=kind)
        return self._reformatter.reformat(
            frame, width, height, interpolation=self._interpolation, threads=1
        ).to_ndarray()


def _rotation(frame: Any) -> int:
    """Degrees counterclockwise by which a frame is to be turned, 0, 90, 180 or 270."""
    return round(frame.rotation / 90) * 90 % 360
