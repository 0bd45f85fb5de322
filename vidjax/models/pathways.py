"""Which frames of a clip each pathway of SlowFast sees."""

from typing import Literal

Picks = Literal["spread", "strided"]
"""How the slow pathway's frames are taken, see `slow_frames`."""


def slow_frames(frames: int, alpha: int, picks: Picks) -> tuple[int, ...]:
    """Returns which frames of a clip the slow pathway takes.

    Args:
        frames: Frames T of the clip, at the fast rate.
        alpha: Frames of the fast pathway for each of the slow one.
        picks: "spread" is linspace(0, T - 1, T / alpha) without fractions, from the
            first to the last frame (`pack_pathway_output` in slowfast/datasets/utils.py
            of facebookresearch/SlowFast); "strided" is every alpha-th, from the first
            (what interpolation to the nearest frame gives in MMAction2).

    Returns:
        T / alpha indices, ascending.

    Raises:
        ValueError: If T is not a multiple of `alpha`.

    Example:
        >>> slow_frames(32, 8, "spread"), slow_frames(32, 8, "strided")
        ((0, 10, 20, 31), (0, 8, 16, 24))
    """
    if frames % alpha:
        raise ValueError(
            f"Expected a multiple of {alpha} frames, of which the slow pathway takes "
            f"one in {alpha}, got {frames}."
        )
    count = frames // alpha
    if picks == "strided" or count == 1:
        return tuple(range(0, frames, alpha))
    return tuple(i * (frames - 1) // (count - 1) for i in range(count))
