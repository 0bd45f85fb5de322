"""Grey images from colour ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

_RGB = (0.299, 0.587, 0.114)  # ITU-R BT.601, as cv2.cvtColor has it.


def rgb_to_grey(image: Shaped[Array, "*lead 3"]) -> Float[Array, "*lead"]:
    """Turns colours to luma, in whole numbers as a grey image of bytes has them.

    Args:
        image: RGB in [0, 255], [..., 3]; uint8 or floating point.

    Returns:
        round(0.299 R + 0.587 G + 0.114 B) in [0, 255], float32 [...].

    Example:
        >>> rgb_to_grey(jnp.array([[255, 255, 255], [0, 100, 0]], jnp.uint8)).tolist()
        [255.0, 59.0]
    """
    weights = jnp.asarray(_RGB).reshape((1,) * (image.ndim - 1) + (3,))
    return jnp.round(jnp.sum(image.astype(jnp.float32) * weights, axis=-1))
