"""Tokens from the blocks of a clip."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# The linear layer of a block: Xavier's bounds over all its pixels, as big_vision,
# Scenic and MAE initialise it.
_KERNEL_INIT = nn.initializers.variance_scaling(
    1.0, "fan_avg", "uniform", in_axis=(0, 1, 2, 3), out_axis=4
)


class PatchEmbed(nn.Module):
    """One token for each block (tubelet) of t frames, h rows and w columns.

    A convolution whose stride is its kernel, computed as one product of matrices. A
    block of one frame makes it the patch embedding of an image transformer.

    Attributes:
        features: Width of a token.
        patch: Extent of a block (t, h, w).
        use_bias: Whether a learned bias is added.
        crop: Whether frames, rows and columns at the end that fill no block are left
            out, as a convolution without padding does; otherwise they are refused.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    patch: tuple[int, int, int]
    use_bias: bool = True
    crop: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, clip: Float[Array, "b t h w c"]) -> Float[Array, "b t2 h2 w2 d"]:
        """Embeds the blocks of clips.

        Args:
            clip: [B, T, H, W, C].

        Returns:
            [B, T/t, H/h, W/w, features] in `dtype`.

        Raises:
            ValueError: If blocks do not divide the clip and `crop` is False, the clip
                is smaller than a block, or the stored kernel is for another number of
                channels.
        """
        self._check(clip)
        batch, *extents, channels = clip.shape
        grid = [size // step for size, step in zip(extents, self.patch, strict=True)]
        t, h, w = (n * step for n, step in zip(grid, self.patch, strict=True))
        kernel = self.param(
            "kernel", _KERNEL_INIT, (*self.patch, channels, self.features)
        )
        x = clip[:, :t, :h, :w].astype(self.dtype)
        parts = [n for pair in zip(grid, self.patch, strict=True) for n in pair]
        x = x.reshape(batch, *parts, channels).transpose(0, 1, 3, 5, 2, 4, 6, 7)
        x = x.reshape(batch, *grid, math.prod(self.patch) * channels)
        y = x @ kernel.astype(self.dtype).reshape(-1, self.features)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype).reshape(1, 1, 1, 1, -1)
        return y

    def _check(self, clip: Array) -> None:
        extents = clip.shape[1:4]
        pairs = list(zip(extents, self.patch, strict=True))
        if any(size < step for size, step in pairs):
            raise ValueError(
                f"Expected a clip of at least {self.patch} frames, rows and columns, "
                f"got {extents} in shape {clip.shape}, read as [B, T, H, W, C]."
            )
        if not self.crop and any(size % step for size, step in pairs):
            raise ValueError(
                f"Expected frames, rows and columns that are multiples of {self.patch},"
                f" got {extents} in shape {clip.shape}, read as [B, T, H, W, C]."
            )
        if not self.has_variable("params", "kernel"):
            return
        want = self.get_variable("params", "kernel").shape[3]
        if clip.shape[-1] != want:
            raise ValueError(
                f"Expected {want} channels, for which the kernel of "
                f"{'/'.join(self.path)} was made, got {clip.shape[-1]} in shape "
                f"{clip.shape}, read as [B, T, H, W, C]."
            )
