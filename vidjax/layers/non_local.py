"""Non-local blocks: every position of a clip looks at every other."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import max_pool

Affinity = Literal["embedded_gaussian", "dot_product", "gaussian"]
"""How positions weigh each other, by the paper's names."""

_POOL = (1, 2, 2)


class NonLocal(nn.Module):
    """Adds to each position what it gathers from all positions of its clip.

    Weights come from the products of the looking positions, through a 1x1x1 convolution
    "theta", with those looked at, through another, "phi"; a third, "g", makes what is
    gathered. A fourth convolution, "out", and a batch norm follow before the sum. The
    positions looked at are thinned out by a maximum over 2x2 of each frame (over what
    there is, where a map is smaller).

    Attributes:
        features: Channels of the embeddings; the papers take half of the input's.
        train: Whether to use batch statistics.
        affinity: "embedded_gaussian" takes the softmax of the products over the
            positions looked at, "dot_product" divides them by the number of these,
            "gaussian" does without theta and phi and takes the softmax.
        scaled: Whether the products of an embedded Gaussian are divided by the root of
            `features` before softmax.
        pool: Whether the maximum is taken "before" the convolutions phi and g, or
            "after" them.
        out_bias: Whether the convolution before the batch norm has a bias.
        zero_init: Whether the batch norm's scale begins at zero, by which the block
            begins as the identity.
        dtype: Computation dtype; softmax, statistics and parameters stay float32.

    References:
        Wang et al., "Non-local Neural Networks", CVPR 2018, Sec. 3,
        https://arxiv.org/abs/1711.07971. Codes differ: facebookresearch/SlowFast
        (slowfast/models/nonlocal_helper.py) scales, and pools before the convolutions;
        mit-han-lab/temporal-shift-module (ops/non_local.py) does not scale, and pools
        after them; mmcv (cnn/bricks/non_local.py) pools after them, has no bias before
        the batch norm, and scales or not as MMAction2's configurations say.
    """

    features: int
    train: bool
    affinity: Affinity = "embedded_gaussian"
    scaled: bool = True
    pool: Literal["before", "after"] = "before"
    out_bias: bool = True
    zero_init: bool = True
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """Gathers and adds.

        Args:
            x: Maps of a clip, [B, T, H, W, C].

        Returns:
            The same shape.
        """
        if self.affinity == "gaussian":
            theta, phi = _positions(x), _positions(_pool_frames(x))
        else:
            theta, phi = self._embed(x, "theta"), self._embed(x, "phi")
        weights = self._weights(jnp.einsum("bnd,bmd->bnm", theta, phi))
        y = jnp.einsum("bnm,bmd->bnd", weights, self._embed(x, "g"))
        y = y.reshape(*x.shape[:-1], self.features)
        y = self._conv(x.shape[-1], "out", self.out_bias)(y)
        scale_init = nn.initializers.zeros if self.zero_init else nn.initializers.ones
        norm = BatchNorm(self.train, scale_init=scale_init, dtype=self.dtype, name="bn")
        return x + norm(y)

    def _weights(self, products: Array) -> Array:
        products = products.astype(jnp.float32)
        if self.affinity == "dot_product":
            return (products / products.shape[-1]).astype(self.dtype)
        if self.affinity == "embedded_gaussian" and self.scaled:
            products = products * self.features**-0.5
        return jax.nn.softmax(products, axis=-1).astype(self.dtype)

    def _embed(self, x: Array, name: Literal["theta", "phi", "g"]) -> Array:
        thinned = name != "theta"
        if thinned and self.pool == "before":
            x = _pool_frames(x)
        x = self._conv(self.features, name, use_bias=True)(x)
        if thinned and self.pool == "after":
            x = _pool_frames(x)
        return _positions(x)

    def _conv(self, features: int, name: str, use_bias: bool) -> Conv:
        return Conv(
            features,
            (1, 1, 1),
            padding="VALID",
            use_bias=use_bias,
            dtype=self.dtype,
            name=name,
        )


def _positions(x: Array) -> Array:
    return x.reshape(x.shape[0], -1, x.shape[-1])


def _pool_frames(x: Array) -> Array:
    window = tuple(min(k, size) for k, size in zip(_POOL, x.shape[1:4], strict=True))
    return max_pool(x, window)
