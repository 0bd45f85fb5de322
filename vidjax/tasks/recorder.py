"""What happens between two updates of a run."""

import dataclasses

from vidjax.tasks.events import Evaluated, Progress, Saved, Scored
from vidjax.tasks.objective import Test, goodness
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
        checkpoints: Of the run.
        metrics_log: Of the run.
        emit: Called with each event.
        test: Tests variables on the held-out split.
        schedule: Learning rate by step.
        best: `goodness` of the best evaluation so far, -inf before the first.
        steps_timed: Updates whose time is known.
        seconds_timed: Their time, without evaluations and checkpoints.
    """

    run: Run
    checkpoints: Checkpoints
    metrics_log: MetricsLog
    emit: Emit
    test: Test
    schedule: Schedule
    best: float
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
                top1=window.metrics.get("top1"),
                learning_rate=rate,
                clips_per_sec=clips_per_sec,
                seconds_left=left * self.seconds_timed / self.steps_timed,
            )
        )

    def evaluate(self, state: TrainState, step: int) -> None:
        """Tests on the held-out split, and keeps the variables if it is the best yet.

        Args:
            state: The train state.
            step: Updates done.
        """
        name = self.run.name
        result = self.test(
            state.tested, lambda done, total: self.emit(Scored(name, done, total))
        )
        metrics = result.metrics
        if step == self.run.config.steps:
            write_json(self.run.folder / EVALUATION, result.to_dict())
        self.metrics_log.write(step, metrics, group="eval")
        best = goodness(metrics) > self.best
        if best:
            self.best = goodness(metrics)
            self.checkpoints.save_best(step, state.tested, metrics)
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
