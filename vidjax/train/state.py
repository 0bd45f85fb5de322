"""The train state: everything that an update reads and writes."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

Variables = Mapping[str, Any]


class TrainState(flax.struct.PyTreeNode):
    """Everything that an update reads and writes, as one tree of arrays.

    The same tree also holds what is said of each array: its shape, or its sharding.

    Attributes:
        step: Updates done, int32 [].
        params: Parameters, nested dicts of float32 arrays.
        model_state: The other collections of the model, such as {"batch_stats": ...}.
        opt_state: State of the optimizer.
    """

    step: Any
    params: Any
    model_state: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes: {"params": ..., "batch_stats": ...}."""
        return {"params": self.params, **self.model_state}


def make_init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    clip_shape: tuple[int, ...],
) -> Callable[[jax.Array], TrainState]:
    """Returns a function from a key to a fresh state.

    Args:
        model: A Linen module that takes a clip and returns (logits, endpoints).
        optimizer: Gives the state of the optimizer its form.
        clip_shape: Shape (T, H, W, C) of one clip.

    Returns:
        `init(key)`: pure, to be jitted with the shardings of its result.
    """

    def init(key: jax.Array) -> TrainState:
        clip = jnp.zeros((1, *clip_shape), jnp.float32)
        return start_state(model.init(key, clip), optimizer)

    return init


def start_state(
    variables: Variables, optimizer: optax.GradientTransformation
) -> TrainState:
    """Returns the state before the first update.

    Args:
        variables: {"params": ..., and the other collections of the model}.
        optimizer: Gives the state of the optimizer its form.

    Returns:
        A state at step 0. Arrays of `variables` are copied, so that the state can be
        donated to the first update without harm to who gave them.
    """
    copies = jax.tree.map(jnp.copy, dict(variables))
    params = copies.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=copies,
        opt_state=optimizer.init(params),
    )
