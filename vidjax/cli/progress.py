"""What a task's events look like: bars on a terminal, plain lines without one."""

from types import TracebackType

from rich import box, console, progress, table

from vidjax.tasks import events
from vidjax.tasks.judgement import EvalResult
from vidjax.tasks.report import Report

_PLAIN_LINES = 10  # A run without a terminal prints about so many progress lines.


class ProgressView:
    """Shows the events of `fit`: call it with each of them, inside `with`."""

    def __init__(self) -> None:
        self._console = console.Console()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[numbers]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: progress.TaskID | None = None
        self._next_line = 0

    def __enter__(self) -> "ProgressView":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, event: events.Event) -> None:
        """Shows one event.

        Args:
            event: What happened.
        """
        match event:
            case events.Started():
                self._start(event)
            case events.Progress():
                self._advance(event)
            case events.Scored():
                self._update(numbers=f"evaluating {event.done}/{event.total} clips")
            case events.Evaluated():
                self._line(_evaluated_line(event))
            case events.Saved():
                pass
            case events.Finished():
                self._finish(event)

    def _start(self, event: events.Started) -> None:
        verb = f"resuming at step {event.step}" if event.step else "training"
        self._line(
            f"{event.model}: {verb}; {event.parameters:,} parameters, "
            f"{event.num_train:,} training and {event.num_eval:,} held-out examples of "
            f"{event.num_classes} classes, {event.devices}"
        )
        self._task = self._bar.add_task(
            event.model, total=event.steps, completed=event.step, numbers="compiling"
        )
        self._next_line = event.step

    def _advance(self, event: events.Progress) -> None:
        top1 = "" if event.top1 is None else f"top-1 {event.top1:.1%}  "
        numbers = (
            f"loss {event.loss:.3f}  {top1}"
            f"{event.clips_per_sec:,.0f} clips/s  {_clock(event.seconds_left)} left"
        )
        self._update(completed=event.step, numbers=numbers)
        if not self._console.is_terminal and event.step >= self._next_line:
            self._line(f"{event.model}: step {event.step}/{event.steps}  {numbers}")
            self._next_line = event.step + max(1, event.steps // _PLAIN_LINES)

    def _finish(self, event: events.Finished) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        how = (
            "is finished already" if event.already else f"took {_clock(event.seconds)}"
        )
        self._line(f"{event.model}: {how}; {event.workdir}")

    def _update(self, **fields: object) -> None:
        if self._task is not None:
            self._bar.update(self._task, **fields)  # type: ignore[arg-type]

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def show_report(report: Report) -> None:
    """Prints the table of a report and where its files are.

    Args:
        report: What `vidjax.tasks.report.report` returned.
    """
    grid = table.Table(box=box.SIMPLE_HEAD)
    for title in ("model", "fusion"):
        grid.add_column(title, no_wrap=True)
    for title in ("parameters", "multiply-adds", report.rows[0].result[0]):
        grid.add_column(title, justify="right", no_wrap=True)
    for row in report.rows:
        grid.add_row(
            row.model,
            row.fusion,
            f"{row.parameters:,}",
            f"{row.macs:,}",
            row.result[1],
        )
    out = console.Console()
    out.print(grid)
    if report.chance is not None:
        out.print(f"chance: {report.chance:.1%}", highlight=False)
    written = {
        "table": report.results,
        "report": report.page,
        "picture": report.picture,
    }
    for what, path in written.items():
        told = path or 'not drawn, for it needs matplotlib: pip install "vidjax[plot]"'
        out.print(f"{what}: {told}", highlight=False, markup=False, soft_wrap=True)


def show_evaluation(result: EvalResult) -> None:
    """Prints the metrics of an evaluation and the accuracy of its weakest classes.

    Args:
        result: What `vidjax.tasks.evaluate.evaluate` returned.
    """
    out = console.Console()
    for name, value in result.metrics.items():
        shown = (
            f"{value:.2%}" if name in ("top1", "top5", "mean_class") else f"{value:g}"
        )
        if name in result.intervals:
            low, high = result.intervals[name]
            shown += f"  (95 %: {low:.2%} to {high:.2%})"
        out.print(f"{name:12} {shown}", highlight=False)
    out.print(f"{'protocol':12} {result.protocol}", highlight=False)
    out.print(f"{'videos':12} {result.videos[:16]}", highlight=False)


def _evaluated_line(event: events.Evaluated) -> str:
    metrics = event.metrics
    text = f"{event.model}: step {event.step}  held-out "
    if "top1" in metrics:
        text += (
            f"top-1 {metrics['top1']:.1%}  top-5 {metrics['top5']:.1%}  "
            f"mean class {metrics['mean_class']:.1%}"
        )
    elif "average_map" in metrics:
        text += f"average mAP {metrics['average_map']:.1%}"
    elif "auc" in metrics:
        text += f"AUC {metrics['auc']:.1%}  AR@100 {metrics['ar_100']:.1%}"
    else:
        text += f"loss {metrics['loss']:.4f}"
    if metrics.get("failed"):
        text += f"  ({metrics['failed']:.0f} could not be read)"
    return text + ("  (best so far)" if event.best else "")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
