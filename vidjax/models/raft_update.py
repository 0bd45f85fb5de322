"""The iterations of RAFT: how correlations change a flow, and how it is upsampled.

Reference:
    Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
    ECCV 2020, https://arxiv.org/abs/2003.12039, Sec. 3.3.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.models.raft_encoder import Layout

STRIDE = 8
"""Pixels of an image under one pixel of its features."""

_MASK_GAIN = 0.25  # "To balance gradients", princeton-vl/RAFT, core/update.py.

# As torch starts convolutions that are told nothing; the encoders have Conv's own.
_TORCH_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


class Update(nn.Module):
    """One iteration: correlations and flow change the state, the state the flow.

    Attributes:
        layout: Widths.
        read: Reads correlations, from their source and the places of pixels.
        train: Whether to give what the flow after this iteration is upsampled from.
        dtype: Computation dtype; parameters stay float32.
    """

    layout: Layout
    read: Callable[..., Array]
    train: bool
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        carry: tuple[Float[Array, "b h w d"], Float[Array, "b h w 2"]],
        source: tuple[Any, ...],
        context: Float[Array, "b h w d2"],
    ) -> tuple[tuple[Array, Array], tuple[Array, Array] | None]:
        """Does an iteration.

        Args:
            carry: The state [B, H, W, D] and the places (x, y) in the other image that
                pixels have moved to, [B, H, W, 2].
            source: What correlations are read from, arrays of any shape.
            context: [B, H, W, D2].

        Returns:
            Both of the carry, changed; and, in training, the state and the flow.
        """
        hidden, places = carry
        places = jax.lax.stop_gradient(places)  # As the authors do.
        start = pixel_grid(places.shape[:3])
        motion = self._encode_motion(self.read(*source, places), places - start)
        told = jnp.concatenate([context, motion], axis=-1)
        for i, kernel in enumerate(self.layout.gru):
            gru = ConvGRU(self.layout.hidden, kernel, self.dtype, name=f"gru{i + 1}")
            hidden = gru(hidden, told)
        y = nn.relu(self._conv(self.layout.head, 3, "flow_head1")(hidden))
        places = places + self._conv(2, 3, "flow_head2")(y).astype(jnp.float32)
        return (hidden, places), ((hidden, places - start) if self.train else None)

    @nn.nowrap
    def _conv(self, features: int, size: int, name: str) -> Conv:
        return _conv(features, size, dtype=self.dtype, name=name)

    @nn.nowrap
    def _encode_motion(self, correlations: Array, flow: Array) -> Array:
        layout = self.layout
        x = correlations
        for i, width in enumerate(layout.corr_widths):
            x = nn.relu(self._conv(width, 3 if i else 1, f"convcorr{i + 1}")(x))
        y = nn.relu(self._conv(layout.flow_widths[0], 7, "convflow1")(flow))
        y = nn.relu(self._conv(layout.flow_widths[1], 3, "convflow2")(y))
        both = jnp.concatenate([x, y], axis=-1)
        both = nn.relu(self._conv(layout.motion - 2, 3, "convmotion")(both))
        return jnp.concatenate([both, flow.astype(self.dtype)], axis=-1)


class ConvGRU(nn.Module):
    """A gated recurrent unit whose gates are convolutions.

    Attributes:
        features: Channels of the state.
        kernel: Extent (H, W).
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    kernel: tuple[int, int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, hidden: Float[Array, "b h w d"], told: Float[Array, "b h w c"]
    ) -> Float[Array, "b h w d"]:
        """Returns the next state.

        Args:
            hidden: State, [B, H, W, features].
            told: What it is told, [B, H, W, C].

        Returns:
            [B, H, W, features].
        """
        conv = functools.partial(_conv, self.features, self.kernel, dtype=self.dtype)
        both = jnp.concatenate([hidden, told], axis=-1)
        change = nn.sigmoid(conv(name="convz")(both))
        keep = nn.sigmoid(conv(name="convr")(both))
        kept = jnp.concatenate([keep * hidden, told], axis=-1)
        new = jnp.tanh(conv(name="convq")(kept))
        return (1 - change) * hidden + change * new


class Upsample(nn.Module):
    """Flow of eight times the size: convex sums of neighbours, or bilinear.

    Attributes:
        width: Channels of the hidden layer of the mask; 0 upsamples bilinearly.
        dtype: Computation dtype; parameters, masks and flow stay float32.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        carry: tuple[()],
        hidden: Float[Array, "b h w d"],
        coarse: Float[Array, "b h w 2"],
    ) -> tuple[tuple[()], Float[Array, "b h8 w8 2"]]:
        """Upsamples.

        Args:
            carry: Nothing, as `nn.scan` wants it: arrays of no shape.
            hidden: State, [B, H, W, D].
            coarse: Flow in units of eight pixels, [B, H, W, 2].

        Returns:
            Nothing, and the flow in pixels [B, 8 H, 8 W, 2].
        """
        if not self.width:
            return carry, _upsample_bilinear(coarse)
        x = nn.relu(_conv(self.width, 3, dtype=self.dtype, name="conv1")(hidden))
        x = _conv(9 * STRIDE**2, 1, dtype=self.dtype, name="conv2")(x)
        return carry, _upsample_convex(coarse, _MASK_GAIN * x.astype(jnp.float32))


def pixel_grid(shape: tuple[int, ...]) -> Array:
    """Returns the places of the pixels of maps.

    Args:
        shape: Shape (B, H, W) of the maps.

    Returns:
        (x, y) in pixels, float32 [B, H, W, 2].
    """
    _, height, width = shape
    y, x = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    grid = jnp.stack([x, y], axis=-1).astype(jnp.float32)
    return jnp.broadcast_to(grid[None], (*shape, 2))


def _upsample_convex(coarse: Array, scores: Array) -> Array:
    """Takes each of 8 x 8 pixels from nine neighbours, weighted by softmax of scores.

    [B, H, W, 2] and [B, H, W, 9 * 64] to [B, 8 H, 8 W, 2].
    """
    batch, height, width, _ = coarse.shape
    weights = scores.reshape(batch, height, width, 9, STRIDE, STRIDE)
    weights = jax.nn.softmax(weights, axis=3)
    padded = jnp.pad(STRIDE * coarse, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = jnp.stack(
        [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)],
        axis=3,
    )
    fine = jnp.einsum(
        "bhwkyx,bhwkc->bhywxc", weights, neighbours, precision=jax.lax.Precision.HIGHEST
    )
    return fine.reshape(batch, STRIDE * height, STRIDE * width, 2)


def _upsample_bilinear(coarse: Array) -> Array:
    """Maps [B, H, W, 2] to [B, 8 H, 8 W, 2]; corners stay at the corners."""
    _, height, width, _ = coarse.shape
    return jnp.einsum(
        "Yy,byxc,Xx->bYXc",
        _corner_weights(height),
        STRIDE * coarse,
        _corner_weights(width),
        precision=jax.lax.Precision.HIGHEST,
    )


def _corner_weights(size: int) -> Array:
    """Weights of `size` pixels at eight times as many places between them."""
    places = jnp.linspace(0.0, size - 1.0, STRIDE * size).reshape(-1, 1)
    pixels = jnp.arange(size, dtype=jnp.float32).reshape(1, -1)
    return jnp.maximum(0.0, 1.0 - jnp.abs(places - pixels))


def _conv(features: int, size: int | tuple[int, int], **kwargs: Any) -> Conv:
    size = (size, size) if isinstance(size, int) else size
    return Conv(
        features, size, 1, "torch", use_bias=True, kernel_init=_TORCH_INIT, **kwargs
    )
