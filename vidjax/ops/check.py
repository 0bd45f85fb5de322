"""Checks of what a user passes to a model, with errors that say what came."""

import jax.numpy as jnp
from jaxtyping import Array, Shaped


def check_clip(
    clip: Shaped[Array, "..."],
    *,
    min_frames: int = 1,
    min_size: int = 1,
    channels: int | None = None,
) -> None:
    """Raises unless an array is a batch of clips that a model can take.

    Args:
        clip: What should be a batch of clips, [B, T, H, W, C], floating point.
        min_frames: Smallest T, in frames.
        min_size: Smallest H and W, in pixels.
        channels: Wanted C; None accepts any.

    Raises:
        TypeError: If the clip is not of floating point.
        ValueError: If the number of axes is not five, or T, H, W or C does not fit; the
            message lists all that is wrong.

    Example:
        >>> check_clip(jnp.zeros((1, 8, 32, 32, 3)), min_frames=9)
        Traceback (most recent call last):
        ...
        ValueError: Expected at least 9 frames, got 8 in a clip of shape \
(1, 8, 32, 32, 3), read as [B, T, H, W, C].
    """
    if clip.ndim != 5:
        raise ValueError(
            f"Expected a clip with five axes [B, T, H, W, C], got {clip.ndim} in shape "
            f"{clip.shape}.{_axes_hint(clip.ndim)}"
        )
    if not jnp.issubdtype(clip.dtype, jnp.floating):
        raise TypeError(
            f"Expected a clip of floating point, got {clip.dtype}. "
            "vidjax.ops.pixels.normalize turns pixels into what a model wants."
        )
    _, frames, height, width, got_channels = clip.shape
    problems = []
    if frames < min_frames:
        problems.append(f"at least {min_frames} frames, got {frames}")
    if min(height, width) < min_size:
        problems.append(f"at least {min_size} pixels a side, got {height} x {width}")
    if channels is not None and got_channels != channels:
        problems.append(f"{channels} channels, got {got_channels}")
    if problems:
        raise ValueError(
            f"Expected {' and '.join(problems)} in a clip of shape {clip.shape}, "
            "read as [B, T, H, W, C]."
        )


def check_images(images: Shaped[Array, "..."]) -> Shaped[Array, "b 1 h w c"]:
    """Returns images as clips of one frame; raises unless they are images.

    Args:
        images: What should be [B, H, W, C] or [B, 1, H, W, C], floating point.

    Returns:
        [B, 1, H, W, C].

    Raises:
        ValueError: If the input is neither images nor clips of one frame.
        TypeError: If it is not of floating point.

    Example:
        >>> check_images(jnp.zeros((2, 32, 32, 3))).shape
        (2, 1, 32, 32, 3)
    """
    clip = images[:, None] if images.ndim == 4 else images
    if clip.ndim != 5 or clip.shape[1] != 1:
        raise ValueError(
            "Expected images [B, H, W, C] or clips of one frame [B, 1, H, W, C], "
            f"got shape {images.shape}. frame_average_* models take clips."
        )
    check_clip(clip)
    return clip


def _axes_hint(axes: int) -> str:
    if axes == 4:
        return " One clip [T, H, W, C] becomes a batch by clip[None]."
    return ""
