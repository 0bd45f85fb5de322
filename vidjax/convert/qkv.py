"""Query, key and value: three arrays elsewhere, one here."""

import re
from collections.abc import Sequence

import numpy as np

from vidjax.convert.rules import Arrays


def join(
    arrays: Arrays, pattern: str, joined: str, parts: Sequence[str], axis: int = 0
) -> Arrays:
    r"""Joins arrays whose names differ in one part.

    Args:
        arrays: Arrays of any shape by name.
        pattern: Regular expression of the names to join, with a group `part`.
        joined: Name of what they become, with `\1` for the other groups.
        parts: What stands in the group, in the order wanted.
        axis: Along which they are joined.

    Returns:
        All arrays, those joined among them; parts that are not complete stay.

    Example:
        >>> arrays = {"a.key": np.zeros(1), "a.query": np.ones(1)}
        >>> join(arrays, r"a\.(?P<part>\w+)", "a.both", ["query", "key"])
        {'a.both': array([1., 0.])}
    """
    compiled = re.compile(pattern)
    found: dict[str, dict[str, str]] = {}
    for name in arrays:
        if match := compiled.fullmatch(name):
            found.setdefault(match.expand(joined), {})[match["part"]] = name
    whole = {to: names for to, names in found.items() if names.keys() >= set(parts)}
    used = {names[part] for names in whole.values() for part in parts}
    rest = {name: array for name, array in arrays.items() if name not in used}
    return rest | {
        to: np.concatenate([arrays[names[part]] for part in parts], axis=axis)
        for to, names in whole.items()
    }


def split(
    arrays: Arrays, pattern: str, apart: str, parts: Sequence[str], axis: int = 0
) -> Arrays:
    r"""Undoes `join`.

    Args:
        arrays: Arrays of any shape by name.
        pattern: Regular expression of the names to split.
        apart: Name of a part, with `\1` for groups and `{part}` for what differs.
        parts: What stands there, in the order of the array.
        axis: Along which arrays are split into equal parts.

    Returns:
        All arrays, the parts in the place of the whole.

    Example:
        >>> split({"a.qkv": np.arange(3)}, r"(.)\.qkv", r"\1.{part}", "qkv")
        {'a.q': array([0]), 'a.k': array([1]), 'a.v': array([2])}
    """
    found: Arrays = {}
    for name, array in arrays.items():
        match = re.fullmatch(pattern, name)
        if match is None:
            found[name] = array
            continue
        pieces = np.split(array, len(parts), axis=axis)
        for part, piece in zip(parts, pieces, strict=True):
            found[match.expand(apart.replace("{part}", part))] = piece
    return found
