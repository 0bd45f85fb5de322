"""Config files: Python files whose `get_config()` returns an experiment."""

import dataclasses
import difflib
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any

from vidjax.config import experiment
from vidjax.config.experiment import Config
from vidjax.config.fields import override

_SHIPPED = pathlib.Path(__file__).parent.parent / "configs"
_CHECKOUT = pathlib.Path(__file__).parent.parent.parent / "configs"


def list_configs() -> list[str]:
    """Returns the names of the configs that ship with vidjax, sorted.

    Example:
        >>> "quickstart" in list_configs()
        True
    """
    return sorted(p.stem for p in _config_folder().glob("*.py"))


def load_config(
    name_or_path: str | pathlib.Path, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Runs a config file and returns its experiment.

    Args:
        name_or_path: Name of a config that ships with vidjax, such as "quickstart", or
            the path of a Python file with a function `get_config`.
        overrides: New values by dotted field, such as {"optim.learning_rate": 0.05}.

    Returns:
        The experiment.

    Raises:
        ValueError: If there is no such config, the file does not define `get_config`,
            an override names no field (the near name is suggested), or a value is not
            one of the field's choices.
        TypeError: If an override has the wrong type, or the file gives a field that
            does not exist, or does not return a `Config`.

    Example:
        >>> load_config("quickstart", {"optim.learning_rate": 0.05}).optim.learning_rate
        0.05
    """
    path = find_config(name_or_path)
    spec = importlib.util.spec_from_file_location(f"vidjax_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except TypeError as error:
        raise TypeError(f"{path}: {_with_near_field(error)}") from error
    except (AttributeError, ImportError, NameError, SyntaxError) as error:
        raise ValueError(
            f"{path} is not a config: {error}. A config file defines get_config(), "
            "which returns a vidjax.config.Config."
        ) from error
    if not isinstance(config, Config):
        raise TypeError(
            f"{path}: get_config() must return a vidjax.config.Config, got "
            f"{type(config).__name__}."
        )
    return override(config, overrides or {})


def _config_folder() -> pathlib.Path:
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def find_config(name_or_path: str | pathlib.Path) -> pathlib.Path:
    """Returns the file of a config.

    Args:
        name_or_path: Name of a config that ships with vidjax, or the path of a file.

    Returns:
        Its path.

    Raises:
        ValueError: If there is no such config; the near name is suggested.
    """
    path = pathlib.Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path
    shipped = _config_folder() / f"{path.stem}.py"
    if path.parent in (pathlib.Path(), pathlib.Path("configs")) and shipped.is_file():
        return shipped
    near = difflib.get_close_matches(path.stem, list_configs(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"No config {str(name_or_path)!r}: expected a Python file, or one of "
        f"{', '.join(list_configs())}.{hint}"
    )


def _with_near_field(error: TypeError) -> str:
    """Adds the near field's name to the message of an unexpected keyword argument."""
    text = str(error)
    if "unexpected keyword argument" not in text:
        return text
    wrong = text.rsplit("'", 2)[1]
    parts = [
        part for part in vars(experiment).values() if dataclasses.is_dataclass(part)
    ]
    fields = {field.name for part in parts for field in dataclasses.fields(part)}
    near = difflib.get_close_matches(wrong, sorted(fields), n=1)
    return text + (f". Did you mean {near[0]!r}?" if near else "")
