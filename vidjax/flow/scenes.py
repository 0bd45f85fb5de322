"""Pairs of images whose flow is known exactly.

A texture T is a sum of cosines, so that it has a value at every point of the plane.
With any displacement field u, the pair image1(x) = T(x), image0(x) = T(x + u(x)) has
the flow u from image0 to image1 at every pixel, without interpolation and without
occlusion. All numbers in this file are ours.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Motion = Literal["shift", "turn", "zoom", "waves", "step"]
"""How a scene moves: all alike, around a point, away from a point, in smooth waves, or
in two halves that move apart along an edge."""

_NUM_WAVES = 60  # Cosines in a texture.
_WAVELENGTHS_PX = (6.0, 60.0)
_MEAN, _CONTRAST = 127.5, 55.0  # Grey levels; the contrast is a standard deviation.


class Texture(NamedTuple):
    """A sum of N cosines over the plane, for each of C channels.

    Attributes:
        vectors: Wave vectors (x, y) in radians per pixel, [N, 2].
        phases: Phases in radians, [N, C].
    """

    vectors: Float[Array, "n 2"]
    phases: Float[Array, "n c"]


class Pair(NamedTuple):
    """Two images and the flow from the first to the second.

    Attributes:
        image0: First image, in [0, 255], [H, W, C].
        image1: Second image, in [0, 255], [H, W, C].
        flow: Displacements (u, v) in pixels, [H, W, 2].
    """

    image0: Float[Array, "h w c"]
    image1: Float[Array, "h w c"]
    flow: Float[Array, "h w 2"]


def draw_texture(key: PRNGKeyArray, *, channels: int = 1) -> Texture:
    """Draws a texture.

    Args:
        key: Where randomness comes from, a scalar key.
        channels: Channels C; they share wave vectors and differ in phases.

    Returns:
        60 cosines in all directions with lengths of 6 to 60 pixels.
    """
    angle_key, length_key, phase_key = jax.random.split(key, 3)
    low, high = jnp.log(jnp.array(_WAVELENGTHS_PX))
    angle = jax.random.uniform(angle_key, (_NUM_WAVES,), maxval=jnp.pi)
    length = jnp.exp(jax.random.uniform(length_key, (_NUM_WAVES,), None, low, high))
    heading = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    phases = jax.random.uniform(phase_key, (_NUM_WAVES, channels), maxval=2 * jnp.pi)
    return Texture(2 * jnp.pi / length[:, None] * heading, phases)


def texture_at(
    texture: Texture, points: Float[Array, "*lead 2"]
) -> Float[Array, "*lead c"]:
    """Returns a texture's values at any points of the plane.

    Args:
        texture: From `draw_texture`.
        points: Points (x, y) in pixels, [..., 2].

    Returns:
        Values in [0, 255], float32 [..., C]; what is beyond is cut.
    """
    flat = points.reshape(-1, 2)

    # Wave by wave, so that memory does not grow with their number.
    def add(total: Array, wave: tuple[Array, Array]) -> tuple[Array, None]:
        vector, phase = wave
        angle = flat[:, :1] * vector[0] + flat[:, 1:] * vector[1] + phase[None]
        return total + jnp.cos(angle), None

    channels = texture.phases.shape[-1]
    start = jnp.zeros((flat.shape[0], channels))
    total, _ = jax.lax.scan(add, start, (texture.vectors, texture.phases))
    scale = _CONTRAST * jnp.sqrt(2.0 / len(texture.phases))
    values = jnp.clip(_MEAN + scale * total, 0.0, 255.0)
    return values.reshape(*points.shape[:-1], channels)


def render_pair(texture: Texture, flow: Float[Array, "h w 2"]) -> Pair:
    """Renders the two images that a texture and a displacement field make.

    Args:
        texture: From `draw_texture`.
        flow: Any displacements (u, v) in pixels, [H, W, 2].

    Returns:
        The pair: image0(x) = image1(x + flow(x)), exactly.
    """
    height, width, _ = flow.shape
    points = _pixel_grid(height, width)
    moved = texture_at(texture, points + flow)
    return Pair(moved, texture_at(texture, points), flow)


def draw_flow(
    key: PRNGKeyArray,
    *,
    height: int,
    width: int,
    motion: Motion = "waves",
    max_px: float = 3.0,
) -> Float[Array, "h w 2"]:
    """Draws a displacement field.

    Args:
        key: Where randomness comes from, a scalar key.
        height: Rows H.
        width: Columns W.
        motion: How the scene moves.
        max_px: Length of the longest displacement, in pixels.

    Returns:
        Displacements (u, v) in pixels, float32 [H, W, 2].

    Raises:
        ValueError: If `motion` is unknown.
    """
    if motion not in get_args(Motion):
        raise ValueError(f"motion must be one of {get_args(Motion)}, got {motion!r}.")
    x, y = jnp.moveaxis(_pixel_grid(height, width), -1, 0)
    # The centre lies in the middle half of the image.
    share = jax.random.uniform(key, (2,), minval=0.25, maxval=0.75)
    dx, dy = x - share[0] * width, y - share[1] * height
    heading = jax.random.uniform(jax.random.fold_in(key, 1), (), maxval=2 * jnp.pi)
    along = jnp.array([jnp.cos(heading), jnp.sin(heading)])
    sign = jnp.sign(jnp.sin(heading))
    if motion == "shift":
        field = jnp.broadcast_to(along, (height, width, 2))
    elif motion == "turn":
        field = sign * jnp.stack([-dy, dx], axis=-1)
    elif motion == "zoom":
        field = sign * jnp.stack([dx, dy], axis=-1)
    elif motion == "step":
        side = jnp.where(along[0] * dx + along[1] * dy > 0, 1.0, -1.0)
        field = side[..., None] * jnp.array([-along[1], along[0]])[None, None]
    else:
        field = _waves(jax.random.fold_in(key, 2), x, y)
    longest = jnp.max(jnp.linalg.norm(field, axis=-1))
    return max_px * field / longest


def draw_pair(
    key: PRNGKeyArray,
    *,
    height: int,
    width: int,
    channels: int = 1,
    motion: Motion = "waves",
    max_px: float = 3.0,
) -> Pair:
    """Draws a scene: a texture and how it moves. Batches are drawn by `jax.vmap`.

    Args:
        key: Where randomness comes from, a scalar key.
        height: Rows H.
        width: Columns W.
        channels: Channels C of the images.
        motion: How the scene moves.
        max_px: Length of the longest displacement, in pixels.

    Returns:
        The images [H, W, C] in [0, 255], and the flow [H, W, 2] in pixels.

    Raises:
        ValueError: If `motion` is unknown.

    Example:
        >>> pair = draw_pair(jax.random.key(0), height=32, width=48, motion="shift")
        >>> pair.image0.shape, pair.flow.shape
        ((32, 48, 1), (32, 48, 2))
    """
    texture_key, flow_key = jax.random.split(key)
    texture = draw_texture(texture_key, channels=channels)
    flow = draw_flow(flow_key, height=height, width=width, motion=motion, max_px=max_px)
    return render_pair(texture, flow)


def _pixel_grid(height: int, width: int) -> Float[Array, "h w 2"]:
    """Points (x, y) of the pixels."""
    y, x = jnp.mgrid[:height, :width].astype(jnp.float32)
    return jnp.stack([x, y], axis=-1)


def _waves(
    key: PRNGKeyArray, x: Float[Array, "h w"], y: Float[Array, "h w"]
) -> Float[Array, "h w 2"]:
    """A smooth field: for each of u and v three waves, half to twice the image long."""
    vector_key, phase_key = jax.random.split(key)
    unit = 2 * jnp.pi / max(x.shape)
    vectors = unit * jax.random.uniform(vector_key, (3, 2, 2), minval=-1.4, maxval=1.4)
    phases = jax.random.uniform(phase_key, (3, 2), maxval=2 * jnp.pi)
    field = jnp.zeros((*x.shape, 2))
    for (to_u, to_v), phase in zip(vectors, phases, strict=True):
        angles = [
            x * a[0] + y * a[1] + p for a, p in zip((to_u, to_v), phase, strict=True)
        ]
        field += jnp.sin(jnp.stack(angles, axis=-1))
    return field
