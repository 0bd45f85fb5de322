"""What happens while a task runs, told to whoever shows it.

Plain data: a command line, a notebook or a test takes each event as a function argument
and does with it what it likes.
"""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Started:
    """A model is about to be trained; compilation follows.

    Attributes:
        model: Name of the model; of equal ones, the second is "NAME-2".
        workdir: Folder of its run.
        step: Updates done already; above zero for a run that goes on.
        steps: Updates in the whole run.
        parameters: Trainable parameters.
        num_train: Training examples.
        num_eval: Held-out examples.
        num_classes: Classes.
        devices: Number and kind of the devices, such as "8 x TPU v5 lite".
    """

    model: str
    workdir: pathlib.Path
    step: int
    steps: int
    parameters: int
    num_train: int
    num_eval: int
    num_classes: int
    devices: str


@dataclasses.dataclass(frozen=True)
class Progress:
    """Some updates are done.

    Attributes:
        model: Name of the model.
        step: Updates done.
        steps: Updates in the whole run.
        loss: Mean training loss since the last such event.
        top1: Share of the training clips since then that were right, in [0, 1]; None
            where no labels are learned.
        learning_rate: Of the last update.
        clips_per_sec: Training clips a second since then.
        seconds_left: Estimated time to the last step, without evaluations.
    """

    model: str
    step: int
    steps: int
    loss: float
    top1: float | None
    learning_rate: float
    clips_per_sec: float
    seconds_left: float


@dataclasses.dataclass(frozen=True)
class Scored:
    """A batch of an evaluation is scored.

    Attributes:
        model: Name of the model.
        done: Clips scored in this evaluation.
        total: Clips to score in it.
    """

    model: str
    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """The held-out split is scored.

    Attributes:
        model: Name of the model.
        step: Updates done.
        metrics: "top1", "top5", "mean_class" (in [0, 1]), "loss", and "examples" and
            "failed", the number of videos that counted and that could not be read;
            without the first three where no labels are learned.
        best: Whether top-1, or the loss, is the best of the run so far.
    """

    model: str
    step: int
    metrics: dict[str, float]
    best: bool


@dataclasses.dataclass(frozen=True)
class Saved:
    """A checkpoint is on its way to the disk.

    Attributes:
        model: Name of the model.
        step: Updates done.
        path: Its folder.
    """

    model: str
    step: int
    path: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Finished:
    """A model is trained.

    Attributes:
        model: Name of the model.
        workdir: Folder of its run.
        metrics: Of the last step's evaluation; see `Evaluated`.
        seconds: Wall time of this call for this model.
        already: Whether the run was finished before this call and nothing was done.
    """

    model: str
    workdir: pathlib.Path
    metrics: dict[str, float]
    seconds: float
    already: bool


Event = Started | Progress | Scored | Evaluated | Saved | Finished
