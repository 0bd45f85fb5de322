"""Models of vidjax as modules of Flax NNX."""

from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx, traverse_util
from flax.nnx import bridge

_COLLECTIONS = {nnx.Param: "params", nnx.BatchStat: "batch_stats"}


def to_nnx(model: nn.Module, variables: Mapping[str, Any], sample: Any) -> nnx.Module:
    """Wraps a model and its variables as one stateful module.

    Calls take the arguments of the model: `module(clip)`; in training
    `module(clip, train=True, rngs=nnx.Rngs(dropout=0), mutable=["batch_stats"])`, which
    also stores the new batch statistics in the module. Parameters are `nnx.Param`,
    batch statistics `nnx.BatchStat`, by the names that they have in `variables`.

    Args:
        model: A Linen module of vidjax.
        variables: {"params": ..., "batch_stats": ...}: nested dicts of arrays.
        sample: A clip that the model takes, [B, T, H, W, C], floating point; only its
            shape and dtype matter.

    Returns:
        An NNX module that gives the same logits and endpoints, for `nnx.jit`,
        `nnx.grad`, `nnx.Optimizer` and as a part of other NNX modules.

    Raises:
        ValueError: If the variables are not those of the model: all that is wrong, in
            one message.

    Example:
        >>> import vidjax
        >>> model = vidjax.create_model("tsm_resnet_tiny")
        >>> clip = jnp.ones((1, 8, 32, 32, 3))
        >>> module = to_nnx(model, model.init(jax.random.key(0), clip), clip)
        >>> module(clip)[0].shape
        (1, 10)
    """
    arrays = traverse_util.flatten_dict(dict(variables))
    _check_fit(arrays, jax.eval_shape(model.init, jax.random.key(0), sample))

    def wrap() -> bridge.ToNNX:
        return bridge.ToNNX(model, rngs=nnx.Rngs(0))

    # Abstractly: nothing is initialised only to be replaced.
    shell = nnx.eval_shape(lambda: wrap().lazy_init(sample))
    structure, abstract = nnx.split(shell)
    state = dict(nnx.to_flat_state(nnx.state(wrap())))  # Its random keys.
    for path, place in nnx.to_flat_state(abstract):
        if path not in state:
            collection = _COLLECTIONS[type(place)]
            state[path] = place.replace(jnp.asarray(arrays[(collection, *path)]))
    return cast(nnx.Module, nnx.merge(structure, nnx.from_flat_state(state)))


def _check_fit(arrays: Mapping[tuple[str, ...], Any], want: Any) -> None:
    places: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(want))
    problems = [
        f"{'/'.join(path)}: expected {_shape(places, path)}, got {_shape(arrays, path)}"
        for path in sorted({*places, *arrays})
        if _shape(places, path) != _shape(arrays, path)
    ]
    if problems:
        raise ValueError(
            "The variables are not those of the model:\n  " + "\n  ".join(problems)
        )


def _shape(arrays: Mapping[tuple[str, ...], Any], path: tuple[str, ...]) -> Any:
    return tuple(arrays[path].shape) if path in arrays else "nothing"
