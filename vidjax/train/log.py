"""What a run writes about itself: metrics by step, and what it ran on.

Files that a later process relies on are written under a temporary name and renamed, so
that a process that is killed leaves the old file or the new one and nothing between.
Temporary names begin with a dot.
"""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import jax

_PACKAGES = ("vidjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all.

    Args:
        path: The file; replaced if it exists.
        value: Dicts, lists and scalars.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file, whole or not at all.

    Args:
        path: The file; replaced if it exists.
        text: Its content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """Reads the lines of a metrics file.

    Args:
        path: A file that `MetricsLog` wrote; it need not exist.

    Returns:
        One dict a line, each with "step". A last line that a killed process did not
        finish is left out.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]  # Whole lines end in a newline.


class MetricsLog:
    """Appends metrics to a file of JSON lines, and to TensorBoard when asked.

    A resumed run drops what is beyond the step at which it goes on, so that the file
    reads as if the run had never stopped.

    Args:
        path: The file.
        start_step: Updates that the run has done already.
        tensorboard: Folder for TensorBoard's event files; None writes none.

    Raises:
        ValueError: If `tensorboard` is given and tensorboardX is not installed.
    """

    def __init__(
        self,
        path: pathlib.Path,
        *,
        start_step: int = 0,
        tensorboard: pathlib.Path | None = None,
    ) -> None:
        self._writer = _open_tensorboard(tensorboard, start_step)
        kept = [line for line in read_metrics(path) if line["step"] <= start_step]
        write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")

    def write(self, step: int, metrics: Mapping[str, float], *, group: str) -> None:
        """Writes one line.

        Args:
            step: Updates done.
            metrics: Scalars by name.
            group: "train" or "eval"; the line holds it as "group", and TensorBoard's
                names begin with it.
        """
        line = {"step": step, "group": group, **metrics}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Closes the files."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def describe_run() -> dict[str, Any]:
    """Returns what a run runs on: date, versions, git commit and devices.

    Returns:
        Dicts, lists and scalars. "git_commit" is that of the working folder, with "+"
        after it where files differ from it, and None outside a repository.
    """
    devices = jax.devices()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "git_commit": _git_commit(),
        "devices": {
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
        },
    }


def _open_tensorboard(folder: pathlib.Path | None, start_step: int) -> Any:
    if folder is None:
        return None
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "log.tensorboard needs tensorboardX, which is not installed: "
            'pip install "vidjax[log]"'
        ) from error
    return SummaryWriter(str(folder), purge_step=start_step + 1)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    commit = _git("rev-parse", "HEAD")
    return commit and commit + ("+" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
