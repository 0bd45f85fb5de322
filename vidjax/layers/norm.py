"""The one batch norm and the one layer norm."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class BatchNorm(nn.Module):
    """Batch norm over all axes but the last.

    It differs from `flax.linen.BatchNorm` in one thing: the running average takes the
    unbiased variance, as PyTorch's does, unless told otherwise. Names and collections
    are the same. Under `jax.jit` with a sharded batch, statistics are those of the
    global batch.

    Attributes:
        train: Whether to use the batch's statistics and update the running ones.
        epsilon: Added to the variance.
        momentum: Share of the running average that is kept, in [0, 1]; 0.9 is what
            PyTorch calls 0.1.
        unbiased: Whether the running variance takes n / (n - 1) times the batch's.
        use_scale: Whether the result is multiplied by a learned scale.
        scale_init: Initialiser of that scale.
        dtype: Of the result; statistics and parameters stay float32.
    """

    train: bool
    epsilon: float = 1e-5
    momentum: float = 0.9
    unbiased: bool = True
    use_scale: bool = True
    scale_init: nn.initializers.Initializer = nn.initializers.ones
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
        """Normalises.

        Args:
            x: [..., C].

        Returns:
            [..., C] in `dtype`.
        """
        channels = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        x = x.astype(jnp.float32)
        if self.train:
            mean, var = _moments(x)
            if not self.is_initializing():
                count = math.prod(x.shape[:-1])
                ratio = count / max(count - 1, 1) if self.unbiased else 1.0
                running_mean.value = self._blend(running_mean.value, mean)
                running_var.value = self._blend(running_var.value, var * ratio)
        else:
            mean, var = running_mean.value, running_var.value

        gain = jax.lax.rsqrt(var + self.epsilon)
        if self.use_scale:
            gain = gain * self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        shape = (1,) * (x.ndim - 1) + (channels,)
        y = (x - mean.reshape(shape)) * gain.reshape(shape) + bias.reshape(shape)
        return y.astype(self.dtype)

    def _blend(self, running: Array, batch: Array) -> Array:
        return self.momentum * running + (1 - self.momentum) * batch


class LayerNorm(nn.Module):
    """Layer norm over the last axis.

    Attributes:
        epsilon: Added to the variance. Most video transformers take 1e-6, PyTorch's
            default is 1e-5.
        dtype: Of the result; statistics and parameters stay float32.
    """

    epsilon: float = 1e-6
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """Normalises each position by its own mean and variance.

        Args:
            x: [..., D].

        Returns:
            [..., D] in `dtype`.
        """
        width = x.shape[-1]
        shape = (1,) * (x.ndim - 1) + (width,)
        scale = self.param("scale", nn.initializers.ones, (width,))
        bias = self.param("bias", nn.initializers.zeros, (width,))
        x = x.astype(jnp.float32)
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        var = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        gain = jax.lax.rsqrt(var + self.epsilon) * scale.reshape(shape)
        return (x * gain + bias.reshape(shape)).astype(self.dtype)


def _moments(x: Array) -> tuple[Array, Array]:
    """Returns mean and biased variance of each channel, in one pass over `x`."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    # Rounding can leave the difference just below zero.
    var = jnp.maximum(jnp.mean(jnp.square(x), axes) - jnp.square(mean), 0.0)
    return mean, var
