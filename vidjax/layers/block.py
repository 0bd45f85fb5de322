"""A block of a transformer: attention and two linear layers, each around a shortcut."""

import math
from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.attention import Attend, QkvBias, Rotation, SelfAttention
from vidjax.layers.drop_path import DropPath
from vidjax.layers.mlp import KERNEL_INIT, Mlp, exact_gelu
from vidjax.layers.norm import LayerNorm
from vidjax.ops.attention import attention


class Block(nn.Module):
    """x + attn(norm1(x)), then x + mlp(norm2(x)): a block with its norms in front.

    Attributes:
        heads: Number of heads.
        hidden: Width between the layers of the MLP.
        train: Whether to drop paths.
        qkv_bias: See `vidjax.layers.attention.QkvBias`.
        activation: Of the MLP.
        attend: See `vidjax.layers.attention.Attend`.
        rotate: See `vidjax.layers.attention.SelfAttention`.
        epsilon: Of the norms.
        drop_path_rate: Probability of dropping a branch, in [0, 1).
        drop_path_rescale: Whether branches that are left are scaled up.
        attention_init: Initialiser of the attention's kernels.
        mlp_init: Initialiser of the MLP's kernels.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    hidden: int
    train: bool
    qkv_bias: QkvBias = "all"
    activation: Callable[[Array], Array] = exact_gelu
    attend: Attend = attention
    rotate: Rotation | None = None
    epsilon: float = 1e-6
    drop_path_rate: float = 0.0
    drop_path_rescale: bool = True
    attention_init: nn.initializers.Initializer = KERNEL_INIT
    mlp_init: nn.initializers.Initializer = KERNEL_INIT
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b *groups n d"]) -> Float[Array, "..."]:
        """Transforms tokens.

        Args:
            x: [B, ..., N, D]; only the N tokens of a group see each other, and all
                groups of a clip lose a branch together.

        Returns:
            The same shape, in `dtype`.
        """
        norm1, norm2 = (
            LayerNorm(self.epsilon, self.dtype, name=f"norm{i}") for i in (1, 2)
        )
        attn = SelfAttention(
            self.heads,
            qkv_bias=self.qkv_bias,
            rotate=self.rotate,
            attend=self.attend,
            kernel_init=self.attention_init,
            dtype=self.dtype,
            name="attn",
        )
        mlp = Mlp(
            self.hidden,
            activation=self.activation,
            kernel_init=self.mlp_init,
            dtype=self.dtype,
            name="mlp",
        )
        drop = DropPath(self.drop_path_rate, self.drop_path_rescale)
        groups = (math.prod(x.shape[:-2]), *x.shape[-2:])
        y = attn(norm1(x).reshape(groups)).reshape(x.shape)
        x = x + drop(y, train=self.train)
        return x + drop(mlp(norm2(x)), train=self.train)
