"""`vidjax flow`: a video, or a folder of them, in; optical flow out."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated

import tyro

from vidjax.cli.count_view import CountView
from vidjax.tasks.flow import FlowOptions, compute_flow
from vidjax.tasks.flow_folder import REPORT, compute_folder_flow


def run(argv: Sequence[str]) -> int:
    """Computes the flow of a video, or of all videos of a folder.

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
        description="Computes the optical flow of a video, or of all videos of a "
        "folder; a run that was stopped goes on when it is called again.\n\n"
        "example: vidjax flow juggling.mp4 --method farneback --out juggling_flow.mp4",
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
    arrays: bool = False,
) -> int:
    """Computes the flow of a video, or of all videos of a folder.

    Args:
        video: A video file, or a folder of them.
        out: NAME.mp4 for a video in colours, NAME.npz for the array "flow", or a folder
            for pairs of JPEG images as two-stream networks read them. Of a folder of
            videos, the folder for all their flow, which data.flow_files names.
        method: tvl1, tvl1_cuda (the one behind published two-stream data), farneback,
            raft_large or raft_small.
        weights: Of a RAFT: a tag of its model card, or the path of a file.
        batch: Pairs of frames that are computed at once.
        resize: Pixels to which the short side is resized first, such as 256, or width
            and height, such as 340x256.
        fps: Frames per second at which the video is read; its own by default.
        bound: Displacement in pixels that JPEG images reach to.
        max_px: Flow in pixels that has full colour; by default the longest of a frame.
        arrays: Of a folder of videos: write NAME.npz, and not images.
    """
    options = FlowOptions(method, weights, fps, _size(resize), bound, max_px)
    if video.is_dir():
        return _flow_of_folder(video, out, options, batch, arrays)
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


def _flow_of_folder(
    folder: pathlib.Path,
    out: pathlib.Path,
    options: FlowOptions,
    batch: int,
    arrays: bool,
) -> int:
    with CountView("videos") as show:
        result = compute_folder_flow(
            *(folder, out),
            options=options,
            batch=batch,
            arrays=arrays,
            progress=functools.partial(show, options.method),
        )
    print(f"{result.out}: {result.videos} videos, {result.computed} flows computed")
    if result.bad:
        print(f"{len(result.bad)} videos could not be read: {result.out}/{REPORT}")
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
