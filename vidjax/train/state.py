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
        average: Moving average of the parameters, or {} where there is none.
        running: What the losses keep from step to step, float32 [] by name.
    """

    step: Any
    params: Any
    model_state: Any
    opt_state: Any
    average: Any = flax.struct.field(default_factory=dict)
    running: Any = flax.struct.field(default_factory=dict)

    @property
    def tested(self) -> dict[str, Any]:
        """What is tested: the variables, with the moving average where there is one."""
        return {**self.variables, "params": self.average or self.params}

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes: {"params": ..., "batch_stats": ...}."""
        return {"params": self.params, **self.model_state}


def make_init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    *,
    clip_shape: tuple[int, ...],
    average: bool = False,
    running: Mapping[str, float] | None = None,
) -> Callable[[jax.Array], TrainState]:
    """Returns a function from a key to a fresh state.

    Args:
        model: A Linen module that takes a clip and returns (logits, endpoints).
        optimizer: Gives the state of the optimizer its form.
        clip_shape: Shape (T, H, W, C) of one clip, or (T, C) of features.
        average: As for `start_state`.
        running: As for `start_state`.

    Returns:
        `init(key)`: pure, to be jitted with the shardings of its result.
    """

    def init(key: jax.Array) -> TrainState:
        clip = jnp.zeros((1, *clip_shape), jnp.float32)
        variables = model.init(key, clip)
        return start_state(variables, optimizer, average=average, running=running)

    return init


def start_state(
    variables: Variables,
    optimizer: optax.GradientTransformation,
    *,
    average: bool = False,
    running: Mapping[str, float] | None = None,
) -> TrainState:
    """Returns the state before the first update.

    Args:
        variables: {"params": ..., and the other collections of the model}.
        optimizer: Gives the state of the optimizer its form.
        average: Whether there is a moving average of the parameters; it starts as they.
        running: With what starts what the losses keep, by name.

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
        average=jax.tree.map(jnp.copy, params) if average else {},
        running={k: jnp.asarray(v, jnp.float32) for k, v in (running or {}).items()},
    )
