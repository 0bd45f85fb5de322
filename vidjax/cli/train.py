"""`vidjax train`: a config and overrides in, progress and a report out."""

import pathlib
from collections.abc import Callable, Sequence

from vidjax.cli.arguments import ConfigFlags, run_with_config
from vidjax.config import Config


def run(argv: Sequence[str]) -> int:
    """Trains by a config.

    Args:
        argv: Arguments after `vidjax train`: CONFIG, overrides, --workdir DIR.

    Returns:
        The exit code.
    """
    return run_with_config(
        argv,
        _make_command,
        prog="vidjax train",
        description="Trains a model; the same command goes on where it stopped.\n\n"
        "CONFIG is a Python file with get_config(), or the name of a shipped one (see "
        "`vidjax configs`). --model-args.NAME VALUE sets an argument of the model.\n\n"
        "example: vidjax train quickstart --workdir runs/quickstart --steps 2000",
    )


def _make_command(default: Config) -> Callable[..., int]:
    def train(*, workdir: pathlib.Path, config: ConfigFlags = default) -> int:
        """Trains.

        Args:
            workdir: Folder for checkpoints, logs and the report.
            config: The experiment.
        """
        from vidjax.cli.progress import ProgressView, show_report
        from vidjax.tasks.fit import fit
        from vidjax.tasks.report import report

        with ProgressView() as view:
            fit(config, workdir, on_event=view)
        show_report(report(workdir))
        return 0

    return train
