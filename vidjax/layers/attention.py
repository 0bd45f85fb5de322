"""Attention of tokens to each other, with its linear layers."""

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from vidjax.layers.mlp import KERNEL_INIT
from vidjax.ops.attention import attention

QkvBias = Literal["all", "no key", "none"]
"""Which of query, key and value have a learned bias: all three; query and value, as in
VideoMAE; or none."""

Rotation = Callable[[Array, Array], tuple[Array, Array]]
"""From query and key, [B, N, H, D], to the same by position."""

Attend = Callable[..., Array]
"""From query, key and value, [B, N, H, D], to [B, N, H, D]: `ops.attention.attention`,
or a function made of it; keyword arguments `bias` and `mask` where they are given."""


class SelfAttention(nn.Module):
    """Attention of tokens to each other: one layer `qkv`, attention, a layer `proj`.

    The columns of `qkv` are query, key and value, each by head, as in timm. Without the
    key's bias those of query and value are `q_bias` and `v_bias`.

    Attributes:
        heads: Number of heads H.
        head_width: Width of a head; None takes D / H.
        qkv_bias: See `QkvBias`.
        proj_bias: Whether `proj` has a bias.
        rotate: Turns query and key by position before they meet; None leaves them.
        attend: See `Attend`.
        dropout_rate: Probability of dropping a unit of the result, in [0, 1).
        kernel_init: Initialiser of both kernels.
        dtype: Computation dtype; parameters and softmax stay float32.
    """

    heads: int
    head_width: int | None = None
    qkv_bias: QkvBias = "all"
    proj_bias: bool = True
    rotate: Rotation | None = None
    attend: Attend = attention
    dropout_rate: float = 0.0
    kernel_init: nn.initializers.Initializer = KERNEL_INIT
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b n d"],
        *,
        bias: Float[Array, "#b #h #n #n"] | None = None,
        mask: Bool[Array, "#b #h #n #n"] | None = None,
        train: bool = False,
    ) -> Float[Array, "b n d"]:
        """Lets every token gather from all tokens of its row of the batch.

        Args:
            x: Tokens, [B, N, D]; axes that do not meet are folded into the batch.
            bias: Added to the scores, [B or 1, H or 1, N or 1, N or 1].
            mask: Which tokens a token may look at, of such a shape.
            train: Whether to use dropout; takes the random key "dropout" then.

        Returns:
            [B, N, D] in `dtype`.

        Raises:
            ValueError: If the heads do not divide D and no width is given.
        """
        batch, length, width = x.shape
        if self.head_width is None and width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide the {width} channels of "
                f"{'/'.join(self.path)}."
            )
        head_width = self.head_width or width // self.heads
        inner = self.heads * head_width
        qkv = nn.Dense(
            3 * inner,
            use_bias=self.qkv_bias == "all",
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="qkv",
        )(x)
        if self.qkv_bias == "no key":
            q_bias = self.param("q_bias", nn.initializers.zeros, (inner,))
            v_bias = self.param("v_bias", nn.initializers.zeros, (inner,))
            row = jnp.concatenate([q_bias, jnp.zeros_like(q_bias), v_bias])
            qkv = qkv + row.astype(self.dtype).reshape(1, 1, -1)
        qkv = qkv.reshape(batch, length, 3, self.heads, head_width)
        query, key, value = (qkv[:, :, i] for i in range(3))
        if self.rotate is not None:
            query, key = self.rotate(query, key)
        given = {"bias": bias, "mask": mask}
        given = {name: what for name, what in given.items() if what is not None}
        y = self.attend(query, key, value, **given)
        y = nn.Dense(
            width,
            use_bias=self.proj_bias,
            kernel_init=self.kernel_init,
            dtype=self.dtype,
            name="proj",
        )(y.reshape(batch, length, inner))
        return nn.Dropout(self.dropout_rate, deterministic=not train)(y)
