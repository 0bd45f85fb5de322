"""The points of a pyramid over the steps of a video."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float


def level_steps(steps: int, levels: int) -> tuple[int, ...]:
    """Returns the steps of each level of a pyramid; each halves those before.

    Args:
        steps: Of the first level, T.
        levels: Of the pyramid, L.

    Returns:
        L numbers.

    Example:
        >>> level_steps(32, 3)
        (32, 16, 8)
    """
    return tuple(steps >> level for level in range(levels))


def first_steps(points: int, levels: int) -> int:
    """Returns the steps of the first level of a pyramid, from those of all.

    Args:
        points: Of all levels together, N.
        levels: Of the pyramid, L.

    Returns:
        T, where N = T (2 - 2 / 2^L).

    Example:
        >>> first_steps(32 + 16 + 8, 3)
        32
    """
    return points * 2 ** (levels - 1) // (2**levels - 1)


def make_points(steps: int, ranges: Sequence[tuple[int, int]]) -> Float[Array, "n 4"]:
    """Returns the points of all levels, at which actions are looked for.

    Args:
        steps: Of the first level, T.
        ranges: For each level, the least and the greatest distance to the farther
            boundary of an action that its points are for, both included, in steps.

    Returns:
        [N, 4] float32, N = T + T / 2 + ...: where the point is, its range, and the
        stride of its level, all in steps of the first level.

    Example:
        >>> make_points(4, ((0, 4), (4, 10000)))[3:5].tolist()
        [[3.0, 0.0, 4.0, 1.0], [0.0, 4.0, 10000.0, 2.0]]

    References:
        Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with
        Transformers", ECCV 2022, Sec. 3, https://arxiv.org/abs/2202.07925; there is no
        offset of half a stride, as in libs/modeling/loc_generators.py.
    """
    levels = []
    for level, (count, (low, high)) in enumerate(
        zip(level_steps(steps, len(ranges)), ranges, strict=True)
    ):
        stride = 2**level
        place = jnp.arange(count, dtype=jnp.float32) * stride
        rest = [jnp.full(count, value, jnp.float32) for value in (low, high, stride)]
        levels.append(jnp.stack([place, *rest], axis=-1))
    return jnp.concatenate(levels)
