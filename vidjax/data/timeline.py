"""When each frame of a video file is shown: one pass over its packets, undecoded.

Headers are often wrong or silent about the number of frames and their times, and
reading packets is cheap (3 ms for 300 of them).
"""

import contextlib
import dataclasses
import functools
import os
import stat
from collections.abc import Iterator
from typing import Any

import numpy as np

from vidjax.data.buckets import StrPath, as_path, is_remote
from vidjax.data.containers import is_cut_short
from vidjax.data.media import open_media

_TIMED = ("mp4", "matroska", "mpegts")  # Containers that say when a frame is shown.
_KEPT_TIMELINES = 1024  # Files whose frame times are remembered.

# Demuxers of FFmpeg that accept what is no video: text, and single pictures.
_NO_VIDEO_FORMATS = ("tty", "image2", "_pipe")


class VideoError(ValueError):
    """A video cannot be read; the message is one sentence that names the file."""


@dataclasses.dataclass(frozen=True)
class Timeline:
    """When each frame is shown, in ticks of the stream.

    Attributes:
        times: Presentation times, rising, int64 [N].
        keys: Positions in `times` of frames from which decoding can start, [M].
        end: When the last frame ends.
        tick: Seconds in a tick.
        trusted: Whether decoded frames carry these times; if not, they are counted.
        size: Width and height of a stored frame.
    """

    times: np.ndarray
    keys: np.ndarray
    end: int
    tick: float
    trusted: bool
    size: tuple[int, int]


@contextlib.contextmanager
def open_video(path: StrPath) -> Iterator[tuple[Any, Any]]:
    """Opens a file and its first video stream, which is no cover picture.

    Args:
        path: A video file.

    Yields:
        PyAV's container and stream. What PyAV raises while they are in use is turned to
        a `VideoError` that names the file.

    Raises:
        VideoError: If the file is missing, empty, truncated or no video.
        ImportError: If PyAV is missing.
    """
    av = import_av()
    name = os.fspath(path)
    _check_file(name)
    try:
        with (
            open_media(name) as media,
            av.open(media, metadata_errors="ignore") as container,
        ):
            kind = container.format.name
            if kind.endswith(_NO_VIDEO_FORMATS):
                raise VideoError(f"{name} is not a video ({kind}).")
            cover = av.stream.Disposition.attached_pic
            videos = [s for s in container.streams.video if not s.disposition & cover]
            if not videos:
                raise VideoError(f"{name} has no video stream.")
            stream = videos[0]
            if stream.codec_context is None:
                raise VideoError(f"{name} has a video of an unknown codec.")
            # Several videos are decoded at once, one in each thread of the pipeline.
            stream.codec_context.thread_count = 1
            yield container, stream
    except (av.error.FFmpegError, OSError) as error:
        if is_cut_short(name):
            raise VideoError(f"{name} is truncated.") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{name} is no video, or damaged ({reason}).") from error


def _check_file(name: str) -> Any:
    """Returns what the file system says, once it says that a file can be opened."""
    try:
        state = as_path(name).stat()
    except PermissionError as error:
        raise VideoError(f"{name} may not be read by this user.") from error
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise VideoError(f"{name} does not exist.") from error
    except OSError as error:
        raise VideoError(f"{name} cannot be read ({error}).") from error
    if stat.S_ISDIR(state.st_mode):
        raise VideoError(f"{name} is a folder, not a video.")
    if not is_remote(name) and not os.access(name, os.R_OK):
        raise VideoError(f"{name} may not be read by this user.")
    if state.st_size == 0:
        raise VideoError(f"{name} is empty.")
    return state


def read_timeline(path: StrPath) -> Timeline:
    """Returns the times of the frames of a file; remembered until the file changes.

    Args:
        path: A video file.

    Returns:
        The times.

    Raises:
        VideoError: If the file is missing, empty, truncated or no video.
        ImportError: If PyAV is missing.
    """
    name = os.fspath(path)
    state = _check_file(name)
    return _scan(name, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=_KEPT_TIMELINES)
def _scan(name: str, size: int, changed: int) -> Timeline:
    """Reads all packets without decoding them."""
    del size, changed  # Part of the key of the cache.
    with open_video(name) as (container, stream):
        times, keys, ticks, damaged, read = [], [], [], False, 0
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if time is None:
                continue
            read, damaged = read + 1, packet.is_corrupt
            # Some encoders pad AVI with packets of a byte, which are no frames.
            if packet.size > 1 and not packet.is_discard:
                times.append(time)
                keys.append(packet.is_keyframe)
                ticks.append(packet.duration or 0)
        if damaged or _misses_packets(name, container, stream, read):
            raise VideoError(f"{name} is truncated: it ends after {len(times)} frames.")
        if not times:
            raise VideoError(f"{name} has a video stream without frames.")
        context = stream.codec_context
        order = np.argsort(times, kind="stable")
        shown = np.array(times, dtype=np.int64)[order]
        gap = _usual_gap(shown, stream)
        # Frames are counted where times occur twice, and where a codec may reorder
        # frames in a container without presentation times: packed B-frames in AVI come
        # in order, but their times are swapped.
        rising = bool(np.all(np.diff(shown) > 0))
        swapped = context.has_b_frames and np.all(np.diff(times) > 0)
        timed = any(name in container.format.name for name in _TIMED)
        trusted = rising and (timed or not swapped)
        if not trusted:
            shown = gap * np.arange(len(shown), dtype=np.int64)
        return Timeline(
            times=shown,
            keys=np.flatnonzero(np.array(keys)[order]),
            end=int(shown[-1]) + (ticks[order[-1]] or gap),
            tick=float(stream.time_base),
            trusted=trusted,
            size=(context.width, context.height),
        )


def _misses_packets(name: str, container: Any, stream: Any, read: int) -> bool:
    """Whether packets are missing at the end. FFmpeg stops there without an error."""
    if "mp4" in container.format.name:  # Its count is that of the index.
        return read < stream.frames
    silent = "matroska" in container.format.name or container.format.name == "gif"
    return silent and is_cut_short(name)


def _usual_gap(times: np.ndarray, stream: Any) -> int:
    """Ticks between two frames, where packets do not tell how long they last."""
    gap = int(np.median(np.diff(times))) if len(times) > 1 else 0
    if gap > 0:
        return gap
    return max(1, round(1 / (float(stream.average_rate or 25) * stream.time_base)))


def frame_positions(
    path: StrPath,
    line: Timeline,
    *,
    fps: float | None,
    start_sec: float,
    end_sec: float | None,
) -> np.ndarray:
    """Returns which frames a video has when it is read at a rate, and in part.

    Without `fps` these are its own frames that begin in the span. With it, frame i is
    the last one shown at time start_sec + i / fps, and there are floor((end_sec -
    start_sec) * fps) of them, at least one.

    Args:
        path: The video file, for messages.
        line: Its times.
        fps: Rate in frames per second, or None.
        start_sec: Where the span begins, in seconds from the first frame.
        end_sec: Where it ends; None is the end of the video.

    Returns:
        Positions in the timeline, not falling, int64 [N].

    Raises:
        ValueError: If `fps` is not positive.
        VideoError: If the video has nothing in the span.
    """
    if fps is not None and not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}.")
    seconds = (line.times - line.times[0]) * line.tick
    duration = (line.end - line.times[0]) * line.tick
    stop = duration if end_sec is None else min(end_sec, duration)
    if not 0 <= start_sec < stop:
        raise VideoError(
            f"{os.fspath(path)} has no frames from {start_sec:g} s to "
            f"{stop if end_sec is None else end_sec:g} s: it lasts {duration:g} s."
        )
    # Matroska rounds times to ms; coarser ticks are those of the frames themselves.
    slack = min(line.tick, 1e-3) / 2
    if fps is None:
        first = np.searchsorted(seconds, start_sec - slack)
        last = np.searchsorted(seconds, stop - slack)
        return np.arange(first, last) if first < last else np.array([last - 1])
    count = max(1, int((stop - start_sec + 2 * slack) * fps + 1e-6))
    moments = start_sec + np.arange(count) / fps
    return np.searchsorted(seconds, moments + slack, side="right") - 1


def import_av() -> Any:
    """Imports PyAV.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed; the message says what installs it.
    """
    try:
        import av
        import av.video.reformatter  # A submodule that `av` does not import by itself.
    except ImportError as error:
        raise ImportError(
            "Reading videos takes PyAV, which is not installed. This command installs "
            'it: pip install "vidjax[data]"'
        ) from error
    return av
