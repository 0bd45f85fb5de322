"""Where one shot ends and another begins: cuts, from how much frames change."""

from collections.abc import Iterator

import numpy as np

_GRID = 8  # Every eighth pixel, in both directions, is enough. Ours.
_LEAST = 0.06  # Change of a cut, in shares of white, at least. Ours.
_TIMES = 3.0  # And as a multiple of the largest change around it. Ours.
_REACH = 5  # Frames on each side that are around it. Ours.


class ChangeMeter:
    """Measures how much each frame of a stream differs from the one before.

    Attributes:
        changes: Of each frame that has passed, in [0, 1]; the first is 0.
    """

    def __init__(self) -> None:
        self.changes: list[float] = []

    def watch(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Passes frames on.

        Args:
            frames: uint8, all [H, W, C].

        Yields:
            The frames.
        """
        before = None
        for frame in frames:
            small = frame[::_GRID, ::_GRID].astype(np.float32) / 255
            change = 0.0 if before is None else float(np.abs(small - before).mean())
            self.changes.append(change)
            before = small
            yield frame


def find_cuts(changes: np.ndarray) -> np.ndarray:
    """Returns the frames with which shots begin, but for the first.

    A cut changes a frame far more than it changes just before and after; fast motion,
    fades and noise do not.

    Args:
        changes: Of each frame from the one before, in [0, 1], [T].

    Returns:
        Frames, rising, int [N].

    Example:
        >>> changes = np.full(40, 0.02)
        >>> changes[[0, 17]] = 0.0, 0.3
        >>> find_cuts(changes).tolist()
        [17]
    """
    padded = np.pad(np.asarray(changes, np.float64), _REACH)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1).copy()
    around[:, _REACH] = 0
    limit = np.maximum(_TIMES * around.max(axis=1), _LEAST)
    return np.flatnonzero(padded[_REACH:-_REACH] > limit)
