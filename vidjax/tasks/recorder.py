"""What happens between two updates of a run."""

import dataclasses

from jax.sharding import Mesh

from vidjax.tasks.evaluate import Scorer, measure, score
from vidjax.tasks.events import Evaluated, Progress, Saved, Scored
from vidjax.tasks.experiment import make_views
from vidjax.tasks.run import Emit, Run
from vidjax.tasks.workdir import EVALUATION
from vidjax.train.checkpoint import Checkpoints
from vidjax.train.log import MetricsLog, write_json
from vidjax.train.loop import Window
from vidjax.train.optim import Schedule
from vidjax.train.state import TrainState


@dataclasses.dataclass
class Recorder:
    """What happens between two updates: logs, evaluations, checkpoints.

    Its methods are the hooks of `vidjax.train.loop.train`.

    Attributes:
        run: What is trained.
        mesh: Devices.
        checkpoints: Of the run.
        metrics_log: Of the run.
        emit: Called with each event.
        scorer: Scores a batch.
        schedule: Learning rate by step.
        best_top1: Of the best evaluation so far, -1 before the first.
        steps_timed: Updates whose time is known.
        seconds_timed: Their time, without evaluations and checkpoints.
    """

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
        """Writes a line and tells of progress.

        Args:
            window: The updates since the last log.
        """
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
        """Scores the held-out split, and keeps the variables if it is the best yet.

        Args:
            state: The train state.
            step: Updates done.
        """
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
        """Starts to save the state.

        Args:
            state: The train state.
            step: Updates done.
        """
        self.checkpoints.save(step, state)
        path = self.checkpoints.latest_path
        if path is not None:
            self.emit(Saved(self.run.name, step, path))

    def last_good(self) -> str:
        """Returns where the last checkpoint is, as a clause."""
        path = self.checkpoints.latest_path
        return (
            f"the last checkpoint is {path}" if path else "there is no checkpoint yet"
        )
