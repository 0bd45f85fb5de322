"""What the blocks of ViViT's factorised models 3 and 4 are made of.

Reference:
    Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021,
    https://arxiv.org/abs/2103.15691, Sec. 3.3; conventions are those of Scenic,
    scenic/projects/vivit/model.py.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.attention import SelfAttention
from vidjax.layers.drop_path import DropPath
from vidjax.layers.mlp import Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.ops.attention import attention

# Scenic initialises query, key, value and output by Xavier's bounds, each by itself:
# those of one square kernel, whatever stands beside it.
ATTENTION_INIT = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")
MLP_INIT = nn.initializers.xavier_uniform()
gelu = functools.partial(jax.nn.gelu, approximate=True)


class TimeSpaceBlock(nn.Module):
    """Attention over time, attention over space, and an MLP, each around a shortcut.

    Space and the MLP have the names of `Block`, so that an image network's fit.

    Attributes:
        heads: Number of heads.
        hidden: Width between the layers of the MLP.
        train: Whether to drop paths.
        space_first: Whether space comes before time.
        drop_path_rate: Probability of dropping a branch, in [0, 1).
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    hidden: int
    train: bool
    space_first: bool = False
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t n d"]) -> Float[Array, "b t n d"]:
        """Maps T steps of N tokens [B, T, N, D] to [B, T, N, D]."""
        norm = functools.partial(LayerNorm, dtype=self.dtype)
        drop = functools.partial(
            DropPath(self.drop_path_rate, rescale=False), train=self.train
        )
        for space in (self.space_first, not self.space_first):
            attn = SelfAttention(
                self.heads,
                kernel_init=ATTENTION_INIT,
                dtype=self.dtype,
                name="attn" if space else "time_attn",
            )
            y = norm(name="norm1" if space else "time_norm1")(x)
            y = y if space else y.swapaxes(1, 2)
            y = attn(y.reshape(-1, *y.shape[2:])).reshape(y.shape)
            x = x + drop(y if space else y.swapaxes(1, 2))
        mlp = Mlp(
            self.hidden,
            activation=gelu,
            kernel_init=MLP_INIT,
            dtype=self.dtype,
            name="mlp",
        )
        return x + drop(mlp(norm(name="norm2")(x)))


def time_and_space(query: Array, key: Array, value: Array, *, steps: int) -> Array:
    """Lets half of the heads attend over time, and half over space.

    Args:
        query: [B, T * N, H, d], of T steps and N places; H is even.
        key: The same shape.
        value: The same shape.
        steps: T.

    Returns:
        The same shape.

    Raises:
        ValueError: If the number of heads is odd.
    """
    batch, length, heads, width = query.shape
    if heads % 2:
        raise ValueError(f"Expected an even number of heads, got {heads}.")
    places = length // steps
    grid = [x.reshape(batch, steps, places, heads, width) for x in (query, key, value)]
    time = [x[..., : heads // 2, :].swapaxes(1, 2) for x in grid]
    space = [x[..., heads // 2 :, :] for x in grid]
    over_time, over_space = (
        attention(*(x.reshape(-1, *x.shape[2:]) for x in half)).reshape(half[0].shape)
        for half in (time, space)
    )
    joined = jnp.concatenate([over_time.swapaxes(1, 2), over_space], axis=3)
    return joined.reshape(query.shape)
