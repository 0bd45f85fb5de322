"""`vidjax flow`: a video in, its optical flow out."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro

from vidjax.cli.count_view import CountView
from vidjax.tasks.flow import FlowOptions, compute_flow


def run(argv: Sequence[str]) -> int:
    """Computes the flow of a video.

    Args:
        argv: Arguments after `vidjax flow`.

    Returns:
        The exit code.

    Raises:
        ValueError: If the video, the method or a flag is not usable.
    """
    return tyro.cli(
        _flow,
        args=list(argv),
        prog="vidjax flow",
        description="Computes the optical flow of a video; a run that was stopped goes "
        "on when it is called again.\n\nexample: vidjax flow juggling.mp4 --method "
        "farneback --out juggling_flow.mp4",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _flow(
    video: Annotated[tyro.conf.Positional[pathlib.Path], tyro.MISSING],
    *,
    out: pathlib.Path,
    method: str = FlowOptions.method,
    weights: str | None = None,
    batch: int = 8,
    resize: str | None = None,
    fps: float | None = None,
    bound: float = FlowOptions.bound,
    max_px: float | None = None,
) -> int:
    """Computes the flow of a video.

    Args:
        video: A video file.
        out: NAME.mp4 for a video in colours, NAME.npz for the array "flow", or a folder
            for pairs of JPEG images as two-stream networks read them.
        method: tvl1, tvl1_cuda (the one behind published two-stream data), farneback,
            raft_large or raft_small.
        weights: Of a RAFT: a tag of its model card, or the path of a file.
        batch: Pairs of frames that are computed at once.
        resize: Pixels to which the short side is resized first, such as 256, or width
            and height, such as 340x256.
        fps: Frames per second at which the video is read; its own by default.
        bound: Displacement in pixels that JPEG images reach to.
        max_px: Flow in pixels that has full colour; by default the longest of a frame.
    """
    options = FlowOptions(method, weights, fps, _size(resize), bound, max_px)
    with CountView("flows") as show:
        result = compute_flow(
            *(video, out),
            options=options,
            batch=batch,
            progress=functools.partial(show, method),
        )
    verb = (
        "is finished already" if not result.computed else f"{result.computed} computed"
    )
    print(f"{result.out}: {result.pairs} flows, {verb}")
    return 0


def _size(text: str | None) -> int | tuple[int, int] | None:
    """Reads 256 as a short side, and 340x256 as a height of 256 and a width of 340."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() for side in sides):
        raise ValueError(f"--resize takes 256 or 340x256 (width x height), got {text}.")
    numbers = [int(side) for side in sides]
    return numbers[0] if len(numbers) == 1 else (numbers[1], numbers[0])
