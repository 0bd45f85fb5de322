"""Times the evaluation of segments and their suppression.

    python benchmarks/localization.py --videos 1000 --predictions 200000

Prints one line of JSON a measurement: what was run, where, and the median time in
seconds. Compilation does not count.
"""

import dataclasses
import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import tyro

from vidjax.localization import TIOUS, evaluate
from vidjax.localization.annotations import Segments
from vidjax.ops.segments import nms


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is timed.

    Attributes:
        videos: Videos.
        predictions: Predicted segments in all of them.
        classes: Classes.
        actions: Ground truth in each video.
        candidates: Segments of a video before suppression.
        kept: Segments after it.
        repeats: Timed runs, of which the median is taken.
    """

    videos: int = 1000
    predictions: int = 200_000
    classes: int = 20
    actions: int = 15
    candidates: int = 12_000
    kept: int = 2000
    repeats: int = 3


def main(benchmark: Benchmark) -> None:
    """Runs what was asked for and prints a line for each measurement."""
    rng = np.random.default_rng(0)
    truth = _draw(rng, benchmark, benchmark.videos * benchmark.actions)
    found = _draw(rng, benchmark, benchmark.predictions)
    seconds = _median(
        lambda: evaluate(found, truth, tious=TIOUS["activitynet"]), benchmark.repeats
    )
    _say(benchmark, "evaluate", seconds)

    count = benchmark.candidates
    start = rng.uniform(0, 2000, count).astype(np.float32)
    segments = np.stack([start, start + rng.exponential(20, count)], 1)
    suppress = jax.jit(functools.partial(nms, max_segments=benchmark.kept))
    given = (
        jax.numpy.asarray(segments, "float32"),
        jax.numpy.asarray(rng.random(count), "float32"),
        jax.numpy.asarray(rng.integers(0, benchmark.classes, count)),
    )
    jax.block_until_ready(suppress(*given))
    seconds = _median(
        lambda: jax.block_until_ready(suppress(*given)), benchmark.repeats
    )
    _say(benchmark, "nms", seconds)


def _draw(rng: np.random.Generator, benchmark: Benchmark, count: int) -> Segments:
    start = rng.uniform(0, 200, count)
    names = np.array([f"video_{i}" for i in range(benchmark.videos)], object)
    return Segments(
        videos=names[rng.integers(0, benchmark.videos, count)],
        start=start,
        end=start + rng.exponential(10, count),
        labels=rng.integers(0, benchmark.classes, count).astype(object),
        scores=rng.random(count),
    )


def _median(run: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _say(benchmark: Benchmark, what: str, seconds: float) -> None:
    line = {"what": what, "seconds": round(seconds, 3), "device": str(jax.devices()[0])}
    print(json.dumps({**line, **dataclasses.asdict(benchmark)}))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
