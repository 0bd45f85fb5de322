"""The fixed table of positions of sines and cosines."""

import array
import functools
import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def sines_and_cosines(length: int, width: int) -> Float[Array, "1 n d"]:
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
    return jnp.asarray(_rows(length, width)).reshape(1, length, width)


@functools.cache
def _rows(length: int, width: int) -> array.array:
    """Rows of sines and cosines, one behind the other."""
    steps = [10000 ** (-2 * (i // 2) / width) for i in range(width)]
    waves = [(math.cos if i % 2 else math.sin, step) for i, step in enumerate(steps)]
    return array.array("f", (f(p * step) for p in range(length) for f, step in waves))
