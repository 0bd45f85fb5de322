"""The `vidjax` command: finds the subcommand, and turns errors into exit codes."""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

import vidjax

# Subcommand: what it does. Each is a module of this room with a function `run`.
COMMANDS = {
    "train": "train a model by a config; resumes where it stopped",
    "evaluate": "test a trained model: top-1, top-5, mean class accuracy",
    "predict": "label videos",
    "localize": "find the actions of a video: start, end, label",
    "features": "turn videos into features [T, C] for localization",
    "flow": "compute the optical flow of a video",
    "prepare": "turn raw videos into shards that are read fast",
    "convert": "turn published weights into vidjax's",
    "inflate": "turn image weights into video weights",
    "protocol": "spell out or compare test protocols",
    "models": "list the models",
    "cost": "what a model costs, layer by layer",
    "configs": "list the configs that ship with vidjax",
}

_EXAMPLE = "vidjax train quickstart --workdir runs/quickstart"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: Arguments after the program's name; None takes those of the process.

    Returns:
        The exit code: 0, or 1 after one sentence on stderr about what went wrong, or 2
        for wrong usage.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(vidjax.__version__)
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        print(f"vidjax: no command {name!r}.{hint}\n\n{_usage()}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Its chatter is not ours.
    try:
        return importlib.import_module(f"vidjax.cli.{name}").run(rest)
    except SystemExit as stop:  # How tyro leaves after --help and wrong usage.
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt as stop:
        if debug:
            raise
        print(f"vidjax {name}: {str(stop) or 'stopped.'}", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        if debug:
            raise
        print(f"vidjax {name}: {error}", file=sys.stderr)
        return 1


def _usage() -> str:
    rows = "\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items())
    return (
        "usage: vidjax COMMAND ...\n\nVideo understanding in JAX.\n\n"
        f"{rows}\n\n`vidjax COMMAND --help` tells more; --debug shows the traceback of "
        f"an error.\n\nexample: {_EXAMPLE}"
    )
