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

_POOL = (1, 2, 2)


class NonLocal(nn.Module):
    """Adds to each position what it gathers from all positions of its clip.

    The embedded Gaussian: weights are the softmax, over the positions looked at, of the
    products of two 1x1x1 convolutions, "theta" of the looking and "phi" of the looked
    at; a third, "g", makes what is gathered. A fourth convolution, "out", and a batch
    norm follow before the sum. The positions looked at are thinned out by a maximum
    over 2x2 of each frame (over what there is, where a map is smaller).

    Attributes:
        features: Channels of the embeddings; the papers take half of the input's.
        train: Whether to use batch statistics.
        scaled: Whether products are divided by the root of `features` before softmax.
        pool: Whether the maximum is taken "before" the convolutions phi and g, or
            "after" them.
        zero_init: Whether the batch norm's scale begins at zero, by which the block
            begins as the identity.
        dtype: Computation dtype; softmax, statistics and parameters stay float32.

    References:
        Wang et al., "Non-local Neural Networks", CVPR 2018, Sec. 3,
        https://arxiv.org/abs/1711.07971. Codes differ: facebookresearch/SlowFast
        (slowfast/models/nonlocal_helper.py) scales, and pools before the convolutions;
        mit-han-lab/temporal-shift-module (ops/non_local.py) and mmcv do not scale, and
        pool after them.
    """

    features: int
    train: bool
    scaled: bool = True
    pool: Literal["before", "after"] = "before"
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
        theta = self._embed(x, "theta")  # [B, THW, features].
        seen = _pool_frames(x) if self.pool == "before" else x
        phi, g = self._embed(seen, "phi"), self._embed(seen, "g")
        products = jnp.einsum("bnd,bmd->bnm", theta, phi).astype(jnp.float32)
        if self.scaled:
            products = products * self.features**-0.5
        weights = jax.nn.softmax(products, axis=-1).astype(self.dtype)
        y = jnp.einsum("bnm,bmd->bnd", weights, g)
        y = y.reshape(*x.shape[:-1], self.features)
        y = self._conv(x.shape[-1], "out")(y)
        scale_init = nn.initializers.zeros if self.zero_init else nn.initializers.ones
        norm = BatchNorm(self.train, scale_init=scale_init, dtype=self.dtype, name="bn")
        return x + norm(y)

    def _embed(self, x: Array, name: str) -> Array:
        x = self._conv(self.features, name)(x)
        if self.pool == "after" and name != "theta":
            x = _pool_frames(x)
        return x.reshape(x.shape[0], -1, self.features)

    def _conv(self, features: int, name: str) -> Conv:
        return Conv(
            features,
            (1, 1, 1),
            padding="VALID",
            use_bias=True,
            dtype=self.dtype,
            name=name,
        )


def _pool_frames(x: Array) -> Array:
    window = tuple(min(k, size) for k, size in zip(_POOL, x.shape[1:4], strict=True))
    return max_pool(x, window)
