"""Foreign weights in and out: readers, rules, inflation, the Hub.

The public names are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidjax.convert.export import to_arrays, writable_namings
    from vidjax.convert.foreign import from_arrays, namings
    from vidjax.convert.hub import from_pretrained, push
    from vidjax.convert.inflation import inflate
    from vidjax.convert.load import load_variables, save_variables
    from vidjax.convert.readers import read_arrays

__all__ = [
    "from_arrays",
    "from_pretrained",
    "inflate",
    "join_streams",
    "load_variables",
    "namings",
    "push",
    "read_arrays",
    "save_variables",
    "to_arrays",
    "writable_namings",
]

_HOMES = {
    "from_arrays": "foreign",
    "from_pretrained": "hub",
    "inflate": "inflation",
    "join_streams": "streams",
    "load_variables": "load",
    "namings": "foreign",
    "push": "hub",
    "read_arrays": "readers",
    "save_variables": "load",
    "to_arrays": "export",
    "writable_namings": "export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidjax.convert' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vidjax.convert.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
