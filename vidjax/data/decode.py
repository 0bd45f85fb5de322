"""Frames from video files, through PyAV: only those that are wanted.

The times of all frames are known before the first is decoded (`vidjax.data.timeline`),
so that decoding can start at the keyframe before a wanted frame.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vidjax.data.timeline import (
    StrPath,
    Timeline,
    VideoError,
    frame_positions,
    import_av,
    open_video,
    read_timeline,
)
from vidjax.data.transforms import short_side_size
from vidjax.typing import Interpolation

Resize = Callable[[int, int], tuple[int, int]]
"""From the height and width of a frame to those of the resized one."""

_SEEK_GAIN = 8  # Frames that a seek must save; it costs about as much as these.
_LOST_FRAMES = 2  # A frame that does not decode is replaced by one this near to it.

# FFmpeg's own VP8 and VP9 decoders drop the alpha plane; these do not.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


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
        for frame in _decode(container, stream):
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
    resize: Resize | None = None,
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
        resize: Another rule instead: from height and width of a frame as it is shown to
            those to which it is resized.
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
    if resize is None and short_side is not None:
        resize = functools.partial(short_side_size, short_side=short_side)
    clip = np.empty(0, np.uint8)
    for i, image in enumerate(_read(path, unique, _Converter(resize, interpolation))):
        if i == 0:
            clip = np.empty((len(wanted), *image.shape), np.uint8)
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
    images = _read(path, unique, _Converter(resize, interpolation))
    for image, count in zip(images, counts.tolist(), strict=True):
        for _ in range(count):
            yield image


def _read(
    path: StrPath, positions: np.ndarray, convert: "_Converter"
) -> Iterator[np.ndarray]:
    """Decodes the frames at rising positions of the timeline."""
    line = read_timeline(path)
    with open_video(path) as (container, stream):
        flow = _Flow(container, stream, line)
        for position in positions:
            frame = flow.frame_at(int(position))
            if frame is None:
                raise VideoError(
                    f"{os.fspath(path)} is damaged: frame {position} of "
                    f"{len(line.times)} cannot be decoded."
                )
            yield convert(frame)


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Decodes from where the container stands; packets that are damaged are skipped."""
    av = import_av()
    decoder = stream.codec_context
    name = _ALPHA_DECODERS.get(decoder.codec.name)
    if name and stream.metadata.get("alpha_mode") == "1":
        decoder = av.codec.CodecContext.create(name, "r")
    for packet in container.demux(stream):
        try:
            # The last packet is empty and means that frames that are held come out.
            yield from decoder.decode(packet if packet.size else None)
        except av.error.InvalidDataError:
            continue


class _Flow:
    """Goes forward through a video; jumps to a keyframe where that saves decoding."""

    def __init__(self, container: Any, stream: Any, line: Timeline) -> None:
        self._container, self._stream, self._line = container, stream, line
        self._frames = self._numbered()
        self._here: tuple[int, Any] | None = None  # The last frame up to the target.
        self._ahead: tuple[int, Any] | None = None  # A frame that was read too early.
        self._jumps = line.trusted

    def frame_at(self, target: int) -> Any | None:
        """Returns the frame at a position, or the one that stands for a damaged one.

        Targets must not fall from call to call.
        """
        self._jump(target)
        while self._here is None or self._here[0] < target:
            item = self._ahead or next(self._frames, None)
            self._ahead = None
            if item is None:
                break
            if item[0] > target:
                self._ahead = item
                break
            self._here = item
        for item in (self._here, self._ahead):
            if item is not None and abs(item[0] - target) <= _LOST_FRAMES:
                return item[1]
        return None

    def _jump(self, target: int) -> None:
        line = self._line
        key = line.keys[np.searchsorted(line.keys, target, side="right") - 1 :][:1]
        reached = self._ahead or self._here
        gain = int(key[0]) - (reached[0] if reached else 0) if key.size else 0
        if not self._jumps or gain < _SEEK_GAIN:
            return
        self._seek(int(key[0]))
        if (
            self._ahead is None or self._ahead[0] > target
        ):  # The index of the file lies.
            self._jumps = False
            self._seek(0)

    def _seek(self, position: int) -> None:
        self._container.seek(int(self._line.times[position]), stream=self._stream)
        self._frames = self._numbered()
        self._here, self._ahead = None, next(self._frames, None)

    def _numbered(self) -> Iterator[tuple[int, Any]]:
        """Decodes frames with their positions in the timeline."""
        times = self._line.times
        for count, frame in enumerate(_decode(self._container, self._stream)):
            if self._line.trusted and frame.pts is not None:
                place = np.searchsorted(times, frame.pts, side="right") - 1
                yield max(0, int(place)), frame
            else:
                yield count, frame


class _Converter:
    """Turns decoded frames to pixels, all of the size that the first one asks for."""

    def __init__(self, resize: Resize | None, interpolation: Interpolation) -> None:
        self._resize, self._interpolation = resize, interpolation.upper()
        self._reformatter = import_av().video.reformatter.VideoReformatter()
        self._size: tuple[int, int] | None = None

    def __call__(self, frame: Any) -> np.ndarray:
        """Returns a frame as it is shown, uint8 RGB [H, W, 3]."""
        if self._size is None:
            self._size = self._stored_size(frame)
        alpha = any(part.is_alpha for part in frame.format.components)
        image = self._reformatter.reformat(
            frame,
            height=self._size[0],
            width=self._size[1],
            format="rgba" if alpha else "rgb24",
            interpolation=self._interpolation,
            threads=1,
        ).to_ndarray()
        if alpha:  # On black.
            image = image[..., :3] * (image[..., 3:] / np.float32(255)) + 0.5
        return np.rot90(image, _rotation(frame) // 90)

    def _stored_size(self, frame: Any) -> tuple[int, int]:
        """Height and width before a frame is turned; rules see what is shown."""
        height, width = frame.height, frame.width
        if self._resize is None:
            return height, width
        if _rotation(frame) % 180 == 0:
            return self._resize(height, width)
        width, height = self._resize(width, height)
        return height, width


def resize_frame(
    image: np.ndarray, size: tuple[int, int], interpolation: Interpolation
) -> np.ndarray:
    """Resizes a picture as `read_frames` does.

    Args:
        image: Pixels, uint8 RGB [H, W, 3].
        size: New height and width.
        interpolation: How; each averages when it shrinks.

    Returns:
        Pixels, uint8 RGB.

    Raises:
        ImportError: If PyAV is missing.
    """
    frame = import_av().VideoFrame.from_ndarray(image, format="rgb24")
    height, width = size
    return frame.reformat(
        width, height, interpolation=interpolation.upper()
    ).to_ndarray()


def _rotation(frame: Any) -> int:
    """Degrees counterclockwise by which a frame is to be turned, 0, 90, 180 or 270."""
    return round(frame.rotation / 90) * 90 % 360
