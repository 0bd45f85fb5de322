"""Checks of the images that flow is computed from."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped


def check_pair(
    image0: Shaped[Array | np.ndarray, "..."],
    image1: Shaped[Array | np.ndarray, "..."],
) -> None:
    """Raises unless two arrays are batches of grey images of one size.

    Args:
        image0: What should be the first images, [B, H, W], real numbers.
        image1: What should be the second images, of the same shape.

    Raises:
        ValueError: If they do not have three axes, or their shapes differ.
        TypeError: If they are not real numbers.

    Example:
        >>> check_pair(jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 3)))
        Traceback (most recent call last):
        ...
        ValueError: Expected grey images [B, H, W], got shapes (1, 8, 8, 3) and \
(1, 8, 8, 3). vidjax.flow.grey.rgb_to_grey makes grey images of colour ones.
    """
    if image0.ndim != 3 or image0.shape != image1.shape:
        colour = image0.ndim == 4 and image0.shape[-1] == 3
        hint = " One image [H, W] becomes a batch by image[None]."
        if colour:
            hint = " vidjax.flow.grey.rgb_to_grey makes grey images of colour ones."
        elif image0.ndim == 3:
            hint = " Both must have one shape."
        raise ValueError(
            f"Expected grey images [B, H, W], got shapes {image0.shape} and "
            f"{image1.shape}.{hint}"
        )
    for image in (image0, image1):
        real = jnp.issubdtype(image.dtype, jnp.floating)
        if not real and not jnp.issubdtype(image.dtype, jnp.integer):
            raise TypeError(
                f"Expected grey images of numbers in [0, 255], got {image.dtype}."
            )
