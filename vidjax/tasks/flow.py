"""Optical flow of a video: decoded, computed and written batch by batch."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vidjax import data
from vidjax.convert import load_variables
from vidjax.data.decode import iterate_frames
from vidjax.data.timeline import frame_positions, read_timeline
from vidjax.data.transforms import short_side_size
from vidjax.flow.encode import BOUND_PX
from vidjax.flow.farneback import farneback
from vidjax.flow.grey import rgb_to_grey
from vidjax.flow.tvl1 import tvl1
from vidjax.models.registry import create_model, list_models
from vidjax.tasks.flow_outputs import CHUNK, open_output

StrPath = str | os.PathLike[str]
Frames = UInt8[Array, "b h w 3"]
Compute = Callable[[Frames, Frames], Array]
"""From RGB images [B, H, W, 3], uint8, of two times, to flow [B, H, W, 2] in pixels."""


def _of_grey(
    function: Callable[..., Array],
) -> Callable[[str, StrPath | None], Compute]:
    """Makes a method of a function on grey images."""

    def make(name: str, weights: StrPath | None) -> Compute:
        if weights is not None:
            raise ValueError(
                f"{name} is computed without weights; leave --weights out."
            )
        return lambda image0, image1: function(rgb_to_grey(image0), rgb_to_grey(image1))

    return make


def _of_network(name: str, weights: StrPath | None) -> Compute:
    """Makes a method of a registered network of flow."""
    if weights is None:
        raise ValueError(
            f"{name} needs --weights: a tag of its model card, or the path of a file."
        )
    model = create_model(name)

    @jax.jit
    def compute(variables, image0: Frames, image1: Frames) -> Float[Array, "b h w 2"]:
        pair = [image.astype(jnp.float32) * (2 / 255) - 1 for image in (image0, image1)]
        return model.apply(variables, *pair)[0]

    variables = jax.tree.map(jnp.asarray, load_variables(name, weights))
    return functools.partial(compute, variables)


METHODS: dict[str, Callable[[str, StrPath | None], Compute]] = {
    "tvl1": _of_grey(tvl1),
    "tvl1_cuda": _of_grey(functools.partial(tvl1, variant="opencv_cuda")),
    "farneback": _of_grey(farneback),
    **dict.fromkeys(list_models("raft_*"), _of_network),
}
"""How flow is computed: from the name and weights to the function that does it."""


@dataclasses.dataclass(frozen=True)
class FlowOptions:
    """What decides the flow of a video and its files.

    Attributes:
        method: A key of `METHODS`.
        weights: Weights of a network: a tag of its card or a file.
        fps: Rate in frames per second at which the video is read; None is its own.
        resize: Pixels to which the short side is resized first, or height and width, or
            None.
        bound: Displacement that the bytes of JPEG images reach to, in pixels.
        max_px: Length of flow in pixels that has full colour in a colour video; None
            takes the longest of each frame.
    """

    method: str = "tvl1"
    weights: str | None = None
    fps: float | None = None
    resize: int | tuple[int, int] | None = None
    bound: float = BOUND_PX
    max_px: float | None = None


@dataclasses.dataclass(frozen=True)
class FlowResult:
    """What was written.

    Attributes:
        out: The file or folder.
        pairs: Flows in it: one less than frames.
        computed: Flows computed by this call; the others were there already.
    """

    out: pathlib.Path
    pairs: int
    computed: int


def compute_flow(
    video: StrPath,
    out: StrPath,
    *,
    options: FlowOptions | None = None,
    batch: int = 8,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FlowResult:
    """Computes the flow from each frame of a video to the next, and writes it.

    Flow i is that from frame i to frame i + 1. Memory does not grow with the length of
    the video. A run that was stopped goes on where it stopped when it is called again.

    Args:
        video: A video file.
        out: What is written: NAME.mp4, the flow in colours; NAME.npz, the array
            "flow", float32 [N - 1, H, W, 2]; or a folder, pairs of JPEG images
            flow_x_00001.jpg and flow_y_00001.jpg and so on.
        options: Method, sizes and rates; None takes the defaults.
        batch: Pairs of frames that are computed at once.
        progress: Called with the number of flows that are written and their total.

    Returns:
        What was written.

    Raises:
        ValueError: If the video cannot be read or has one frame only, `out` is there
            already with other options, or the method or an option is not usable.
        OSError: If nothing can be written there.
        ImportError: If PyAV is missing.
    """
    options = options or FlowOptions()
    compute = make_compute(options, batch)
    return write_video_flow(
        video, out, compute, options=options, batch=batch, progress=progress
    )


def make_compute(options: FlowOptions, batch: int) -> Compute:
    """Returns the function that computes flow, which serves any number of videos.

    Args:
        options: Method and weights.
        batch: Pairs of frames that it will be called with.

    Returns:
        The function.

    Raises:
        ValueError: If the method or another option is not usable.
    """
    _check(options, batch)
    return METHODS[options.method](options.method, options.weights)


def write_video_flow(
    video: StrPath,
    out: StrPath,
    compute: Compute,
    *,
    options: FlowOptions,
    batch: int,
    kind: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FlowResult:
    """Writes the flow of one video; see `compute_flow`.

    Args:
        video: A video file.
        out: What is written.
        compute: From `make_compute`.
        options: Sizes and rates, and how `compute` was made.
        batch: Pairs of frames that are computed at once.
        kind: As in `open_output`.
        progress: Called with the number of flows that are written and their total.

    Returns:
        What was written.

    Raises:
        ValueError: If the video cannot be read or has one frame only, or `out` is there
            already with other options.
        OSError: If nothing can be written there.
    """
    total = data.count_frames(video, fps=options.fps) - 1
    if total < 1:
        raise ValueError(f"{os.fspath(video)} has one frame only, and flow takes two.")
    about = {"video": pathlib.Path(video).name, **dataclasses.asdict(options)}
    rate = options.fps or data.probe(video).fps
    output = open_output(pathlib.Path(out), about, total=total, fps=rate, kind=kind)
    done = output.done
    progress(done, total)
    if done < total:
        for flows in _chunks(_flows(video, compute, options, done, batch)):
            output.add(flows)
            progress(output.done, total)
    output.finish()
    return FlowResult(pathlib.Path(out), total, total - done)


def _check(options: FlowOptions, batch: int) -> None:
    problems = []
    sides = np.atleast_1d(1 if options.resize is None else options.resize)
    if options.method not in METHODS:
        problems.append(f"method {options.method!r} is none of {', '.join(METHODS)}")
    for name, value in (
        ("batch", batch),
        ("bound", options.bound),
        ("max_px", options.max_px),
        ("resize", sides.min()),
    ):
        if value is not None and not value > 0:
            problems.append(f"{name} must be above 0, got {value}")
    if problems:
        raise ValueError("; ".join(problems) + ".")


def iter_flows(
    video: StrPath, options: FlowOptions, *, start: int = 0, batch: int = 8
) -> Iterator[Float[np.ndarray, "h w 2"]]:
    """Computes the flows of a video one after the other, in the memory of a batch.

    Args:
        video: A video file of two frames or more.
        options: Method, weights, rate and size.
        start: First pair of frames.
        batch: Pairs of frames that are computed at once.

    Returns:
        The flows from frame i to frame i + 1 in pixels, [H, W, 2], for i from `start`.

    Raises:
        ValueError: If the video cannot be read, or the method is not usable.
        ImportError: If PyAV is missing.
    """
    compute = make_compute(options, batch)
    return _flows(video, compute, options, start, batch)


def _flows(
    video: StrPath, compute: Compute, options: FlowOptions, start: int, batch: int
) -> Iterator[Float[np.ndarray, "h w 2"]]:
    line = read_timeline(video)
    wanted = frame_positions(video, line, fps=options.fps, start_sec=0.0, end_sec=None)
    frames = iterate_frames(video, wanted[start:], resize=_resize_rule(options.resize))
    for first, second in _pairs(frames, batch):
        count = len(first)
        # A short batch is filled up, so that one program is compiled.
        fill = ((0, batch - count), *[(0, 0)] * 3)
        pair = (jnp.asarray(np.pad(x, fill, mode="edge")) for x in (first, second))
        yield from np.asarray(compute(*pair))[:count]


def _resize_rule(
    resize: int | tuple[int, int] | None,
) -> Callable[[int, int], tuple[int, int]] | None:
    if resize is None:
        return None
    if isinstance(resize, int):
        return functools.partial(short_side_size, short_side=resize)
    return lambda height, width: resize


def _pairs(
    frames: Iterator[np.ndarray], batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of frames and of those that follow them, uint8 [B, H, W, 3] each."""
    held = [next(frames)]
    for frame in frames:
        held.append(frame)
        if len(held) == batch + 1:
            yield np.stack(held[:-1]), np.stack(held[1:])
            held = held[-1:]
    if len(held) > 1:
        yield np.stack(held[:-1]), np.stack(held[1:])


def _chunks(
    flows: Iterator[Float[np.ndarray, "h w 2"]],
) -> Iterator[Float[np.ndarray, "n h w 2"]]:
    """As many flows as are written at once."""
    held: list[np.ndarray] = []
    for flow in flows:
        held.append(flow)
        if len(held) == CHUNK:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)
