"""The two linear layers of a transformer's block."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

exact_gelu = functools.partial(jax.nn.gelu, approximate=False)
"""GELU by the error function, PyTorch's default; `jax.nn.gelu` approximates by tanh."""

# timm's initialiser of transformers (trunc_normal_ with std 0.02, cut at +-2, which is
# a hundred standard deviations away): a plain normal to all purposes.
KERNEL_INIT = nn.initializers.normal(0.02)


class Mlp(nn.Module):
    """A linear layer, an activation, dropout and a linear layer back: fc1, fc2.

    Attributes:
        hidden: Width between the layers.
        features: Width of the result; None keeps the input's.
        activation: Between the layers.
        dropout_rate: Probability of dropping a unit after each layer, in [0, 1).
        kernel_init: Initialiser of both kernels.
        dtype: Computation dtype; parameters stay float32.
    """

    hidden: int
    features: int | None = None
    activation: Callable[[Array], Array] = exact_gelu
    dropout_rate: float = 0.0
    kernel_init: nn.initializers.Initializer = KERNEL_INIT
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "*n d"], *, train: bool = False
    ) -> Float[Array, "*n d2"]:
        """Transforms each position by itself.

        Args:
            x: [..., D].
            train: Whether to use dropout; takes the random key "dropout" then.

        Returns:
            [..., features] in `dtype`.
        """
        features = x.shape[-1] if self.features is None else self.features
        dense = functools.partial(
            nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype
        )
        drop = nn.Dropout(self.dropout_rate, deterministic=not train)
        x = drop(self.activation(dense(self.hidden, name="fc1")(x)))
        return drop(dense(features, name="fc2")(x))
