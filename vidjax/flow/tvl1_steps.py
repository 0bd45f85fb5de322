"""The iterations of TV-L1 between two warps of the second image.

Parts of vectors are arrays of their own: XLA makes loops over them that are several
times faster than those over one array with an axis of two.

Reference:
    Zach, Pock and Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow",
    DAGM 2007, whose equations are cited below.
"""

import functools
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vidjax.flow.differences import divergence, forward_differences
from vidjax.flow.median import median_filter
from vidjax.flow.warp import Padding

_FLAT = 1.1920929e-07  # FLT_EPSILON: squared gradients below it count as none.
_NO_LENGTH = 1e-30  # Keeps the gradient of a length of zero finite.


class Field(NamedTuple):
    """A vector at each pixel.

    Attributes:
        x: To the right, [B, H, W].
        y: Down, [B, H, W].
    """

    x: Float[Array, "*b h w"]
    y: Float[Array, "*b h w"]


Tree = TypeVar("Tree", Field, tuple[Field, Field])


class Recipe(NamedTuple):
    """What tells the two variants of OpenCV apart.

    Attributes:
        median: Side of the median window, or 0 for none.
        sharpness: Of the bicubic kernel.
        padding: What lies outside the second image.
        half_pixel: Where the pixels of other scales lie.
        sparse_check: Whether progress is looked at now and then, or in every iteration.
    """

    median: int
    sharpness: float
    padding: Padding
    half_pixel: bool
    sparse_check: bool


class Settings(NamedTuple):
    """All that is fixed while a program is compiled; see `tvl1`."""

    recipe: Recipe
    tau: float
    lambda_: float
    theta: float
    num_warps: int
    inner_iterations: int
    outer_iterations: int
    epsilon: float | None


class State(NamedTuple):
    """What an iteration changes.

    Attributes:
        flow: Displacements.
        dual: Dual variables of u and of v.
        running: Which pairs are not finished, [B].
        slack: What the sparse check counts down, in units of the tolerance, [B].
        step: Iterations done since the last warp.
    """

    flow: Field
    dual: tuple[Field, Field]
    running: Bool[Array, " b"]
    slack: Float[Array, " b"]
    step: Array


class Brightness(NamedTuple):
    """How the difference of brightness depends on the flow, to first order.

    Attributes:
        constant: The difference where the flow is zero, [B, H, W].
        slope: Gradient of the warped second image.
        inverse: One over its squared length, or a large number, [B, H, W].
    """

    constant: Float[Array, "b h w"]
    slope: Field
    inverse: Float[Array, "b h w"]


def linearise(constant: Float[Array, "b h w"], slope: Field) -> Brightness:
    """Prepares the difference of brightness for the iterations.

    Args:
        constant: The difference where the flow is zero, [B, H, W].
        slope: Gradient of the warped second image.

    Returns:
        All that an iteration needs of the images.
    """
    squared = slope.x * slope.x + slope.y * slope.y
    return Brightness(constant, slope, 1 / jnp.maximum(squared, _FLAT))


def start(flow: Field) -> State:
    """Returns the state before the first warp of a scale.

    Args:
        flow: Displacements to start from.

    Returns:
        The state, with dual variables of zero.
    """
    still = Field(jnp.zeros_like(flow.x), jnp.zeros_like(flow.y))
    pairs = len(flow.x)
    running, slack = jnp.ones(pairs, bool), jnp.zeros(pairs)
    return State(flow, (still, still), running, slack, jnp.zeros((), jnp.int32))


def iterate(state: State, brightness: Brightness, settings: Settings) -> State:
    """Minimises the linearised energy.

    Args:
        state: Flow and dual variables so far; those of the last warp are kept.
        brightness: From `linearise`.
        settings: How long, and with which weights.

    Returns:
        The state after the last iteration.
    """
    fresh = start(state.flow)
    state = fresh._replace(dual=state.dual)
    smooth = functools.partial(_smooth, size=settings.recipe.median)
    update = functools.partial(_update, brightness, settings)
    inner, outer = settings.inner_iterations, settings.outer_iterations
    if settings.epsilon is None:

        def fixed_round(_: Array, state: State) -> State:
            return jax.lax.fori_loop(0, inner, lambda _, s: update(s), smooth(state))

        return jax.lax.fori_loop(0, outer, fixed_round, state)

    def unfinished(state: State, limit: Array | int) -> Array:
        return (state.step < limit) & jnp.any(state.running)

    def round_(state: State) -> State:
        limit = state.step + inner
        return jax.lax.while_loop(lambda s: unfinished(s, limit), update, smooth(state))

    return jax.lax.while_loop(lambda s: unfinished(s, inner * outer), round_, state)


def _smooth(state: State, size: int) -> State:
    """Filters the flow by medians."""
    if not size:
        return state
    smoothed = Field(*(median_filter(part, size=size) for part in state.flow))
    return state._replace(flow=_choose(state.running, smoothed, state.flow))


def _update(brightness: Brightness, settings: Settings, state: State) -> State:
    """One iteration: brightness, smoothness, and the dual variables."""
    flow, slope = state.flow, brightness.slope
    residual = brightness.constant + slope.x * flow.x + slope.y * flow.y
    reach = settings.lambda_ * settings.theta
    # Eq. 12: along the gradient to where the brightness fits, and no further than
    # `reach` times the gradient.
    stride = jnp.clip(-residual * brightness.inverse, -reach, reach)
    moved = Field(
        flow.x + stride * slope.x + settings.theta * divergence(*state.dual[0]),
        flow.y + stride * slope.y + settings.theta * divergence(*state.dual[1]),
    )
    rate = settings.tau / settings.theta
    dual = (
        _update_dual(state.dual[0], moved.x, rate),
        _update_dual(state.dual[1], moved.y, rate),
    )
    if settings.epsilon is None:
        return state._replace(flow=moved, dual=dual)
    squared = (moved.x - flow.x) ** 2 + (moved.y - flow.y) ** 2
    tolerance = settings.epsilon**2 * squared.shape[1] * squared.shape[2]
    change = jnp.sum(squared, axis=(1, 2)) / tolerance
    running, slack = _look(state, change, settings.recipe.sparse_check)
    return State(
        flow=_choose(state.running, moved, flow),
        dual=_choose(state.running, dual, state.dual),
        running=running,
        slack=slack,
        step=state.step + 1,
    )


def _update_dual(dual: Field, part: Float[Array, "b h w"], rate: float) -> Field:
    """Eq. 14; its division keeps dual variables in the unit disc."""
    across, down = forward_differences(part)
    length = jnp.sqrt(across * across + down * down + _NO_LENGTH)
    shrink = 1 / (1 + rate * length)
    return Field((dual.x + rate * across) * shrink, (dual.y + rate * down) * shrink)


def _look(
    state: State, change: Float[Array, " b"], sparse: bool
) -> tuple[Bool[Array, " b"], Float[Array, " b"]]:
    """Which pairs go on; `change` is in units of the tolerance.

    The CUDA code looks in odd iterations only, and after a large change it waits for as
    many iterations as the change was times the tolerance.
    """
    if not sparse:
        return state.running & (change > 1), state.slack
    looks = (state.step % 2 == 1) & (state.slack < 1)
    slack = jnp.where(looks, change, state.slack - 1)
    return state.running & ~(looks & (change <= 1)), slack


def _choose(running: Bool[Array, " b"], new: Tree, old: Tree) -> Tree:
    """Takes what is new for the pairs that are not finished."""
    if len(running) == 1:  # The loop ends with it.
        return new
    mask = running[:, None, None]
    return jax.tree.map(lambda a, b: jnp.where(mask, a, b), new, old)
