"""Median filters as networks of minima and maxima.

Sorting is slow on every accelerator and slower still on a CPU; a network of exchanges
is a chain of elementwise operations that fuses into one pass over the image.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

# First every column of the window is sorted, once for all windows that share it. Then
# exchanges (i, j) put the smaller of two values into i and the larger into j, where
# value `size * rank + column` is a column's. A network was built from sorted rows and
# Batcher's odd-even merge sort (1968) over what can still be the median, and exchanges
# were taken out for as long as it stayed right for all (size + 1)^size patterns of
# zeros and ones in sorted columns, which by the zero-one principle (Knuth, "The Art of
# Computer Programming", volume 3, section 5.3.4) proves it right for all numbers.
_COLUMN = {
    3: ((0, 1), (1, 2), (0, 1)),
    5: ((0, 3), (1, 4), (0, 2), (1, 3), (0, 1), (2, 4), (1, 2), (3, 4), (2, 3)),
}
_MERGE = {
    # Largest of the smallest, median of the middle, smallest of the largest; then the
    # median of these three.
    3: (
        *((0, 1), (1, 2), (3, 4), (4, 5), (3, 4), (6, 7), (6, 8)),
        *((2, 4), (4, 6), (2, 4)),
    ),
    5: (
        *((0, 3), (1, 3), (0, 1), (1, 2), (3, 4), (2, 3), (5, 8), (6, 9), (6, 8)),
        *((5, 6), (7, 9), (6, 7), (8, 9), (7, 8), (10, 13), (11, 14), (10, 12)),
        *((10, 11), (12, 14), (13, 14), (15, 18), (16, 19), (15, 17), (15, 16)),
        *((17, 19), (16, 17), (17, 18), (20, 23), (21, 24), (21, 23), (20, 21)),
        *((22, 24), (21, 22), (3, 4), (9, 11), (12, 13), (17, 20), (3, 7), (4, 8)),
        *((9, 12), (11, 13), (16, 20), (4, 7), (11, 12), (4, 11), (7, 9), (8, 11)),
        *((17, 21), (8, 9), (11, 12), (16, 17), (20, 21), (4, 16), (8, 20), (9, 15)),
        *((11, 16), (12, 17), (8, 11), (12, 15), (11, 12)),
    ),
}
SIZES = tuple(_MERGE)


def median_filter(
    x: Float[Array, "*lead h w"], *, size: int = 5
) -> Float[Array, "*lead h w"]:
    """Replaces each pixel by the median of the square window around it.

    Args:
        x: Images, [..., H, W]; any floating dtype, kept.
        size: Side of the window in pixels, 3 or 5.

    Returns:
        Medians, [..., H, W]; beyond the border the outermost pixels repeat.

    Raises:
        ValueError: If `size` is neither 3 nor 5.

    Example:
        >>> x = jnp.zeros((4, 4)).at[1, 1].set(9.0)
        >>> float(median_filter(x, size=3).max())
        0.0
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {SIZES}, got {size}.")
    height, width = x.shape[-2:]
    reach = size // 2
    edges = [(0, 0)] * (x.ndim - 2) + [(reach, reach)] * 2
    padded = jnp.pad(x, edges, mode="edge")
    column = [padded[..., i : i + height, :] for i in range(size)]
    _exchange(column, _COLUMN[size])
    window = [part[..., i : i + width] for part in column for i in range(size)]
    _exchange(window, _MERGE[size])
    return window[size * size // 2]


def _exchange(values: list[Array], network: tuple[tuple[int, int], ...]) -> None:
    """Runs a network in place."""
    for i, j in network:
        low, high = values[i], values[j]
        values[i], values[j] = jnp.minimum(low, high), jnp.maximum(low, high)
