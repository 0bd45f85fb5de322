"""The one maximum pool and the one average pool."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pads = tuple[tuple[int, int], ...]


def max_pool(
    x: Float[Array, "*batch_and_space c"],
    window: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    padding: str | Pads = "VALID",
) -> Float[Array, "..."]:
    """Takes maxima over windows; padding never wins.

    Args:
        x: [..., H, W, C] or [..., T, H, W, C], by the length of `window`.
        window: Extent along each axis.
        strides: Step along each axis; None takes `window`.
        padding: "VALID", "SAME" (TensorFlow's), or pairs (before, after), one for each
            axis of the window.

    Returns:
        The same axes, with fewer positions; dtype kept.

    Example:
        >>> max_pool(jnp.array([[[1.0], [3.0], [2.0]]]), (2,), (1,)).tolist()
        [[[3.0], [3.0]]]
    """
    return _reduce(x, -jnp.inf, jax.lax.max, window, strides, padding)


def avg_pool(
    x: Float[Array, "*batch_and_space c"],
    window: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
) -> Float[Array, "..."]:
    """Takes means over windows that lie wholly inside.

    Args:
        x: [..., H, W, C] or [..., T, H, W, C], by the length of `window`.
        window: Extent along each axis.
        strides: Step along each axis; None takes `window`.

    Returns:
        The same axes, with fewer positions; float32.

    Raises:
        ValueError: If the window is larger than the array.

    Example:
        >>> avg_pool(jnp.array([[[1.0], [3.0], [2.0]]]), (2,), (1,)).tolist()
        [[[2.0], [2.5]]]
    """
    space = x.shape[-len(window) - 1 : -1]
    if any(k > size for k, size in zip(window, space, strict=True)):
        raise ValueError(
            f"An average over {window} does not fit into {space}, the axes before the "
            f"last of shape {x.shape}."
        )
    x = x.astype(jnp.float32)
    count = 1
    for extent in window:
        count *= extent
    return _reduce(x, 0.0, jax.lax.add, window, strides, "VALID") / count


def _reduce(x, init, operation, window, strides, padding) -> Array:
    lead = x.ndim - len(window) - 1
    full = (1,) * lead + tuple(window) + (1,)
    steps = (1,) * lead + tuple(window if strides is None else strides) + (1,)
    if not isinstance(padding, str):
        padding = ((0, 0),) * lead + tuple(padding) + ((0, 0),)
    return jax.lax.reduce_window(x, init, operation, full, steps, padding)
