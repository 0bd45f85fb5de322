"""Do the flows there and back agree? Where they do not, something is hidden."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vidjax.flow.warp import leaves_image, warp

# Sundaram et al., "Dense point trajectories by GPU-accelerated large displacement
# optical flow", ECCV 2010, Eq. 5; UnFlow (Meister et al., AAAI 2018) uses the same.
_SHARE, _FLOOR = 0.01, 0.5


def round_trip_error(
    forward: Float[Array, "b h w 2"], backward: Float[Array, "b h w 2"]
) -> Float[Array, "b h w"]:
    """Measures how far a pixel that goes there and back ends from where it began.

    Args:
        forward: Flow from the first image to the second in pixels, [B, H, W, 2].
        backward: Flow from the second image to the first in pixels, [B, H, W, 2].

    Returns:
        |forward(x) + backward(x + forward(x))| in pixels, [B, H, W]; outside the second
        image its outermost flow counts.
    """
    back = warp(backward, forward, padding="edge")
    return jnp.linalg.norm(forward + back, axis=-1)


def occlusion_mask(
    forward: Float[Array, "b h w 2"],
    backward: Float[Array, "b h w 2"],
    *,
    share: float = _SHARE,
    floor: float = _FLOOR,
) -> Bool[Array, "b h w"]:
    """Tells which pixels of the first image cannot be seen in the second.

    A pixel is hidden where it leaves the image, or where the flows disagree:

        |f + b|² > share (|f|² + |b|²) + floor,

    with f = forward(x) and b = backward(x + f).

    Args:
        forward: Flow from the first image to the second in pixels, [B, H, W, 2].
        backward: Flow from the second image to the first in pixels, [B, H, W, 2].
        share: Error that is admitted as a share of the squared lengths.
        floor: Error that is always admitted, in pixels squared.

    Returns:
        True where the pixel is hidden, [B, H, W].

    Example:
        >>> still = jnp.zeros((1, 1, 3, 2))
        >>> occlusion_mask(still, still.at[:, :, 1].set(1.0)).tolist()
        [[[False, True, False]]]

    References:
        Sundaram et al., "Dense point trajectories by GPU-accelerated large displacement
        optical flow", ECCV 2010, Eq. 5.
    """
    back = warp(backward, forward, padding="edge")
    error = jnp.sum((forward + back) ** 2, axis=-1)
    size = jnp.sum(forward**2, axis=-1) + jnp.sum(back**2, axis=-1)
    return leaves_image(forward) | (error > share * size + floor)
