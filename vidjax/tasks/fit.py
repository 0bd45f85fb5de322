"""Training: what `vidjax train` does, as a function."""

import contextlib
import dataclasses
import functools
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding

from vidjax.config import Config
from vidjax.data.features import FeatureSource, train_feature_batches
from vidjax.data.pipeline import train_batches
from vidjax.tasks.events import Event, Finished, Started
from vidjax.tasks.experiment import describe_devices, make_state_parts
from vidjax.tasks.objective import goodness, make_inputs, make_losses, make_test
from vidjax.tasks.recorder import Recorder
from vidjax.tasks.run import Emit, Run, prepare_run
from vidjax.tasks.workdir import (
    METRICS,
    RESULT,
    claim_workdir,
    contenders,
    load_workdir,
    read_result,
    record_start,
)
from vidjax.train.checkpoint import Checkpoints, abstract
from vidjax.train.log import MetricsLog, describe_run, read_metrics, write_json
from vidjax.train.loop import Hooks, Plan, train
from vidjax.train.optim import make_optimizer, make_schedule
from vidjax.train.sharding import (
    batch_sharding,
    make_mesh,
    put_batch,
    replicated,
    tree_shardings,
    under_mesh,
)
from vidjax.train.state import TrainState, make_init, start_state
from vidjax.train.step import TrainStep, make_train_step

_TRAIN_ROWS = ("clip", "label", "mask")


@dataclasses.dataclass(frozen=True)
class FitResult:
    """A trained model, and how its training went.

    Attributes:
        model: Registered name of the model.
        workdir: Folder of its run.
        metrics: Of the last step's evaluation: "top1", "top5", "mean_class" (in
            [0, 1]), "loss", and "examples" and "failed", the number of videos that
            counted and that could not be read; without the first three where no labels
            are learned.
        best_step: Step of the best evaluation, by top-1, or by the loss where there is
            none; of equals, the first.
        best_metrics: Of that evaluation.
        variables: After the last step: {"params": ..., "batch_stats": ...}.
        checkpoint: Folder of the last checkpoint.
        history: One dict a line of metrics.jsonl: "step", "group" ("train" or "eval")
            and scalars.
        start_step: Step at which this call began.
        already: Whether the run was finished before this call and nothing was done.
        compared: Results of all models of a comparison, by the names of their folders,
            the experiment's own first; empty where none is asked for.
    """

    model: str
    workdir: pathlib.Path
    metrics: dict[str, float]
    best_step: int
    best_metrics: dict[str, float]
    variables: dict[str, Any]
    checkpoint: pathlib.Path
    history: list[dict[str, Any]]
    start_step: int
    already: bool
    compared: dict[str, "FitResult"] = dataclasses.field(default_factory=dict)


def fit(
    config: Config,
    workdir: str | pathlib.Path,
    *,
    on_event: Callable[[Event], None] | None = None,
) -> FitResult:
    """Trains, evaluates and checkpoints; called again, goes on where it stopped.

    A run that is killed at any moment and called again ends with the parameters of one
    that was not, bit for bit, on the same devices.

    Args:
        config: The experiment.
        workdir: Folder of the run; made if it is not there.
        on_event: Called with each event, in order; see `vidjax.tasks.events`.

    Returns:
        The result. If the run is finished already, it is read and nothing is trained.

    Raises:
        ValueError: If the config is wrong in itself, for the data or for the devices,
            the workdir belongs to another experiment or holds something else, the loss
            is no longer finite, or there is more than one process.
        TypeError: If the model has no such argument.
    """
    if jax.process_count() > 1:
        raise ValueError(
            f"fit runs in one process so far, got {jax.process_count()} processes."
        )
    emit = on_event or (lambda event: None)
    workdir = pathlib.Path(workdir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(claim_workdir(workdir, config))
        if not config.compare:
            return _finish(_open(config.model, config, workdir), emit)
        # All are opened before any is trained, so that what is wrong is said at once.
        opened = {}
        for name, run in contenders(config).items():
            stack.enter_context(claim_workdir(workdir / name, run))
            opened[name] = _open(name, run, workdir / name)
        compared = {name: _finish(run, emit) for name, run in opened.items()}
        metrics = {name: result.metrics for name, result in compared.items()}
        write_json(workdir / RESULT, {"compared": metrics})
    return dataclasses.replace(compared[config.model], compared=compared)


@dataclasses.dataclass(frozen=True)
class _Done:
    """A run that was finished before this call."""

    name: str
    config: Config
    folder: pathlib.Path


def _open(name: str, config: Config, folder: pathlib.Path) -> Run | _Done:
    if read_result(folder) is not None:
        return _Done(name, config, folder)
    return prepare_run(name, config, folder)


def _finish(run: Run | _Done, emit: Emit) -> FitResult:
    began = time.perf_counter()
    already = isinstance(run, _Done)
    if already:
        variables = load_workdir(run.folder, best=False).variables
        start_step = run.config.steps
    else:
        variables, start_step = _train(run, emit)
    found = read_result(run.folder) or {}
    result = FitResult(
        model=run.config.model,
        workdir=run.folder,
        metrics=found["metrics"],
        best_step=found["best_step"],
        best_metrics=found["best_metrics"],
        variables=variables,
        checkpoint=run.folder / found["checkpoint"],
        history=read_metrics(run.folder / METRICS),
        start_step=start_step,
        already=already,
    )
    seconds = time.perf_counter() - began
    emit(Finished(run.name, run.folder, result.metrics, seconds, already))
    return result


def _train(run: Run, emit: Emit) -> tuple[dict[str, Any], int]:
    """Trains a model from where its folder says, and writes its result there.

    Returns the variables after the last step, and the step at which it began.
    """
    config, mesh = run.config, make_mesh(run.config.sharding)
    init_key, step_key = jax.random.split(jax.random.key(config.seed))
    with Checkpoints(run.folder) as checkpoints:
        state, shardings = _open_state(run, mesh, init_key, checkpoints)
        start_step = int(state.step)
        emit(_started(run, state))
        record_start(run.folder, start_step, describe_run())
        tensorboard = run.folder / "tensorboard" if config.log.tensorboard else None
        with MetricsLog(
            run.folder / METRICS, start_step=start_step, tensorboard=tensorboard
        ) as log:
            best = checkpoints.read_best_metrics()
            recorder = Recorder(
                run=run,
                checkpoints=checkpoints,
                metrics_log=log,
                emit=emit,
                test=make_test(run, mesh),
                schedule=jax.jit(make_schedule(config.optim, config.steps)),
                best=goodness(best) if best else -math.inf,
            )
            if start_step < config.steps:
                state = train(
                    state,
                    _compile_step(run, mesh, state, shardings),
                    _batches(run, mesh, start_step),
                    key=jax.device_put(step_key, replicated(mesh)),
                    plan=Plan(
                        steps=config.steps,
                        log_every=config.log.every,
                        eval_every=config.eval_every,
                        save_every=config.save_every,
                    ),
                    hooks=Hooks(
                        log=recorder.log,
                        evaluate=recorder.evaluate,
                        save=recorder.save,
                        last_good=recorder.last_good,
                    ),
                )
        checkpoints.wait()
        _write_result(run, checkpoints)
    return state.tested, start_step


def _open_state(
    run: Run, mesh: Mesh, key: jax.Array, checkpoints: Checkpoints
) -> tuple[TrainState, Any]:
    """The state to begin with, laid over the devices as it is made, and its layout."""
    optimizer = make_optimizer(run.config.optim, run.config.steps)
    parts = make_state_parts(run.config)
    init = make_init(run.model, optimizer, clip_shape=run.spec.shape, **parts)
    shardings = tree_shardings(run.like, mesh, min_size=run.config.sharding.min_size)
    if checkpoints.latest_step is not None:
        return checkpoints.restore(abstract(run.like, shardings)), shardings
    if run.initial is not None:
        start = functools.partial(start_state, optimizer=optimizer, **parts)
        return jax.jit(start, out_shardings=shardings)(run.initial), shardings
    return jax.jit(init, out_shardings=shardings)(key), shardings


def _compile_step(run: Run, mesh: Mesh, state: TrainState, shardings: Any) -> TrainStep:
    config = run.config
    step = make_train_step(
        run.model,
        make_optimizer(config.optim, config.steps),
        prepare=make_inputs(run),
        losses=make_losses(run),
        mixing=config.mixing,
        average_decay=config.optim.average_decay or 0.0,
        accumulate=config.optim.accumulate,
    )
    rows = batch_sharding(mesh)
    jitted = jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(shardings, rows, replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    batch = _batch_like(run, rows)
    key = jax.eval_shape(lambda: jax.random.key(0))
    # Ahead of time, so that no clock of the loop counts it.
    lower = under_mesh(mesh, jitted.lower)
    return lower(abstract(state, shardings), batch, key).compile()


def _batch_like(run: Run, rows: NamedSharding) -> dict[str, Any]:
    """Shapes and dtypes of a training batch."""

    def like(dtype: str, *shape: int) -> jax.ShapeDtypeStruct:
        size = run.config.data.batch_size
        return jax.ShapeDtypeStruct((size, *shape), dtype, sharding=rows)

    source, shape = run.sources.train, run.spec.shape
    if not isinstance(source, FeatureSource):
        clip, label = like("uint8", *source.spec.pixels_shape), like("int32")
        return {"clip": clip, "label": label, "mask": like("bool")}
    most = source.most_actions
    return {
        "clip": (like("float32", *shape), like("bool", shape[0])),
        "label": (like("float32", most, 2), like("int32", most), like("bool", most)),
        "mask": like("bool"),
    }


def _batches(run: Run, mesh: Mesh, start_step: int) -> Any:
    """Training batches on the devices, from that of a step on."""
    config, source, rows = run.config, run.sources.train, batch_sharding(mesh)
    settings: dict[str, Any] = {
        "batch_size": config.data.batch_size,
        "seed": config.seed,
        "start_step": start_step,
        "workers": config.data.workers,
    }
    if isinstance(source, FeatureSource):
        most = source.most_actions
        batches = train_feature_batches(source, max_actions=most, **settings)
    else:
        batches = train_batches(
            source,
            repeats=config.data.repeats,
            bad_share=config.data.bad_share,
            **settings,
        )
    return (put_batch({name: b[name] for name in _TRAIN_ROWS}, rows) for b in batches)


def _started(run: Run, state: TrainState) -> Started:
    return Started(
        model=run.name,
        workdir=run.folder,
        step=int(state.step),
        steps=run.config.steps,
        parameters=sum(p.size for p in jax.tree.leaves(state.params)),
        num_train=run.sources.train.num_examples,
        num_eval=run.sources.eval.num_examples,
        num_classes=len(run.sources.train.label_names),
        devices=describe_devices(),
    )


def _write_result(run: Run, checkpoints: Checkpoints) -> None:
    """Everything is on disk: says so, with the metrics of the last evaluation."""
    lines = read_metrics(run.folder / METRICS)
    last = next(line for line in reversed(lines) if line["group"] == "eval")
    metrics = {k: v for k, v in last.items() if k not in ("step", "group")}
    write_json(
        run.folder / RESULT,
        {
            "model": run.config.model,
            "steps": run.config.steps,
            "metrics": metrics,
            "checkpoint": f"checkpoints/{checkpoints.latest_step}",
            "best_step": checkpoints.best_step,
            "best_metrics": checkpoints.read_best_metrics(),
        },
    )
