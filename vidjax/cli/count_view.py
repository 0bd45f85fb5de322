"""How far a task is: a bar on a terminal, plain lines without one, on stderr."""

import sys

from rich import console, progress

_PLAIN_LINES = 10  # Without a terminal, about so many lines for each thing. Ours.


class CountView:
    """Shows counts: call it with a name, how many are done and their total.

    Args:
        unit: What is counted, such as "flows".
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=console.Console(stderr=True),
            transient=True,
        )
        self._bar.disable = not self._bar.console.is_terminal
        self._tasks: dict[str, progress.TaskID] = {}
        self._next_line: dict[str, int] = {}

    def __enter__(self) -> "CountView":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Shows a count.

        Args:
            name: Of what it belongs to, such as a video.
            done: How many are done.
            total: Of how many.
        """
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=done, total=total)
        if self._bar.disable and done >= self._next_line.get(name, 0):
            text = f"{name}: {done}/{total} {self._unit}"
            print(text, file=sys.stderr, flush=True)
            self._next_line[name] = done + max(1, total // _PLAIN_LINES)
