"""The rules engine: foreign names and layouts become places in variables."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
"""Arrays by name or by path, such as "params/logits/kernel"."""

Transform = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Naming:
    r"""How a code base calls the parameters of an architecture.

    Attributes:
        name: Of the code base, for messages.
        rules: From a regular expression that a whole name must match to the path in the
            variables (with `\1` for its groups) and the change of layout.
        ignore: Regular expressions of names that are not needed.
        prepare: Applied to all arrays before the rules, where two become one.
        aliases: From a regular expression to the name (with `\1` for its groups) of an
            array that a checkpoint holds twice; both must be equal.
        back: From a transform of this naming alone to the one that undoes it.
        restore: What undoes `prepare`; None if nothing does.
    """

    name: str
    rules: Mapping[str, tuple[str, Transform]]
    ignore: tuple[str, ...] = (r"(.*\.)?num_batches_tracked",)
    prepare: Callable[[Arrays], Arrays] = dict
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    back: Mapping[Transform, Transform] = dataclasses.field(default_factory=dict)
    restore: Callable[[Arrays], Arrays] | None = None

    def __hash__(self) -> int:
        return hash(self.name)

    def knows(self, name: str) -> bool:
        """Whether a rule matches a name.

        Args:
            name: Name of a source array.

        Returns:
            True if at least one does.
        """
        return any(pattern.fullmatch(name) for pattern, _, _ in self._compiled)

    def hits(self, name: str) -> list[tuple[str, Transform]]:
        """Applies the rules to a name.

        Args:
            name: Name of a source array.

        Returns:
            The path in the variables and the change of layout of every rule that
            matches; exactly one should.
        """
        matches = [(p.fullmatch(name), path, t) for p, path, t in self._compiled]
        return [(match.expand(path), t) for match, path, t in matches if match]

    @functools.cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str], str, Transform]]:
        # There are more rules than `re` remembers.
        return [(re.compile(p), path, t) for p, (path, t) in self.rules.items()]


def same(array: np.ndarray) -> np.ndarray:
    """Keeps the layout.

    Args:
        array: Any shape.

    Returns:
        The array.
    """
    return array


def kernel_from_torch(array: np.ndarray) -> np.ndarray:
    """Moves the output and input channels of a kernel to its end.

    Args:
        array: A convolution's [O, I, ...] or a linear layer's [O, I].

    Returns:
        [..., I, O].

    Example:
        >>> kernel_from_torch(np.zeros((64, 3, 7, 7))).shape
        (7, 7, 3, 64)
    """
    return np.moveaxis(array, (0, 1), (-1, -2))


def kernel_to_torch(array: np.ndarray) -> np.ndarray:
    """Undoes `kernel_from_torch`.

    Args:
        array: [..., I, O].

    Returns:
        [O, I, ...].
    """
    return np.moveaxis(array, (-1, -2), (0, 1))


def matrix_from_pointwise(array: np.ndarray) -> np.ndarray:
    """Turns a torch convolution of extent 1 into the kernel of a linear layer.

    Args:
        array: [O, I, 1, 1, 1].

    Returns:
        [I, O].

    Raises:
        ValueError: If the array has another shape.
    """
    if array.shape[2:] != (1, 1, 1):
        raise ValueError("it should be [O, I, 1, 1, 1]")
    return array.reshape(array.shape[:2]).T


def matrix_to_pointwise(array: np.ndarray) -> np.ndarray:
    """Undoes `matrix_from_pointwise`.

    Args:
        array: [I, O].

    Returns:
        [O, I, 1, 1, 1].
    """
    return array.T[..., None, None, None]


BACK: Mapping[Transform, Transform] = {
    same: same,
    kernel_from_torch: kernel_to_torch,
    matrix_from_pointwise: matrix_to_pointwise,
}
"""What undoes the changes of layout of this file."""


def conv_rules(source: str, target: str) -> dict[str, tuple[str, Transform]]:
    """Returns the rule of a torch convolution or linear layer without bias.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {rf"{source}\.weight": (f"params/{target}/kernel", kernel_from_torch)}


def dense_rules(source: str, target: str) -> dict[str, tuple[str, Transform]]:
    """Returns the rules of a torch convolution or linear layer with bias.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {
        **conv_rules(source, target),
        rf"{source}\.bias": (f"params/{target}/bias", same),
    }


def norm_rules(source: str, target: str) -> dict[str, tuple[str, Transform]]:
    """Returns the rules of a torch batch norm.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params" and "batch_stats".
    """
    return {
        rf"{source}\.weight": (f"params/{target}/scale", same),
        rf"{source}\.bias": (f"params/{target}/bias", same),
        rf"{source}\.running_mean": (f"batch_stats/{target}/mean", same),
        rf"{source}\.running_var": (f"batch_stats/{target}/var", same),
    }


def layer_norm_rules(source: str, target: str) -> dict[str, tuple[str, Transform]]:
    """Returns the rules of a torch layer norm.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {
        rf"{source}\.weight": (f"params/{target}/scale", same),
        rf"{source}\.bias": (f"params/{target}/bias", same),
    }


# What `vidjax.convert.save_variables` and checkpoints of training hold.
VIDJAX = Naming("vidjax", {r"((?:params|batch_stats)/.+)": (r"\1", same)}, ignore=())


def recognise(arrays: Arrays, namings: tuple[Naming, ...]) -> Naming:
    """Finds the naming that explains most names.

    Args:
        arrays: Arrays of any shape by foreign name.
        namings: Those to choose from.

    Returns:
        The naming.

    Raises:
        ValueError: If none explains any name.
    """
    scores = [sum(map(naming.knows, arrays)) for naming in namings]
    if not any(scores):
        known = ", ".join(naming.name for naming in namings)
        raise ValueError(
            f"Weights of unknown naming: {_few(list(arrays))}. Known for this model "
            f"are the namings of {known}."
        )
    return namings[scores.index(max(scores))]


def translate(arrays: Arrays, naming: Naming) -> tuple[Arrays, list[str]]:
    """Gives arrays their paths and layouts.

    Args:
        arrays: Arrays of any shape by foreign name.
        naming: Their naming.

    Returns:
        Arrays by path, and what went wrong, a line each.
    """
    got: Arrays = {}
    problems = []
    arrays = naming.prepare(arrays)
    for name, array in arrays.items():
        if any(re.fullmatch(pattern, name) for pattern in naming.ignore):
            continue
        original = _original(name, naming)
        if original is not None:
            if original not in arrays or not np.array_equal(array, arrays[original]):
                problems.append(f"{name}: {original}, which it repeats, is another")
            continue
        hits = naming.hits(name)
        if len(hits) != 1:
            problems.append(f"{name}: matches {len(hits)} rules of {naming.name}")
            continue
        ((path, transform),) = hits
        if path in got:
            problems.append(f"{name}: {path} has been filled already")
            continue
        try:
            got[path] = transform(array)
        except ValueError as error:
            problems.append(f"{name}: shape {array.shape} is unexpected ({error})")
    return got, problems


def _original(name: str, naming: Naming) -> str | None:
    """The name that an alias stands for, or None."""
    for pattern, template in naming.aliases.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(template)
    return None


def check_fit(got: Mapping[str, np.ndarray], want: Mapping[str, Any]) -> list[str]:
    """Compares arrays with the places of a model.

    Args:
        got: Arrays of any shape by path.
        want: By path, things with the `shape` that the model has there.

    Returns:
        What does not fit, a line each.
    """
    problems = []
    for path, array in got.items():
        if path not in want:
            problems.append(f"{path}: the model has no such place")
        elif array.shape != want[path].shape:
            problems.append(f"{path}: got {array.shape}, expected {want[path].shape}")
    return problems + [
        f"{path}: nothing was converted to it" for path in want if path not in got
    ]


def _few(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
