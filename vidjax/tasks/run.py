"""The run of one model: what it needs, and the training itself."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vidjax.config import Config
from vidjax.convert import load_variables
from vidjax.data.pipeline import train_batches
from vidjax.tasks.evaluate import Scorer, make_scorer, measure, score
from vidjax.tasks.events import Evaluated, Event, Progress, Saved, Scored, Started
from vidjax.tasks.experiment import (
    Sources,
    describe_devices,
    make_model,
    make_prepare,
    make_sources,
    make_spec,
    make_views,
)
from vidjax.tasks.workdir import (
    EVALUATION,
    METRICS,
    RESULT,
    record_data,
    record_start,
)
from vidjax.train.checkpoint import Checkpoints, abstract
from vidjax.train.log import MetricsLog, describe_run, read_metrics, write_json
from vidjax.train.loop import Hooks, Plan, Window, train
from vidjax.train.optim import Schedule, make_optimizer, make_schedule
from vidjax.train.sharding import (
    batch_sharding,
    check_batch_size,
    make_mesh,
    put_batch,
    replicated,
    tree_shardings,
)
from vidjax.train.state import TrainState, make_init, start_state
from vidjax.train.step import TrainStep, make_train_step
from vidjax.typing import ClipSpec

Emit = Callable[[Event], None]

_TRAIN_ROWS = ("clip", "label", "mask")


@dataclasses.dataclass(frozen=True)
class Run:
    """All that the training of one model needs.

    Attributes:
        name: Name of the run, that of its model or "MODEL-2".
        config: The experiment, without models to compare.
        folder: Where it is kept.
        sources: Its data.
        model: The module.
        spec: The clip that it wants.
        initial: Variables to start from; None starts from random ones.
    """

    name: str
    config: Config
    folder: pathlib.Path
    sources: Sources
    model: nn.Module
    spec: ClipSpec
    initial: dict[str, Any] | None


def prepare_run(name: str, config: Config, folder: pathlib.Path) -> Run:
    """Opens the data, builds the model and reads weights.

    Whatever can be wrong with an experiment is found here, before a step is done.

    Args:
        name: Name of the run.
        config: The experiment.
        folder: Its workdir, claimed.

    Returns:
        The run.

    Raises:
        ValueError: If the config is wrong in itself, for the data or for the devices,
            the data has changed since the run began, or the weights do not fit.
        TypeError: If the model has no such argument.
    """
    _check_numbers(config)
    mesh, data = make_mesh(config.sharding), config.data
    check_batch_size(data.batch_size, mesh, name="data.batch_size")
    check_batch_size(
        data.eval_batch_size or data.batch_size, mesh, name="data.eval_batch_size"
    )
    make_optimizer(config.optim, config.steps)
    spec, _ = make_spec(config), make_views(config)
    sources = make_sources(config)
    num_classes = len(sources.train.label_names)
    model = make_model(config, num_classes)
    record_data(folder, config, sources)
    with Checkpoints(folder) as checkpoints:
        fresh = checkpoints.latest_step is None
    initial = None
    if config.init is not None and fresh:
        initial = load_variables(
            config.model,
            config.init,
            num_classes=num_classes,
            head="match",
            clip_shape=spec.shape,
        )
        _check_fit(config, initial, _abstract_init(config, model, spec).variables)
    return Run(name, config, folder, sources, model, spec, initial)


def train_run(run: Run, emit: Emit) -> tuple[dict[str, Any], int]:
    """Trains a model from where its folder says, and writes its result there.

    Args:
        run: From `prepare_run`.
        emit: Called with each event.

    Returns:
        The variables after the last step, and the step at which this call began.

    Raises:
        NonFiniteError: If the loss or its gradient is no longer finite.
        InterruptedTrainingError: If SIGINT or SIGTERM came; the state is saved first.
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
            recorder = _Recorder(
                run=run,
                mesh=mesh,
                checkpoints=checkpoints,
                metrics_log=log,
                emit=emit,
                scorer=make_scorer(run.model, run.spec, config.dtype, mesh),
                schedule=jax.jit(make_schedule(config.optim, config.steps)),
                best_top1=(checkpoints.read_best_metrics() or {}).get("top1", -1.0),
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
    return state.variables, start_step


@dataclasses.dataclass
class _Recorder:
    """What happens between two updates: logs, evaluations, checkpoints."""

    run: Run
    mesh: Mesh
    checkpoints: Checkpoints
    metrics_log: MetricsLog
    emit: Emit
    scorer: Scorer
    schedule: Schedule
    best_top1: float
    steps_timed: int = 0
    seconds_timed: float = 0.0

    def log(self, window: Window) -> None:
        config = self.run.config
        rate = float(self.schedule(window.step - 1))
        clips_per_sec = config.data.batch_size * window.steps / window.seconds
        self.steps_timed += window.steps
        self.seconds_timed += window.seconds
        left = config.steps - window.step
        self.metrics_log.write(
            window.step,
            {
                **window.metrics,
                "learning_rate": rate,
                "clips_per_sec": round(clips_per_sec, 1),
            },
            group="train",
        )
        self.emit(
            Progress(
                model=self.run.name,
                step=window.step,
                steps=config.steps,
                loss=window.metrics["loss"],
                top1=window.metrics["top1"],
                learning_rate=rate,
                clips_per_sec=clips_per_sec,
                seconds_left=left * self.seconds_timed / self.steps_timed,
            )
        )

    def evaluate(self, state: TrainState, step: int) -> None:
        run, data = self.run, self.run.config.data
        source, name = run.sources.eval, run.name
        scores = score(
            self.scorer,
            state.variables,
            source,
            num_classes=len(source.label_names),
            views=make_views(run.config),
            batch_size=data.eval_batch_size or data.batch_size,
            mesh=self.mesh,
            workers=data.workers,
            on_scored=lambda done, total: self.emit(Scored(name, done, total)),
        )
        result = measure(
            scores,
            source.labels,
            label_names=source.label_names,
            paths=source.paths,
        )
        metrics = result.metrics
        if step == run.config.steps:
            write_json(run.folder / EVALUATION, result.to_dict())
        self.metrics_log.write(step, metrics, group="eval")
        best = metrics["top1"] > self.best_top1
        if best:
            self.best_top1 = metrics["top1"]
            self.checkpoints.save_best(step, state.variables, metrics)
        self.emit(Evaluated(name, step, metrics, best))

    def save(self, state: TrainState, step: int) -> None:
        self.checkpoints.save(step, state)
        path = self.checkpoints.latest_path
        if path is not None:
            self.emit(Saved(self.run.name, step, path))

    def last_good(self) -> str:
        path = self.checkpoints.latest_path
        return (
            f"the last checkpoint is {path}" if path else "there is no checkpoint yet"
        )


def _open_state(
    run: Run, mesh: Mesh, key: jax.Array, checkpoints: Checkpoints
) -> tuple[TrainState, Any]:
    """The state to begin with, laid over the devices as it is made, and its layout."""
    optimizer = make_optimizer(run.config.optim, run.config.steps)
    init = make_init(run.model, optimizer, clip_shape=run.spec.shape)
    like = jax.eval_shape(init, key)
    shardings = tree_shardings(like, mesh, min_size=run.config.sharding.min_size)
    if checkpoints.latest_step is not None:
        return checkpoints.restore(abstract(like, shardings)), shardings
    if run.initial is not None:
        start = functools.partial(start_state, optimizer=optimizer)
        return jax.jit(start, out_shardings=shardings)(run.initial), shardings
    return jax.jit(init, out_shardings=shardings)(key), shardings


def _compile_step(run: Run, mesh: Mesh, state: TrainState, shardings: Any) -> TrainStep:
    config = run.config
    step = make_train_step(
        run.model,
        make_optimizer(config.optim, config.steps),
        prepare=make_prepare(run.spec, config.dtype),
        label_smoothing=config.optim.label_smoothing,
    )
    rows = batch_sharding(mesh)
    jitted = jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(shardings, rows, replicated(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    size = config.data.batch_size
    batch = {
        "clip": jax.ShapeDtypeStruct((size, *run.spec.shape), "uint8", sharding=rows),
        "label": jax.ShapeDtypeStruct((size,), "int32", sharding=rows),
        "mask": jax.ShapeDtypeStruct((size,), "bool", sharding=rows),
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    # Ahead of time, so that no clock of the loop counts it.
    return jitted.lower(abstract(state, shardings), batch, key).compile()


def _batches(run: Run, mesh: Mesh, start_step: int) -> Any:
    """Training batches on the devices, from that of a step on."""
    config, rows = run.config, batch_sharding(mesh)
    batches = train_batches(
        run.sources.train,
        batch_size=config.data.batch_size,
        seed=config.seed,
        start_step=start_step,
        workers=config.data.workers,
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


def _abstract_init(config: Config, model: nn.Module, spec: ClipSpec) -> TrainState:
    optimizer = make_optimizer(config.optim, config.steps)
    init = make_init(model, optimizer, clip_shape=spec.shape)
    return jax.eval_shape(init, jax.random.key(0))


def _check_fit(config: Config, given: Any, wanted: Any) -> None:
    """Weights are converted for the card's model; `model_args` may make it another."""
    given, wanted = _shapes(given), _shapes(wanted)
    differing = [
        f"{name}: {given.get(name)} in the weights, {wanted.get(name)} in the model"
        for name in sorted(given.keys() | wanted.keys())
        if given.get(name) != wanted.get(name)
    ]
    if differing:
        raise ValueError(
            f"init={config.init!r} does not fit {config.model} with model_args "
            f"{dict(config.model_args)}:\n  " + "\n  ".join(differing)
        )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in leaves
    }


def _check_numbers(config: Config) -> None:
    numbers = {
        "steps": config.steps,
        "eval_every": config.eval_every,
        "save_every": config.save_every,
        "log.every": config.log.every,
        "data.batch_size": config.data.batch_size,
    }
    wrong = [f"{name} is {value}" for name, value in numbers.items() if value < 1]
    if config.seed < 0:
        wrong.append(f"seed is {config.seed}")
    if wrong:
        raise ValueError(
            f"Expected positive numbers (a seed may be zero), but {', '.join(wrong)}."
        )
