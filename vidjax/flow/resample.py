"""Images at other sizes and between their pixels, with OpenCV's conventions.

These decide what classical flow computes: a coordinate that is off by a tenth of a
pixel is a flow that is off by as much.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vidjax.flow.warp import Padding


def resize_linear(
    x: Float[Array, "*lead h w"],
    *,
    size: tuple[int, int],
    step: tuple[float, float] | None = None,
    half_pixel: bool = True,
) -> Float[Array, "*lead h2 w2"]:
    """Resizes images by linear interpolation between two pixels, without smoothing.

    Pixel i of the result lies at (i + 0.5) step - 0.5 in the input, or at i step where
    `half_pixel` is off, and no further than the outermost pixels.

    Args:
        x: Images, [..., H, W], floating point.
        size: New height and width.
        step: Input pixels in one of the result's, down and across; None takes the
            ratio of the sizes.
        half_pixel: Whether pixels are squares with their values in the middle, as in
            cv2.resize; off it is cv2.cuda.resize.

    Returns:
        Resized images, float32 [..., H', W'].

    Example:
        >>> resize_linear(jnp.array([[0.0, 1.0, 2.0, 3.0]]), size=(1, 2)).tolist()
        [[0.5, 2.5]]
    """
    height, width = x.shape[-2:]
    step = step or (height / size[0], width / size[1])
    offset = 0.5 if half_pixel else 0.0
    rows = linear_matrix(height, size[0], step=step[0], offset=offset)
    columns = linear_matrix(width, size[1], step=step[1], offset=offset)
    # Small products of matrices with two entries a row: every accelerator is good at
    # them, and gathers are slow on most.
    multiply = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    return multiply(multiply(rows, x), columns.T)


def linear_matrix(
    length: int, new_length: int, *, step: float, offset: float = 0.5
) -> np.ndarray:
    """Returns the matrix that resizes a column of pixels by linear interpolation.

    Args:
        length: Pixels of the column.
        new_length: Pixels of the result.
        step: Input pixels in one of the result's.
        offset: Where in a pixel its value lies: pixel i of the result lies at
            (i + offset) step - offset.

    Returns:
        Two entries in each row, which add up to one, float32 [new_length, length].

    Example:
        >>> linear_matrix(3, 2, step=1.5).tolist()
        [[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]]
    """
    # A constant of the program: in NumPy, in double precision as OpenCV has it.
    place = np.clip((np.arange(new_length) + offset) * step - offset, 0, length - 1)
    low = np.minimum(place.astype(int), max(length - 2, 0))
    share = (place - low).astype(np.float32)
    matrix = np.zeros((new_length, length), np.float32)
    row = np.arange(new_length)
    matrix[row, low] = 1 - share
    matrix[row, np.minimum(low + 1, length - 1)] += share
    return matrix


def cubic_taps(
    x: Float[Array, "b h w"], *, sharpness: float
) -> tuple[Float[Array, "b h w"], Float[Array, "4 b h w"]]:
    """Returns which four pixels a coordinate lies between, and their shares.

    Args:
        x: Coordinates in pixels, [B, H, W].
        sharpness: Slope of the kernel at distance 1: -0.75 in cv2.remap, -0.5 in
            OpenCV's CUDA code and in Keys' paper.

    Returns:
        The first of the four pixels, [B, H, W], and shares that add up to one,
        [4, B, H, W].

    References:
        Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981.
    """
    first = jnp.floor(x) - 1
    t = x - first - 1  # In [0, 1).
    a = sharpness

    def outer(d: Array) -> Array:  # At distance d in [1, 2].
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    def inner(d: Array) -> Array:  # At distance d in [0, 1].
        return ((a + 2) * d - (a + 3)) * d * d + 1

    shares = [outer(t + 1), inner(t), inner(1 - t)]
    return first, jnp.stack([*shares, 1 - sum(shares)])


def warp_cubic(
    x: Float[Array, "b h w c"],
    flow: Float[Array, "b h w 2"],
    *,
    sharpness: float,
    padding: Padding,
) -> Float[Array, "b h w c"]:
    """Reads images at x + flow(x), by bicubic interpolation.

    Args:
        x: Images, [B, H, W, C].
        flow: Displacements (u, v) in pixels, [B, H, W, 2].
        sharpness: As in `cubic_taps`.
        padding: What lies outside the image.

    Returns:
        The images at those places, [B, H, W, C].
    """
    _, height, width, _ = x.shape
    columns = jnp.arange(width, dtype=jnp.float32)
    rows = jnp.arange(height, dtype=jnp.float32)
    left, share_x = cubic_taps(
        flow[..., 0] + columns[None, None, :], sharpness=sharpness
    )
    top, share_y = cubic_taps(flow[..., 1] + rows[None, :, None], sharpness=sharpness)
    column, share_x = _clip_taps(left, share_x, width, padding)
    row, share_y = _clip_taps(top, share_y, height, padding)
    read = jax.vmap(lambda image, place: image[place])
    flat = x.reshape(x.shape[0], height * width, -1)
    out = jnp.zeros_like(x)
    for i in range(4):
        for j in range(4):
            share = (share_y[i] * share_x[j])[..., None]
            out += share * read(flat, row[i] * width + column[j])
    return out


def _clip_taps(
    first: Float[Array, "b h w"],
    shares: Float[Array, "4 b h w"],
    length: int,
    padding: Padding,
) -> tuple[Array, Array]:
    """Four pixels that exist, and their shares: none for those that do not."""
    taps = first[None] + jnp.arange(4, dtype=jnp.float32)[:, None, None, None]
    inside = (taps >= 0) & (taps <= length - 1)
    if padding == "zeros":
        shares = jnp.where(inside, shares, 0.0)
    return jnp.clip(taps, 0, length - 1).astype(jnp.int32), shares
