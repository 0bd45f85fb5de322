"""Training: what `vidjax train` does, as a function."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax

from vidjax.config import Config
from vidjax.tasks.events import Event, Finished
from vidjax.tasks.run import Emit, Run, prepare_run, train_run
from vidjax.tasks.workdir import (
    METRICS,
    RESULT,
    claim_workdir,
    contenders,
    load_workdir,
    read_result,
)
from vidjax.train.log import read_metrics, write_json


@dataclasses.dataclass(frozen=True)
class FitResult:
    """A trained model, and how its training went.

    Attributes:
        model: Registered name of the model.
        workdir: Folder of its run.
        metrics: Of the last step's evaluation: "top1", "top5", "mean_class" (in
            [0, 1]), "loss", and "examples" and "failed", the number of videos that
            counted and that could not be read.
        best_step: Step of the best evaluation, by top-1; of equals, the first.
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
        variables, start_step = train_run(run, emit)
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
