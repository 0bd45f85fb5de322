"""CONFIG and its typed overrides, as `vidjax train` and `vidjax evaluate` take them."""

import ast
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from vidjax.config import Config, load_config, override

# Fields of the config are flags without a prefix that take a value, booleans as well:
# --optim.learning-rate 0.05 --optim.nesterov True.
ConfigFlags = Annotated[Config, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]

_ARGS_PREFIX = "--model-args."


def run_with_config(
    argv: Sequence[str],
    make_command: Callable[[Config], Callable[..., int]],
    *,
    prog: str,
    description: str,
) -> int:
    """Reads CONFIG from the command line and runs a command with the rest.

    Args:
        argv: Arguments after the command's name: CONFIG first, then flags.
        make_command: From the experiment in the file to a function that tyro can call;
            one of its parameters is `config: ConfigFlags`, with that default.
        prog: How the command is called, such as "vidjax train".
        description: What --help says.

    Returns:
        The exit code of the command; 2 if CONFIG is missing.

    Raises:
        ValueError: If there is no such config, or a flag below --model-args lacks its
            value.
    """
    flags = list(argv)
    if not flags or flags[0].startswith("-"):
        # Without a config, --help shows the fields with the quickstart's values.
        name, flags = "quickstart", ["--help"]
        code = 0 if argv and argv[0] in ("-h", "--help") else 2
    else:
        name, code = flags.pop(0), 0
    flags, model_args = split_model_args(flags)
    config = override(load_config(name), model_args)
    try:
        return tyro.cli(
            make_command(config),
            args=flags,
            prog=f"{prog} CONFIG",
            description=description,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except SystemExit as stop:
        return code or (stop.code if isinstance(stop.code, int) else 1)


def split_model_args(flags: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Takes --model-args.NAME VALUE out of the flags.

    Their names are the model's and not the config's, so `create_model` checks them.

    Args:
        flags: Arguments of the command line.

    Returns:
        The other flags, and the values by dotted config field. A value is read as a
        Python literal where it is one, otherwise as a string.

    Raises:
        ValueError: If the value is missing.

    Example:
        >>> split_model_args(["--steps", "9", "--model-args.dropout-rate", "0.5"])
        (['--steps', '9'], {'model_args.dropout_rate': 0.5})
    """
    kept, values = [], {}
    waiting = iter(flags)
    for flag in waiting:
        name, equals, value = flag.partition("=")
        if not name.startswith(_ARGS_PREFIX):
            kept.append(flag)
            continue
        if not equals:
            value = next(waiting, "")
        if not value:
            raise ValueError(f"{name} needs a value.")
        field = name.removeprefix(_ARGS_PREFIX).replace("-", "_")
        values[f"model_args.{field}"] = _literal(value)
    return kept, values


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
