"""Windows of a map of space and time, which may shift.

Reference:
    Liu et al., "Video Swin Transformer", CVPR 2022, https://arxiv.org/abs/2106.13230,
    Sec. 3.2; details are those of mmaction/models/backbones/swin_transformer.py of
    SwinTransformer/Video-Swin-Transformer.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Num

Extent = tuple[int, ...]
"""Frames, rows and columns of a map."""


def window_and_shift(
    size: Extent, window: Extent, *, shifted: bool
) -> tuple[Extent, Extent]:
    """Fits windows to a map.

    Args:
        size: Extent of the map, in tokens.
        window: Extent of the windows of the network.
        shifted: Whether they are shifted.

    Returns:
        Extent of the windows, not beyond that of the map, and how far they shift: half
        a window, and not at all along axes of one window.

    Example:
        >>> window_and_shift((4, 14, 14), (8, 7, 7), shifted=True)
        ((4, 7, 7), (0, 3, 3))
    """
    pairs = list(zip(size, window, strict=True))
    fitted = tuple(min(pair) for pair in pairs)
    shift = tuple(w // 2 if shifted and n > w else 0 for n, w in pairs)
    return fitted, shift


def relative_position_index(window: Extent) -> np.ndarray:
    """Numbers the distances between the tokens of a window.

    Args:
        window: Extent (t, h, w).

    Returns:
        [N, N] of N = t * h * w tokens, int: the row of the table of biases for a query
        (first axis) and a key; tables go through time, rows and columns, from the
        farthest key after a query to the farthest before it.

    Example:
        >>> relative_position_index((1, 1, 3)).tolist()
        [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
    """
    places = np.stack(np.unravel_index(np.arange(math.prod(window)), window))
    apart = places[:, :, None] - places[:, None, :]
    reach = np.array(window)
    steps = apart + (reach - 1)[:, None, None]
    return np.asarray(np.ravel_multi_index(tuple(steps), tuple(2 * reach - 1)))


def neighbours(size: Extent, window: Extent, shift: Extent) -> Bool[Array, "g 1 n n"]:
    """Tells which tokens of the windows of a rolled map were neighbours before it.

    Along a shifted axis the last window holds the end of the map and then its
    beginning, which do not see each other.

    Args:
        size: Extent of the map, a multiple of that of the windows.
        window: Extent of the windows.
        shift: How far the map was rolled.

    Returns:
        [G, 1, N, N] of G windows of N tokens, bool: a mask for attention.
    """
    region = np.zeros(size, np.int32)
    for axis, (n, s) in enumerate(zip(size, shift, strict=True)):
        wrapped = (np.arange(n) >= n - s).astype(np.int32)
        shape = [-1 if i == axis else 1 for i in range(3)]
        region = 2 * region + wrapped.reshape(shape)
    regions = jnp.asarray(cut(region[None, ..., None], window)[..., 0])
    return (regions[:, :, None] == regions[:, None, :])[:, None]


def fill(x: Num[Array, "b t h w d"], steps: Extent) -> Num[Array, "b t2 h2 w2 d"]:
    """Adds zeros to the end of a map, up to multiples of an extent.

    Args:
        x: [B, T, H, W, D].
        steps: (t, h, w).

    Returns:
        [B, T', H', W', D].
    """
    more = [-n % step for n, step in zip(x.shape[1:4], steps, strict=True)]
    return jnp.pad(x, ((0, 0), *((0, n) for n in more), (0, 0))) if any(more) else x


def cut(x: Any, window: Extent) -> Any:
    """Cuts a map into windows.

    Args:
        x: [B, T, H, W, D], of JAX or NumPy; its extent is a multiple of the window's.
        window: Extent (t, h, w).

    Returns:
        [B * windows, t * h * w, D].
    """
    t, h, w = window
    b, frames, rows, columns, d = x.shape
    x = x.reshape(b, frames // t, t, rows // h, h, columns // w, w, d)
    return x.transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, t * h * w, d)


def join(
    windows: Num[Array, "g n d"], size: Extent, window: Extent
) -> Num[Array, "b t h w d"]:
    """Undoes `cut`.

    Args:
        windows: [B * windows, t * h * w, D].
        size: Extent (T, H, W) of the map.
        window: Extent (t, h, w) of the windows.

    Returns:
        [B, T, H, W, D].
    """
    grid = [n // step for n, step in zip(size, window, strict=True)]
    x = windows.reshape(-1, *grid, *window, windows.shape[-1])
    x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(-1, *size, windows.shape[-1])
