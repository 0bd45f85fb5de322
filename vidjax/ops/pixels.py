"""Between pixels in [0, 255] and the values that a model wants."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Shaped, UInt8

from vidjax.typing import ChannelOrder


def normalize(
    clip: Shaped[Array, "*lead c"],
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    mean: Sequence[float],
    std: Sequence[float],
    channel_order: ChannelOrder = "rgb",
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "*lead c"]:
    """Turns pixels into what a model wants, as its `ClipSpec` says.

    A pixel p becomes `(low + p / 255 * (high - low) - mean) / std`, where (low, high)
    is `value_range`; computed in float32.

    Args:
        clip: Pixels in [0, 255], [..., C]; uint8 or floating point.
        value_range: Values that pixels 0 and 255 take before `mean` and `std`.
        mean: Subtracted from each channel; C numbers.
        std: Divides each channel; C numbers.
        channel_order: "bgr" turns the channels round, before `mean` and `std`.
        dtype: Of the result.

    Returns:
        Normalised values, [..., C], in `dtype`.

    Raises:
        ValueError: If `mean` or `std` does not have C numbers, or `std` has a zero.

    Example:
        >>> pixels = jnp.array([[0, 255]], jnp.uint8)
        >>> normalize(pixels, value_range=(-1.0, 1.0), mean=(0.0,) * 2, std=(1.0,) * 2)
        Array([[-1.,  1.]], dtype=float32)
    """
    gain, offset = _affine(clip, value_range, mean, std)
    clip = clip if channel_order == "rgb" else clip[..., ::-1]
    return (clip.astype(jnp.float32) * gain + offset).astype(dtype)


def denormalize(
    clip: Float[Array, "*lead c"],
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    mean: Sequence[float],
    std: Sequence[float],
    channel_order: ChannelOrder = "rgb",
) -> UInt8[Array, "*lead c"]:
    """Turns a model's input back into pixels, for pictures.

    Args:
        clip: Normalised values, [..., C], floating point.
        value_range: As given to `normalize`.
        mean: As given to `normalize`; C numbers.
        std: As given to `normalize`; C numbers.
        channel_order: As given to `normalize`.

    Returns:
        Pixels, [..., C], uint8, rounded and cut to [0, 255].

    Raises:
        ValueError: If `mean` or `std` does not have C numbers, or `std` has a zero.

    Example:
        >>> denormalize(jnp.array([[0.4]]), mean=(0.0,), std=(1.0,)).tolist()
        [[102]]
    """
    gain, offset = _affine(clip, value_range, mean, std)
    pixels = jnp.round((clip.astype(jnp.float32) - offset) / gain)
    pixels = pixels if channel_order == "rgb" else pixels[..., ::-1]
    return jnp.clip(pixels, 0, 255).astype(jnp.uint8)


def _affine(
    clip: Shaped[Array, "*lead c"],
    value_range: tuple[float, float],
    mean: Sequence[float],
    std: Sequence[float],
) -> tuple[Array, Array]:
    channels = clip.shape[-1]
    problems = [
        f"{name} has {len(values)} numbers"
        for name, values in (("mean", mean), ("std", std))
        if len(values) != channels
    ]
    problems += ["std has a zero"] if 0 in std else []
    if problems:
        raise ValueError(
            f"Expected a mean and a nonzero std for each of {channels} channels (the "
            f"last axis of shape {clip.shape}), but {' and '.join(problems)}."
        )
    low, high = value_range
    # One multiply-add a pixel, and explicit axes: no implicit rank promotion.
    shape = (1,) * (clip.ndim - 1) + (channels,)
    deviation = jnp.array(std, jnp.float32).reshape(shape)
    gain = (high - low) / 255 / deviation
    offset = (low - jnp.array(mean, jnp.float32).reshape(shape)) / deviation
    return gain, offset
