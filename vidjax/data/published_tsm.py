"""Which frames the published loader of TSM takes, index for index.

As in `vidjax.data.published`; MMAction2 has the same rules for its 2D networks.
"""

import numpy as np

Rng = np.random.Generator | np.random.RandomState

_DENSE_RANGE = 64  # Frames that a dense clip lies in.


def dense_starts(
    num_frames: int,
    *,
    segments: int,
    num_clips: int = 10,
    rng: Rng | None = None,
) -> np.ndarray:
    """Returns the dense clips of TSM (also MMAction2's DenseSampleFrames).

    Frames lie 64 // S apart, in a clip of 64 frames; at test time clips start evenly
    over the video. A short video is looped.

    Args:
        num_frames: Frames in the video.
        segments: Frames S in a clip.
        num_clips: Clips N of a test.
        rng: Where randomness comes from in training, which gives one clip; None tests.

    Returns:
        Indices, int64 [N, S], or [1, S] in training.

    Raises:
        ValueError: If a count is less than 1.

    Example:
        >>> dense_starts(100, segments=2)[[0, -1]].tolist()
        [[0, 32], [36, 68]]

    References:
        mit-han-lab/temporal-shift-module, ops/dataset.py.
    """
    check_counts(num_frames, segments, num_clips)
    places = max(1, 1 + num_frames - _DENSE_RANGE)
    if rng is None:
        starts = np.linspace(0, places - 1, num_clips).astype(np.int64)
    else:  # As published: the last place is never drawn.
        starts = np.array([draw_integers(rng, places - 1) if places > 1 else 0])
    offsets = _DENSE_RANGE // segments * np.arange(segments)
    return (starts[:, None] + offsets[None]) % num_frames


def tsm_segments(
    num_frames: int, *, segments: int, length: int = 1, twice: bool = False
) -> np.ndarray:
    """Returns where TSM's test clips begin: at the centre of each equal part.

    Args:
        num_frames: Frames in the video.
        segments: Parts S.
        length: Frames that are read from each place (5 for stacked flow); the parts
            divide the video without the last `length` - 1 frames.
        twice: Whether a second clip has the start of each part (`twice_sample`).

    Returns:
        Indices, int64 [1, S] or [2, S].

    Raises:
        ValueError: If a count is less than 1.

    References:
        mit-han-lab/temporal-shift-module, ops/dataset.py, `_get_test_indices`.
    """
    check_counts(num_frames, segments, length)
    part = (num_frames - length + 1) / segments
    shifts = [part / 2, 0.0] if twice else [part / 2]
    # As published, cut towards zero: also where the video is shorter than `length`.
    places = [(shift + part * np.arange(segments)).astype(np.int64) for shift in shifts]
    return np.clip(np.stack(places), 0, num_frames - 1)


def tsm_validation(num_frames: int, *, segments: int, length: int = 1) -> np.ndarray:
    """Returns where TSM's validation clip begins in each part.

    As `tsm_segments`, but a video without a frame for each part gives its first frame.

    Args:
        num_frames: Frames in the video.
        segments: Parts S.
        length: Frames that are read from each place.

    Returns:
        Indices, int64 [1, S].

    Raises:
        ValueError: If a count is less than 1.
    """
    check_counts(num_frames, segments, length)
    if num_frames <= segments + length - 1:
        return np.zeros((1, segments), np.int64)
    return tsm_segments(num_frames, segments=segments, length=length)


def tsm_random_segments(
    num_frames: int, *, segments: int, rng: Rng, length: int = 1
) -> np.ndarray:
    """Returns where TSM's training clip begins in each part.

    Args:
        num_frames: Frames in the video.
        segments: Parts S.
        rng: Where randomness comes from.
        length: Frames that are read from each place.

    Returns:
        Indices, int64 [1, S].

    Raises:
        ValueError: If a count is less than 1.
    """
    check_counts(num_frames, segments, length)
    room = num_frames - length + 1
    part = room // segments
    if part > 0:
        places = part * np.arange(segments) + draw_integers(rng, part, segments)
    elif num_frames > segments:
        places = np.sort(draw_integers(rng, room, segments))
    else:
        places = np.zeros(segments)
    return places.astype(np.int64)[None]


def check_counts(*counts: int) -> None:
    """Checks that all counts are positive.

    Args:
        *counts: Of frames, clips and so on.

    Raises:
        ValueError: If one is less than 1.
    """
    if min(counts) < 1:
        raise ValueError(f"Expected counts of at least 1, got {counts}.")


def draw_integers(rng: Rng, high: int, size: int | None = None) -> np.ndarray:
    """Draws integers as both kinds of generators of NumPy do.

    Args:
        rng: A generator of either kind.
        high: One more than the largest.
        size: How many; None draws one, of shape [].

    Returns:
        Integers in [0, high).
    """
    if isinstance(rng, np.random.RandomState):
        return np.asarray(rng.randint(high, size=size))
    return np.asarray(rng.integers(high, size=size))
