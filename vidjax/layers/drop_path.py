"""Stochastic depth."""

import jax
from flax import linen as nn
from jaxtyping import Array, Float


class DropPath(nn.Module):
    """Drops the residual branch of whole clips in training, and scales up the others.

    Attributes:
        rate: Probability of dropping a clip's branch, in [0, 1).
        rescale: Whether the branches that are left are divided by 1 - `rate`. Scenic
            does not.

    References:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016,
        https://arxiv.org/abs/1603.09382; scaled by 1 / (1 - rate) in training instead
        of by 1 - rate at test time, as torchvision and timm do.
    """

    rate: float = 0.0
    rescale: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *space d"], *, train: bool
    ) -> Float[Array, "b *space d"]:
        """Drops and scales.

        Args:
            x: The branch, [B, ..., D].
            train: Whether to drop; takes the random key "dropout" if `rate` is not 0.

        Returns:
            The same shape and dtype.
        """
        if not train or self.rate == 0.0:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        keep = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - self.rate, shape)
        x = x * keep.astype(x.dtype)
        return x / (1.0 - self.rate) if self.rescale else x


def drop_path_rates(rate: float, depth: int) -> tuple[float, ...]:
    """Returns the rates of the blocks of a network: from 0 linearly to `rate`.

    Args:
        rate: Probability at the last block, in [0, 1).
        depth: Number of blocks.

    Returns:
        One rate a block.

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:
        >>> drop_path_rates(0.5, 3)
        (0.0, 0.25, 0.5)
    """
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"drop_path_rate must be in [0, 1), got {rate}.")
    return tuple(rate * i / max(depth - 1, 1) for i in range(depth))
