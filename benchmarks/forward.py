"""Times the forward pass and the training step of a registered model.

    python benchmarks/forward.py tsm_resnet50 --batch 8 --dtype bfloat16

Prints one line of JSON a measurement: what was run, where, the median time in
milliseconds, and clips a second. Compilation and the first runs do not count. Clips are
already on the device, so that decoding does not count either.
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
import tyro

import vidjax
from vidjax.train.state import make_init
from vidjax.train.step import make_train_step


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is timed.

    Attributes:
        name: Name of a model (`vidjax models` lists them).
        batch: Clips in a batch.
        frames: Frames of a clip; by default those of the model's card.
        size: Height and width of a clip in pixels; by default those of the card.
        dtype: Computation dtype.
        remat: Whether blocks are computed again in the backward pass.
        step: What is timed.
        repeats: Timed runs, of which the median is taken.
        warmup: Runs before them.
    """

    name: tyro.conf.Positional[str]
    batch: int = 1
    frames: int | None = None
    size: int | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False
    step: Literal["forward", "train", "both"] = "both"
    repeats: int = 20
    warmup: int = 3


def main(benchmark: Benchmark) -> None:
    """Runs what was asked for and prints a line for each measurement."""
    clip = vidjax.model_card(benchmark.name).clip
    clip = dataclasses.replace(
        clip,
        num_frames=benchmark.frames or clip.num_frames,
        size=benchmark.size or clip.size,
    )
    model = vidjax.create_model(
        benchmark.name, dtype=benchmark.dtype, remat=benchmark.remat
    )
    clips = jax.random.normal(jax.random.key(0), (benchmark.batch, *clip.shape))
    optimizer = optax.sgd(0.01, momentum=0.9)
    init = jax.jit(make_init(model, optimizer, clip_shape=clip.shape))
    state = init(jax.random.key(1))
    for step in ("forward", "train"):
        if benchmark.step in (step, "both"):
            run = _forward if step == "forward" else _train
            times = _times(run(model, optimizer, state, clips), benchmark)
            print(json.dumps(_line(benchmark, step, clip.shape, times)), flush=True)


def _forward(model: Any, optimizer: Any, state: Any, clips: jax.Array) -> Callable:
    del optimizer
    forward = jax.jit(lambda variables, clips: model.apply(variables, clips)[0])
    return lambda: forward(state.variables, clips)


def _train(model: Any, optimizer: Any, state: Any, clips: jax.Array) -> Callable:
    update = make_train_step(model, optimizer, prepare=lambda clips: clips)
    # The state is donated, as the training loop does it: a step needs it once.
    update = jax.jit(update, donate_argnums=0)
    rows = len(clips)
    batch = {
        "clip": clips,
        "label": jnp.zeros(rows, jnp.int32),
        "mask": jnp.ones(rows, bool),
    }
    held = [jax.tree.map(jnp.copy, state)]

    def run() -> Any:
        held[0], metrics = update(held[0], batch, jax.random.key(2))
        return held[0], metrics

    return run


def _times(run: Callable[[], Any], benchmark: Benchmark) -> list[float]:
    """Seconds of each run."""
    for _ in range(benchmark.warmup):
        jax.block_until_ready(run())
    times = []
    for _ in range(benchmark.repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return times


def _line(
    benchmark: Benchmark, step: str, clip_shape: tuple[int, ...], times: list[float]
) -> dict[str, Any]:
    seconds = statistics.median(times)
    return {
        "model": benchmark.name,
        "step": step,
        "clip": list(clip_shape),
        "batch": benchmark.batch,
        "dtype": benchmark.dtype,
        "remat": benchmark.remat,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "ms": round(1000 * seconds, 3),
        "ms_fastest": round(1000 * min(times), 3),
        "clips_per_second": round(benchmark.batch / seconds, 2),
    }


if __name__ == "__main__":
    main(tyro.cli(Benchmark, description=__doc__))
