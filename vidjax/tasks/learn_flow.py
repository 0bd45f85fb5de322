"""Learning flow: scenes whose flow is known, and the losses of RAFT on them.

A scene is a number. What it shows is a function of that number and of the seed, and is
drawn on the devices inside the update, so that no image is made, stored or moved.
"""

from collections.abc import Callable
from typing import get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from vidjax.flow.metrics import endpoint_error
from vidjax.flow.scenes import Motion, Pair, draw_flow, draw_texture, render_pair
from vidjax.flow.sequence_loss import sequence_loss
from vidjax.train.step import Batch, Losses, Metrics, Output, Prepare

Draw = Callable[[UInt8[Array, "b 1 1 1 3"]], Pair]
"""From the numbers of scenes, three bytes each, to pairs of images and their flow."""

_MIN_PX = 1.0  # Ours: the longest displacement of a scene is at least this long,
_MAX_SHARE = 0.125  # and at most this share of a side.


def make_draw(size: int, seed: int) -> Draw:
    """Returns what draws scenes of all motions, turn about.

    Args:
        size: Height and width in pixels.
        seed: Seed of the scenes.

    Returns:
        See `Draw`: images [B, size, size, 3] in [0, 255], flow [B, size, size, 2].
    """

    def draw_one(number: Array) -> Pair:
        key = jax.random.fold_in(jax.random.key(seed), number)
        texture_key, length_key, *keys = jax.random.split(
            key, 2 + len(get_args(Motion))
        )
        longest = jax.random.uniform(
            length_key, (), minval=_MIN_PX, maxval=_MAX_SHARE * size
        )
        side = {"height": size, "width": size, "max_px": 1.0}
        fields = [
            draw_flow(key, motion=motion, **side)
            for key, motion in zip(keys, get_args(Motion), strict=True)
        ]
        chosen = jnp.stack(fields)[number % len(fields)]
        return render_pair(draw_texture(texture_key, channels=3), longest * chosen)

    def draw(codes: UInt8[Array, "b 1 1 1 3"]) -> Pair:
        digits = codes.reshape(-1, 3).astype(jnp.int32)
        return jax.vmap(draw_one)(digits @ jnp.array([1 << 16, 1 << 8, 1]))

    return draw


def make_images(draw: Draw, dtype: str) -> Prepare:
    """Returns what turns the numbers of scenes into what a network of flow wants.

    Args:
        draw: Draws scenes.
        dtype: Type of the computation.

    Returns:
        A function from uint8 [B, 1, 1, 1, 3] to `dtype` [B, 2, H, W, 3] in [-1, 1].
    """

    def prepare(codes: jax.Array) -> jax.Array:
        pair = draw(codes)
        images = jnp.stack([pair.image0, pair.image1], axis=1)
        return (images / 127.5 - 1.0).astype(dtype)

    return prepare


def flow_losses(draw: Draw) -> Losses:
    """Returns the losses of a network that refines its flow.

    Args:
        draw: Draws the same scenes as for its images.

    Returns:
        `losses((flow, endpoints), batch)`: the loss of the sequence "flows" in
        training, the mean endpoint error where there is none, [B] in pixels; and "epe"
        [B], the mean endpoint error of the last flow.
    """

    def losses(output: Output, batch: Batch) -> tuple[jax.Array, Metrics]:
        flow, endpoints = output
        truth: Float[Array, "b h w 2"] = draw(batch["clip"]).flow
        epe = jnp.mean(endpoint_error(flow, truth), axis=(1, 2))
        if "flows" not in endpoints:
            return epe, {"epe": epe}
        return sequence_loss(endpoints["flows"], truth), {"epe": epe}

    return losses
