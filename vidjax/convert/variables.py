"""Variables by path, and the places that a model has for them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from vidjax.convert.rules import Arrays
from vidjax.typing import Head as Head

Variables = dict[str, Any]
"""{"params": ..., "batch_stats": ...}: nested dicts of arrays."""

Places = dict[str, jax.ShapeDtypeStruct]
"""Shape and dtype by path."""

HEAD = "params/logits/"
"""What the paths of a classifier begin with, in every model of one stream."""

_KERNEL = re.compile(r"(params/(?:(?:rgb|flow)/)?logits/)kernel")


def classifiers(paths: Iterable[str]) -> tuple[str, ...]:
    """Returns what the paths of classifiers begin with, of which streams have one each.

    Args:
        paths: Paths of variables.

    Example:
        >>> classifiers(["params/rgb/logits/kernel", "params/rgb/logits/bias"])
        ('params/rgb/logits/',)
    """
    found = (_KERNEL.fullmatch(path) for path in paths)
    return tuple(sorted({match[1] for match in found if match}))


def count_classes(arrays: Mapping[str, Any]) -> int:
    """Returns the classes of the classifier, 0 if there is none.

    Args:
        arrays: Arrays of any shape by path.
    """
    heads = classifiers(arrays)
    return arrays[f"{heads[0]}kernel"].shape[-1] if heads else 0


def check_head(head: str) -> None:
    """Checks the name of what becomes of the classifier.

    Args:
        head: See `Head`.

    Raises:
        ValueError: If it is unknown.
    """
    if head not in ("keep", "reset", "match"):
        raise ValueError(f'head must be "keep", "reset" or "match", got {head!r}.')


def flatten(variables: Mapping[str, Any]) -> Arrays:
    """Returns the arrays of variables by path.

    Args:
        variables: Nested dicts of arrays.

    Returns:
        NumPy arrays of any shape by path, such as "params/logits/kernel".
    """
    flat = traverse_util.flatten_dict(variables, sep="/")
    return {path: np.asarray(array) for path, array in flat.items()}


def unflatten(arrays: Arrays) -> Variables:
    """Returns variables whose arrays were given by path.

    Args:
        arrays: Arrays of any shape by path.

    Returns:
        Nested dicts of them.
    """
    return traverse_util.unflatten_dict(arrays, sep="/")


def abstract_variables(model: nn.Module, clip_shape: tuple[int, ...]) -> Places:
    """Returns the places of a model; nothing is allocated or computed.

    Args:
        model: A model.
        clip_shape: Shape (T, H, W, C) of its clips.

    Returns:
        Shape and dtype by path.
    """
    clip = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    return cast(Places, traverse_util.flatten_dict(variables, sep="/"))


def fresh_variables(
    model: nn.Module,
    clip_shape: tuple[int, ...],
    prefix: str | tuple[str, ...],
) -> Arrays:
    """Initialises some places of a model, always alike.

    Args:
        model: A model.
        clip_shape: Shape (T, H, W, C) of its clips.
        prefix: What their paths begin with, or several such beginnings.

    Returns:
        Arrays of any shape by path.
    """

    @jax.jit  # Which leaves out whatever these places do not need.
    def init() -> dict[str, Any]:
        clip = jnp.zeros((1, *clip_shape))
        flat = traverse_util.flatten_dict(model.init(jax.random.key(0), clip), sep="/")
        return {path: array for path, array in flat.items() if path.startswith(prefix)}

    return {path: np.asarray(array) for path, array in init().items()}
