"""Layers over the steps of a video: convolutions with a mask, paths with a scale.

What lies behind the end of a video is padding, where the mask is False. Conventions are
those of happyharrycn/actionformer_release, libs/modeling/blocks.py.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath
from vidjax.layers.norm import LayerNorm
from vidjax.ops.position import sines_and_cosines

# PyTorch's default of convolutions: uniform in +-1 / sqrt(fan_in).
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")

StepNorm = functools.partial(LayerNorm, epsilon=1e-5)
"""Layer norm with PyTorch's epsilon."""

SequenceConv = functools.partial(Conv, padding="torch", kernel_init=KERNEL_INIT)
"""A convolution over steps, whose borders are padded by half its extent."""


def apply_mask(
    x: Float[Array, "b t d"], mask: Bool[Array, "b t"]
) -> Float[Array, "b t d"]:
    """Sets what lies behind the end of a video to zero.

    Args:
        x: [B, T, D].
        mask: Which steps are of the video, [B, T].

    Returns:
        [B, T, D].
    """
    return x * mask[..., None].astype(x.dtype)


class ConvStack(nn.Module):
    """Convolutions without bias, each followed by the mask, a layer norm and a ReLU.

    Attributes:
        features: Channels of each.
        depth: How many.
        kernel_size: Their extent in steps.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    depth: int = 2
    kernel_size: int = 3
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t c"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t d"]:
        """Convolves.

        Args:
            x: [B, T, C].
            mask: Which steps are of the video, [B, T].

        Returns:
            [B, T, features]; behind the end of the video it is not zero.
        """
        for i in range(self.depth):
            conv = SequenceConv(
                self.features,
                (self.kernel_size,),
                dtype=self.dtype,
                name=f"conv_{i}",
            )
            norm = StepNorm(dtype=self.dtype, name=f"norm_{i}")
            x = nn.relu(norm(apply_mask(conv(x), mask)))
        return x


class ScaledPath(nn.Module):
    """A residual branch with a learned scale of each channel, dropped at times.

    Attributes:
        rate: Probability of dropping it in training, in [0, 1).

    References:
        Touvron et al., "Going deeper with Image Transformers", ICCV 2021, Sec. 2.1,
        https://arxiv.org/abs/2103.17239.
    """

    rate: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], *, train: bool
    ) -> Float[Array, "b t d"]:
        """Scales and drops.

        Args:
            x: The branch, [B, T, D].
            train: Whether to drop; takes the random key "dropout" if `rate` is not 0.

        Returns:
            [B, T, D].
        """
        init = nn.initializers.constant(1e-4)  # As in ActionFormer.
        scale = self.param("scale", init, (x.shape[-1],))
        x = x * scale.astype(x.dtype).reshape(1, 1, -1)
        return DropPath(self.rate)(x, train=train)


def add_positions(
    x: Float[Array, "b t d"], mask: Bool[Array, "b t"], length: int
) -> Float[Array, "b t d"]:
    """Adds a table of sines and cosines, stretched if the video is longer than it.

    Args:
        x: [B, T, D].
        mask: Which steps are of the video, [B, T].
        length: Steps of the table.

    Returns:
        [B, T, D].
    """
    steps, width = x.shape[1:]
    table = sines_and_cosines(length, width) / width**0.5
    if steps > length:
        table = jax.image.resize(table, (1, steps, width), "linear", antialias=False)
    table = jnp.broadcast_to(table[:, :steps], x.shape).astype(x.dtype)
    return x + apply_mask(table, mask)


def check_features(
    features: Float[Array, "..."], levels: int, mask: Bool[Array, "..."] | None
) -> Bool[Array, "b t"]:
    """Raises unless an array is a batch of features that a pyramid can take.

    Args:
        features: What should be features, [B, T, C], floating point.
        levels: Levels of the pyramid; each halves the steps of the one before.
        mask: Which steps are of the video, [B, T]; None means all.

    Returns:
        The mask.

    Raises:
        TypeError: If the features are not of floating point.
        ValueError: If there are not three axes, the steps cannot be halved so often, or
            the mask has another shape.
    """
    if features.ndim != 3:
        raise ValueError(
            "Expected features with three axes [B, T, C], got "
            f"{features.ndim} in shape {features.shape}."
        )
    if not jnp.issubdtype(features.dtype, jnp.floating):
        raise TypeError(f"Expected features of floating point, got {features.dtype}.")
    steps, multiple = features.shape[1], 2 ** (levels - 1)
    if steps % multiple or not steps:
        raise ValueError(
            f"Expected a multiple of {multiple} steps for a pyramid of {levels} "
            f"levels, got {steps} in shape {features.shape}, read as [B, T, C]. "
            "vidjax.localization.pad_features pads as a model's card says."
        )
    if mask is None:
        return jnp.ones(features.shape[:2], bool)
    if mask.shape != features.shape[:2]:
        raise ValueError(
            f"Expected a mask of shape {features.shape[:2]}, got {mask.shape}."
        )
    return mask.astype(bool)
