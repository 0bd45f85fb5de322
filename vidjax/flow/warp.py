"""Backward warp: an image as it was before it moved."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

Padding = Literal["zeros", "edge"]
"""What lies outside an image: zeros, or its outermost pixels for ever."""


def warp(
    image: Float[Array | np.ndarray, "b h w c"],
    flow: Float[Array | np.ndarray, "b h2 w2 2"],
    *,
    padding: Padding = "zeros",
) -> Float[Array, "b h2 w2 c"]:
    """Reads an image at x + flow(x), bilinearly.

    With the flow from a first image to a second, the warped second image looks like
    the first: image0(x) ≈ image1(x + flow(x)).

    Args:
        image: The second image, or anything that lies on its pixels, [B, H, W, C],
            floating point.
        flow: Displacements (u, v) in pixels, u to the right and v down,
            [B, H', W', 2]; H' and W' are those of `image`, or fewer.
        padding: What lies outside the image. With "zeros" a pixel next to the edge
            fades to zero over one pixel, as in torch's `grid_sample` with
            `align_corners=True`.

    Returns:
        The image at those places, [B, H', W', C], in the dtype of `image`.

    Raises:
        ValueError: If the batches differ, or `padding` is unknown.

    Example:
        >>> image = jnp.array([[[[1.0], [2.0], [4.0]]]])  # One row: 1, 2, 4.
        >>> flow = jnp.full((1, 1, 3, 2), jnp.array([0.5, 0.0]))
        >>> warp(image, flow).ravel().tolist()
        [1.5, 3.0, 2.0]

    References:
        The convention is that of Middlebury's and Sintel's files of flow.
    """
    if padding not in ("zeros", "edge"):
        raise ValueError(f'padding must be "zeros" or "edge", got {padding!r}.')
    if image.shape[0] != flow.shape[0]:
        raise ValueError(
            f"Expected as many images as flows, got shapes {image.shape}, read as "
            f"[B, H, W, C], and {flow.shape}, read as [B, H, W, 2]."
        )
    return jax.vmap(lambda one, move: _warp_one(one, move, padding))(
        jnp.asarray(image), jnp.asarray(flow)
    )


def leaves_image(
    flow: Float[Array, "b h w 2"],
) -> Bool[Array, "b h w"]:
    """Tells which pixels move out of the image.

    Args:
        flow: Displacements (u, v) in pixels, [B, H, W, 2].

    Returns:
        Whether x + flow(x) lies outside the centres of the outermost pixels,
        [B, H, W].

    Example:
        >>> leaves_image(jnp.array([[[[0.0, 0.0], [0.5, 0.0]]]])).tolist()
        [[[False, True]]]
    """
    height, width = flow.shape[1:3]
    rows, columns = jnp.arange(height), jnp.arange(width)
    x = flow[..., 0] + columns[None, None, :]
    y = flow[..., 1] + rows[None, :, None]
    return (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)


def _warp_one(
    image: Float[Array, "h w c"], flow: Float[Array, "h2 w2 2"], padding: Padding
) -> Float[Array, "h2 w2 c"]:
    """One image of `warp`."""
    rows, columns = jnp.arange(flow.shape[0]), jnp.arange(flow.shape[1])
    x = flow[..., 0].astype(jnp.float32) + columns[None, :]
    y = flow[..., 1].astype(jnp.float32) + rows[:, None]
    left, top = jnp.floor(x), jnp.floor(y)
    right, down = x - left, y - top  # Shares of the right column and the lower row.
    out = 0.0
    for dy, share_y in ((0, 1 - down), (1, down)):
        for dx, share_x in ((0, 1 - right), (1, right)):
            corner = _read(image, left + dx, top + dy, padding)
            out += (share_x * share_y)[..., None] * corner
    return jnp.asarray(out).astype(image.dtype)


def _read(
    image: Float[Array, "h w c"],
    x: Float[Array, "h2 w2"],
    y: Float[Array, "h2 w2"],
    padding: Padding,
) -> Float[Array, "h2 w2 c"]:
    """Reads pixels at whole coordinates, which may lie outside."""
    height, width, _ = image.shape
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    column = jnp.clip(x, 0, width - 1).astype(jnp.int32)
    row = jnp.clip(y, 0, height - 1).astype(jnp.int32)
    pixels = image[row, column]
    return pixels if padding == "edge" else jnp.where(inside[..., None], pixels, 0)
