"""Foreign weights in: readers, rules, inflation.

The public names are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidjax.convert.foreign import from_arrays
    from vidjax.convert.inflation import inflate
    from vidjax.convert.load import load_variables, save_variables
    from vidjax.convert.readers import read_arrays

__all__ = ["from_arrays", "inflate", "load_variables", "read_arrays", "save_variables"]

_HOMES = {
    "from_arrays": "foreign",
    "inflate": "inflation",
    "load_variables": "load",
    "read_arrays": "readers",
    "save_variables": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidjax.convert' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vidjax.convert.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
