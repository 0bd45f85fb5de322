"""What a conversion did to every array, for people to read."""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from vidjax.convert.foreign import find_naming
from vidjax.convert.rules import Arrays


@dataclasses.dataclass(frozen=True)
class Move:
    """How one array came into the variables.

    Attributes:
        name: In the source.
        shape: In the source.
        path: In the variables.
        new_shape: In the variables, before anything is spread over frames.
    """

    name: str
    shape: tuple[int, ...]
    path: str
    new_shape: tuple[int, ...]


def explain(
    name: str, arrays: Mapping[str, np.ndarray], naming: str | None = None
) -> tuple[str, list[Move], list[str]]:
    """Tells what `from_arrays` does with arrays that it takes.

    Args:
        name: A registered name.
        arrays: Arrays of any shape by foreign name, as `read_arrays` gives them.
        naming: As in `from_arrays`.

    Returns:
        The naming; where every array goes, in the order of the source; and the names of
        arrays that are not needed or were joined to others.

    Raises:
        ValueError: If the model or the naming is unknown.
    """
    source: Arrays = dict(arrays)
    table = find_naming(name, source, naming)
    moves, ignored = [], []
    prepared = table.prepare(source)
    for key, array in prepared.items():
        hits = table.hits(key)
        if len(hits) != 1 or any(re.fullmatch(p, key) for p in table.ignore):
            ignored.append(key)
            continue
        ((path, transform),) = hits
        moves.append(Move(key, array.shape, path, transform(array).shape))
    return table.name, moves, ignored + [key for key in source if key not in prepared]
