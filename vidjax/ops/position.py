"""Tables of positions, for other frame counts and sizes than their own."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def resize_linear(
    table: Float[Array, "1 n d"],
    grid: tuple[int, ...],
    new_grid: tuple[int, ...],
    *,
    extra: int = 0,
) -> Float[Array, "1 m d"]:
    """Interpolates a table between its places, whose corners stay where they are.

    Along an axis from n to m places, place i takes what stands at i (n - 1) / (m - 1).

    Args:
        table: [1, extra + N, D]; a row for each of the N places of a grid, in C order,
            behind `extra` rows of tokens that have no place, which are kept.
        grid: Extents of the grid, such as (T', H', W'); their product is N.
        new_grid: The extents wanted.
        extra: Number of rows in front.

    Returns:
        [1, extra + M, D] in the dtype of the table; M is the product of `new_grid`.

    Raises:
        ValueError: If the table has not the rows of `grid`.

    Example:
        >>> table = jnp.array([[[9.0], [0.0], [2.0]]])
        >>> resize_linear(table, (2,), (3,), extra=1)[0, :, 0].tolist()
        [9.0, 0.0, 1.0, 2.0]

    References:
        Scenic's interpolation of ViViT's positions, scipy.ndimage.zoom of order 1
        (scenic/projects/vivit/model_utils.py).
    """
    _check_rows(table, grid, extra)
    width = table.shape[2]
    if grid == new_grid:
        return table
    places = table[0, extra:].reshape(*grid, width)
    for axis, (size, new_size) in enumerate(zip(grid, new_grid, strict=True)):
        if size != new_size:
            weights = _weights(size, new_size).astype(table.dtype)
            moved = jnp.tensordot(weights, places, axes=((1,), (axis,)))
            places = jnp.moveaxis(moved, 0, axis)
    places = places.reshape(1, -1, width)
    return jnp.concatenate([table[:, :extra], places], axis=1)


def resize_nearest(
    table: Float[Array, "1 n d"],
    grid: tuple[int, ...],
    new_grid: tuple[int, ...],
    *,
    extra: int = 0,
) -> Float[Array, "1 m d"]:
    """Takes the nearest place of a table, as PyTorch's `interpolate` does by default.

    Along an axis from n to m places, place i takes what stands at floor(i n / m).

    Args:
        table: [1, extra + N, D]; as in `resize_linear`.
        grid: Extents of the grid; their product is N.
        new_grid: The extents wanted.
        extra: Number of rows in front, which are kept.

    Returns:
        [1, extra + M, D] in the dtype of the table; M is the product of `new_grid`.

    Raises:
        ValueError: If the table has not the rows of `grid`.

    Example:
        >>> table = jnp.array([[[9.0], [0.0], [2.0]]])
        >>> resize_nearest(table, (2,), (3,), extra=1)[0, :, 0].tolist()
        [9.0, 0.0, 0.0, 2.0]
    """
    _check_rows(table, grid, extra)
    if grid == new_grid:
        return table
    places = table[0, extra:].reshape(*grid, -1)
    for axis, (size, new_size) in enumerate(zip(grid, new_grid, strict=True)):
        # In float32, as PyTorch counts.
        step = np.arange(new_size, dtype=np.float32) * np.float32(size / new_size)
        nearest = np.minimum(step.astype(int), size - 1)
        places = jnp.take(places, nearest, axis=axis)
    places = places.reshape(1, -1, table.shape[2])
    return jnp.concatenate([table[:, :extra], places], axis=1)


def stored_grid(
    places: int, grid: tuple[int, int, int], usual: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Tells for which grid of tubelets a table of positions was made.

    Args:
        places: Its number of places.
        grid: The grid (T', H', W') that is wanted; T' is 1 for the places of one frame,
            H' and W' for those of time alone.
        usual: The grid of the card's clip.

    Returns:
        (T', H', W'): `grid` if it has so many places, `usual` if that has; a square for
        one frame, any length for time.

    Raises:
        ValueError: If it cannot be told.
    """
    side = math.isqrt(places)
    if math.prod(grid) == places:
        return grid
    if math.prod(grid[1:]) == 1:
        return (places, 1, 1)
    if grid[0] == 1 and side * side == places:
        return (1, side, side)
    if math.prod(usual) == places:
        return usual
    raise ValueError(
        f"Expected a clip of as many tubelets as the table of positions has places, "
        f"{places}, got {grid} in a clip read as [B, T, H, W, C]. Its own grid, from "
        "which it could be resized, is not known."
    )


def fit_table(
    table: Array,
    grid: tuple[int, int, int],
    usual: tuple[int, int, int],
    extra: int,
) -> Array:
    """Resizes a table of positions to a grid; see `stored_grid`.

    Args:
        table: [1, extra + N, D].
        grid: The grid (T', H', W') that is wanted.
        usual: The grid of the card's clip.
        extra: Rows in front that have no place.

    Returns:
        [1, extra + T' * H' * W', D].
    """
    stored = stored_grid(table.shape[1] - extra, grid, usual)
    return resize_linear(table, stored, grid, extra=extra)


def sines_and_cosines(length: int, width: int) -> np.ndarray:
    """Returns the fixed table of positions.

    Column 2i of row p is sin(p / 10000^(2i / width)), column 2i + 1 its cosine.

    Args:
        length: Number of positions N.
        width: Of a token, D.

    Returns:
        [1, N, D], float32, computed in float64.

    References:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017,
        https://arxiv.org/abs/1706.03762, Sec. 3.5.

    Example:
        >>> sines_and_cosines(2, 4)[0, 0].tolist()
        [0.0, 1.0, 0.0, 1.0]
    """
    column = np.arange(width)
    angle = np.arange(length)[:, None] / 10000 ** (2 * (column // 2) / width)
    table = np.where(column % 2, np.cos(angle), np.sin(angle))
    return table[None].astype(np.float32)


def _check_rows(table: Array, grid: tuple[int, ...], extra: int) -> None:
    if table.shape[1] != math.prod(grid) + extra:
        raise ValueError(
            f"A table of positions {grid} with {extra} more has "
            f"{math.prod(grid) + extra} rows, got {table.shape[1]}."
        )


def _weights(size: int, new_size: int) -> np.ndarray:
    """Share of each of `size` places in each of `new_size`, [new_size, size]."""
    position = np.linspace(0.0, size - 1.0, new_size)
    distance = np.abs(position[:, None] - np.arange(size)[None, :])
    return np.maximum(1.0 - distance, 0.0)
