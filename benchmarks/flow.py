"""Times optical flow beside OpenCV, and measures it on scenes whose flow is known.

    python benchmarks/flow.py --video VIDEO          # frames a second
    python benchmarks/flow.py --accuracy             # the table of docs/flow.md
    python benchmarks/flow.py --methods raft_small raft_large --torch-python PYTHON

Prints one line of JSON a measurement, with --accuracy a table in Markdown. Frames are
decoded and grey before the clock starts, and compilation is told apart. Networks have
random weights: that costs the same.
"""

import dataclasses
import functools
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import tyro

import vidjax
from vidjax import data
from vidjax.flow.farneback import farneback
from vidjax.flow.grey import rgb_to_grey
from vidjax.flow.metrics import endpoint_error
from vidjax.flow.scenes import Motion, draw_pair
from vidjax.flow.tvl1 import tvl1

SIZES = ((224, 224), (256, 340))  # Height and width: I3D's and TSN's frames.
Method = Literal["tvl1", "tvl1_cuda", "farneback", "raft_small", "raft_large"]
Batch = tuple[np.ndarray, np.ndarray]

CLASSICAL = {
    "tvl1": tvl1,
    "tvl1_cuda": functools.partial(tvl1, variant="opencv_cuda"),
    "farneback": farneback,
}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is measured.

    Attributes:
        methods: Ways to compute flow.
        video: A video to take frames from; by default scenes are drawn.
        first: The first frame that is taken.
        batch: Pairs of frames in a batch.
        repeats: Timed runs, of which the median is taken.
        torch_python: An interpreter with torchvision, to time its networks beside ours.
        accuracy: Measure the endpoint error on exact scenes instead of the time.
    """

    methods: tuple[Method, ...] = get_args(Method)
    video: str | None = None
    first: int = 0
    batch: int = 8
    repeats: int = 3
    torch_python: str | None = None
    accuracy: bool = False


def main(benchmark: Benchmark) -> None:
    """Runs what was asked for and prints it."""
    if benchmark.accuracy:
        print(_accuracy_table())
        return
    for size in SIZES:
        pairs = _read_pairs(benchmark, size)
        for method in benchmark.methods:
            for line in _time(method, pairs, benchmark):
                what = {"method": method, "height": size[0], "width": size[1]}
                print(
                    json.dumps({**what, "batch": benchmark.batch, **line}), flush=True
                )


def _read_pairs(benchmark: Benchmark, size: tuple[int, int]) -> Batch:
    """RGB frames and those that follow them, uint8 [B, H, W, 3]."""
    height, width = size
    if benchmark.video is None:
        keys = jax.random.split(jax.random.key(0), benchmark.batch)
        draw = functools.partial(draw_pair, height=height, width=width, channels=3)
        drawn = jax.vmap(draw)(keys)
        return tuple(np.round(x).astype(np.uint8) for x in drawn[:2])
    frames = data.read_frames(
        benchmark.video, benchmark.first + np.arange(benchmark.batch + 1)
    )
    frames = np.stack([cv2.resize(f, size[::-1]) for f in frames])
    return frames[:-1], frames[1:]


def _time(
    method: Method, pairs: Batch, benchmark: Benchmark
) -> Iterator[dict[str, Any]]:
    """Lines of the programs."""
    compute, inputs = _vidjax(method, pairs)
    repeats = benchmark.repeats
    start = time.perf_counter()
    jax.block_until_ready(compute(*inputs))
    first = time.perf_counter() - start
    frames = len(pairs[0])
    yield {
        "program": f"vidjax, jax {jax.__version__}, {jax.devices()[0].device_kind}",
        **_rates(lambda: jax.block_until_ready(compute(*inputs)), frames, repeats),
        "first_call_sec": round(first, 2),
    }
    for threads in (1, 2):
        run = _opencv(method, pairs, threads)
        if run is not None:
            program = f"OpenCV {cv2.__version__}, {threads} threads"
            yield {"program": program, **_rates(run, frames, repeats)}
    if benchmark.torch_python is not None and method not in CLASSICAL:
        yield _torchvision(method, pairs, benchmark.torch_python, repeats)


def _vidjax(method: Method, pairs: Batch) -> tuple[Callable, Batch]:
    """The function and what it takes."""
    if method in CLASSICAL:
        return CLASSICAL[method], tuple(rgb_to_grey(jnp.asarray(x)) for x in pairs)
    inputs = tuple(jnp.asarray(x, jnp.float32) * (2 / 255) - 1 for x in pairs)
    model = vidjax.create_model(method)
    variables = jax.jit(model.init)(jax.random.key(0), *(x[:1] for x in inputs))
    return jax.jit(lambda a, b: model.apply(variables, a, b)[0]), inputs


def _opencv(method: Method, pairs: Batch, threads: int) -> Callable | None:
    """The same by OpenCV on the processor, pair by pair; None where it has none."""
    makers = {
        "tvl1": cv2.optflow.DualTVL1OpticalFlow_create,
        "farneback": cv2.FarnebackOpticalFlow.create,
    }
    if method not in makers:
        return None
    grey = [[cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in x] for x in pairs]

    def run() -> None:
        cv2.setNumThreads(threads)
        for first, second in zip(*grey, strict=True):
            makers[method]().calc(first, second, None)

    return run


_TORCHVISION = """
import json, statistics, sys, time
import numpy as np, torch, torchvision
pairs, method, repeats = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3])
model = getattr(torchvision.models.optical_flow, method)(weights=None).eval()
inputs = [torch.from_numpy(pairs[k]).permute(0, 3, 1, 2).float() for k in ("a", "b")]
height, width = inputs[0].shape[2:]
edges = (0, -width % 8, 0, -height % 8)
inputs = [torch.nn.functional.pad(x, edges, "replicate") * (2 / 255) - 1
          for x in inputs]
clock, processor = [], []
with torch.inference_mode():
    for _ in range(repeats + 1):
        start = time.perf_counter(), time.process_time()
        model(*inputs, num_flow_updates=12)
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
print(json.dumps({
    "program": f"torchvision {torchvision.__version__}, "
               f"{torch.get_num_threads()} threads",
    "frames_per_sec": len(inputs[0]) / statistics.median(clock[1:]),
    "frames_per_processor_sec": len(inputs[0]) / statistics.median(processor[1:]),
}))
"""


def _torchvision(
    method: Method, pairs: Batch, python: str, repeats: int
) -> dict[str, Any]:
    """The same network by torchvision, in its own interpreter, after one run."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, a=pairs[0], b=pairs[1])
        file.flush()
        done = subprocess.run(
            [python, "-c", _TORCHVISION, file.name, method, str(repeats)],
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout)


def _rates(run: Callable[[], Any], frames: int, repeats: int) -> dict[str, float]:
    """Frames a second of the clock, and of the processor, which others cannot slow."""
    clock, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        run()
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return {
        "frames_per_sec": round(frames / statistics.median(clock), 2),
        "frames_per_processor_sec": round(frames / statistics.median(processor), 2),
    }


def _accuracy_table() -> str:
    """Mean endpoint error in pixels of each method on each kind of scene."""
    rows = [
        "| scene (192 x 256) | longest | tvl1 | tvl1_cuda | OpenCV TV-L1 | farneback | "
        "OpenCV Farnebäck |",
        "|---|---|---|---|---|---|---|",
    ]
    for motion, max_px in (*((m, 3.0) for m in get_args(Motion)), ("shift", 8.0)):
        pair = draw_pair(
            jax.random.key(0), height=192, width=256, motion=motion, max_px=max_px
        )
        images = [jnp.round(x[None, ..., 0]) for x in (pair.image0, pair.image1)]
        grey = [np.asarray(x[0]).astype(np.uint8) for x in images]
        flows = [
            tvl1(*images)[0],
            tvl1(*images, variant="opencv_cuda")[0],
            cv2.optflow.DualTVL1OpticalFlow_create().calc(*grey, None),
            farneback(*images)[0],
            cv2.FarnebackOpticalFlow.create().calc(*grey, None),
        ]
        errors = [
            float(endpoint_error(jnp.asarray(f), pair.flow).mean()) for f in flows
        ]
        cells = " | ".join(f"{error:.3f}" for error in errors)
        rows.append(f"| {motion} | {max_px:g} px | {cells} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
