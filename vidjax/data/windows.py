"""Windows that slide over a stream of frames, in the memory of one window."""

import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from vidjax.data.decode import iterate_frames
from vidjax.data.timeline import StrPath, frame_positions, read_timeline
from vidjax.data.transforms import crop_clip, short_side_size, view_box
from vidjax.typing import ClipSpec


def centre_frames(
    path: StrPath, spec: ClipSpec, *, fps: float | None = None, start: int = 0
) -> Iterator[np.ndarray]:
    """Reads the frames of a video one after the other, resized and cropped for a model.

    Args:
        path: A video file.
        spec: The clip that the model wants; its short side, its size and how frames are
            resized are taken from it.
        fps: Rate in frames per second at which the video is read; None is its own.
        start: First frame.

    Yields:
        The middle of each frame, uint8 RGB, [size, size, 3].

    Raises:
        VideoError: If the video cannot be read.
        ImportError: If PyAV is missing.
    """
    line = read_timeline(path)
    shown = frame_positions(path, line, fps=fps, start_sec=0.0, end_sec=None)
    frames = iterate_frames(
        path,
        shown[start:],
        resize=functools.partial(short_side_size, short_side=spec.short_side),
        interpolation=spec.interpolation,
    )
    return (crop_centre(frame, spec.size) for frame in frames)


def crop_centre(frame: np.ndarray, size: int) -> np.ndarray:
    """Cuts the middle out of a frame, without copying.

    Args:
        frame: [H, W, C].
        size: Rows and columns that are kept.

    Returns:
        [size, size, C].

    Raises:
        ValueError: If the frame is smaller.
    """
    box = view_box(*frame.shape[:2], size=size, crop=0, num_crops=1)
    return crop_clip(frame[None], box)[0]


def count_windows(num_frames: int, *, window: int, stride: int) -> int:
    """Returns how many windows lie wholly inside a video.

    Args:
        num_frames: Frames N, at least 1.
        window: Frames of a window, at least 1.
        stride: Frames from one window to the next, at least 1.

    Returns:
        floor((N - window) / stride) + 1; 1 for a video shorter than a window.

    Example:
        >>> count_windows(100, window=16, stride=4)
        22
    """
    return max(num_frames - window, 0) // stride + 1


def sliding_windows(
    frames: Iterator[np.ndarray], *, window: int, stride: int
) -> Iterator[np.ndarray]:
    """Yields the windows of a stream: window i holds frames stride * i and after.

    Args:
        frames: Arrays of one shape, such as [H, W, C]; at least one.
        window: Frames of a window, at least 1.
        stride: Frames from one window to the next, at least 1.

    Yields:
        [window, H, W, C]; what follows the last whole window is left out, and a stream
        that is shorter than a window has its last frame repeated.

    Example:
        >>> stream = iter(np.arange(6))
        >>> [w.tolist() for w in sliding_windows(stream, window=3, stride=2)]
        [[0, 1, 2], [2, 3, 4]]
    """
    held: list[np.ndarray] = []
    skip, found = 0, False
    for frame in frames:
        if skip:
            skip -= 1
            continue
        held.append(frame)
        if len(held) == window:
            yield np.stack(held)
            found, skip = True, max(stride - window, 0)
            held = held[stride:]
    if held and not found:
        yield np.stack(held + held[-1:] * (window - len(held)))


def cover(num_frames: int, *, window: int, stride: int) -> list[int]:
    """Returns where windows start that leave no frame of a video out.

    Args:
        num_frames: Frames N, at least 1.
        window: Frames of a window, at least 1.
        stride: Frames from one window to the next, in [1, window].

    Returns:
        Multiples of the stride, and last the window that ends with the video; 0 alone
        for a video that is shorter than a window.

    Example:
        >>> cover(100, window=32, stride=16), cover(10, window=32, stride=16)
        ([0, 16, 32, 48, 64, 68], [0])
    """
    last = max(num_frames - window, 0)
    return [*range(0, last, stride), last]


def windows_at(
    frames: Iterator[np.ndarray], spans: Sequence[tuple[int, int]]
) -> Iterator[np.ndarray]:
    """Yields windows of any length from one pass over a stream.

    Args:
        frames: Arrays of one shape, such as [H, W, C]; at least one.
        spans: First frame of each window and the one behind its last, in the order of
            their ends. Frames behind the end of the stream are its last one.

    Yields:
        [length, H, W, C] for each span. Memory is that of the longest one.

    Example:
        >>> stream = iter(np.arange(5))
        >>> [w.tolist() for w in windows_at(stream, [(0, 2), (1, 4), (4, 7)])]
        [[0, 1], [1, 2, 3], [4, 4, 4]]
    """
    longest = max((end - start for start, end in spans), default=0)
    held: list[np.ndarray] = []
    read = 0  # Frames; the last one that is held is frame `read - 1`.
    for start, end in spans:
        for frame in itertools.islice(frames, max(end - read, 0)):
            held = [*held, frame][-longest:]
            read += 1
        places = np.minimum(np.arange(start, end), read - 1) - read + len(held)
        yield np.stack([held[place] for place in places])


def batched(
    windows: Iterator[np.ndarray], size: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields batches of one size; the last one is filled up with its last window.

    Args:
        windows: Arrays of one shape.
        size: Windows B in a batch, at least 1.

    Yields:
        A batch [B, ...], and how many of its rows count.

    Example:
        >>> [(b.tolist(), n) for b, n in batched(iter(np.arange(3)), 2)]
        [([0, 1], 2), ([2, 2], 1)]
    """
    held: list[np.ndarray] = []
    for item in windows:
        held.append(item)
        if len(held) == size:
            yield np.stack(held), size
            held = []
    if held:
        yield np.stack(held + held[-1:] * (size - len(held))), len(held)
