"""Which frames of a video make a clip: pure functions from counts to indices."""

import numpy as np

from vidjax.typing import Sampling


def dense_indices(
    num_frames: int, *, clip_length: int, stride: int = 1, position: float = 0.5
) -> np.ndarray:
    """Returns frames a fixed distance apart.

    A clip spans (clip_length - 1) * stride + 1 frames, so it can start at S =
    num_frames - span + 1 places; it starts at min(floor(position * S), S - 1). A random
    position makes them equally likely. A video shorter than the span is looped: the
    clip starts at frame 0 and index i means frame i modulo `num_frames`.

    Args:
        num_frames: Frames in the video, at least 1.
        clip_length: Frames T in the clip, at least 1.
        stride: Frames from one index to the next, at least 1.
        position: Where in the video, from 0 (first frames) to 1 (last frames).

    Returns:
        Indices in [0, num_frames), int64 [T].

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> dense_indices(10, clip_length=4, stride=2, position=1.0).tolist()
        [3, 5, 7, 9]
        >>> dense_indices(3, clip_length=4).tolist()
        [0, 1, 2, 0]
    """
    _check(num_frames=num_frames, clip_length=clip_length, stride=stride)
    _check_position(position)
    starts = num_frames - (clip_length - 1) * stride
    start = min(int(position * starts), starts - 1) if starts > 0 else 0
    return (start + stride * np.arange(clip_length)) % num_frames


def segment_indices(
    num_frames: int, *, segments: int, position: float = 0.5
) -> np.ndarray:
    """Returns one frame from each of some equal parts of a video (TSN, at test time).

    Part s begins at s * num_frames / segments, in fractions of a frame; from each comes
    the frame at floor((s + position) * num_frames / segments). A video with fewer
    frames than parts repeats frames.

    Args:
        num_frames: Frames in the video, at least 1.
        segments: Parts T, at least 1.
        position: Where in each part, from 0 to 1; 0.5 is the centre.

    Returns:
        Indices in [0, num_frames), int64 [T], not falling.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> segment_indices(10, segments=3).tolist()
        [1, 5, 8]

    References:
        Wang et al., "Temporal Segment Networks", ECCV 2016, Sec. 3.1,
        https://arxiv.org/abs/1608.00859. At position 0.5 the indices are those of the
        test loader of mit-han-lab/temporal-shift-module (which counts from 1).
    """
    _check(num_frames=num_frames, segments=segments)
    _check_position(position)
    # As published: the part's length is rounded to a float before it is multiplied.
    length = num_frames / segments
    indices = (length * position + length * np.arange(segments)).astype(np.int64)
    return np.minimum(indices, num_frames - 1)


def random_segment_indices(
    num_frames: int, *, segments: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns a random frame from each of some equal parts of a video (TSN, training).

    With A = floor(num_frames / segments), part s holds frames [s * A, (s + 1) * A), all
    equally likely; up to `segments` - 1 frames at the end are never taken, as
    published. A video with fewer frames than parts has `segment_indices` instead.

    Args:
        num_frames: Frames in the video, at least 1.
        segments: Parts T, at least 1.
        rng: Where randomness comes from.

    Returns:
        Indices in [0, num_frames), int64 [T], not falling.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> random_segment_indices(12, segments=3, rng=rng) // 4
        array([0, 1, 2])
    """
    _check(num_frames=num_frames, segments=segments)
    length = num_frames // segments
    if length == 0:
        return segment_indices(num_frames, segments=segments)
    return length * np.arange(segments) + rng.integers(length, size=segments)


def view_positions(num_clips: int, *, sampling: Sampling = "dense") -> np.ndarray:
    """Returns the positions at which several clips of a video are taken for a test.

    One clip stands at the centre. Several dense clips stand evenly from the first
    frames to the last; several clips of segments stand at the centres of equal shares
    of each segment.

    Args:
        num_clips: Clips N, at least 1.
        sampling: "dense" or "segments".

    Returns:
        Positions in [0, 1], float64 [N].

    Raises:
        ValueError: If `num_clips` is less than 1.

    Example:
        >>> view_positions(3).tolist()
        [0.0, 0.5, 1.0]
        >>> view_positions(2, sampling="segments").tolist()
        [0.25, 0.75]
    """
    _check(num_clips=num_clips)
    if sampling == "segments" or num_clips == 1:
        return (np.arange(num_clips) + 0.5) / num_clips
    return np.linspace(0.0, 1.0, num_clips)


def _check(**counts: int) -> None:
    low = [f"{name}={value}" for name, value in counts.items() if value < 1]
    if low:
        raise ValueError(f"Expected at least 1, got {', '.join(low)}.")


def _check_position(position: float) -> None:
    if not 0.0 <= position <= 1.0:
        raise ValueError(f"position must be in [0, 1], got {position}.")
