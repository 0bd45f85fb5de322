"""VideoMAE's masked autoencoder, with which its encoder is pre-trained.

Reference:
    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for
    Self-Supervised Video Pre-Training", NeurIPS 2022, https://arxiv.org/abs/2203.12602.

Kernels start as in He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR
2022, https://arxiv.org/abs/2111.06377, App. A.1 (xavier_uniform): with the deviation of
0.02 that fine-tuning has, those of narrow models would start far too small.

Masks and what is to be predicted are in `vidjax.ops.masked_modeling`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.block import Block
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT
from vidjax.layers.norm import LayerNorm
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.videomae import (
    BASE,
    CARD,
    HUGE,
    LARGE,
    SMALL,
    TINY,
    Layout,
    blocks,
    embed,
)
from vidjax.ops.check import check_clip
from vidjax.ops.masked_modeling import (
    Targets,
    hidden_places,
    split_by_mask,
    tube_mask,
)
from vidjax.ops.position import sines_and_cosines
from vidjax.protocols import protocol
from vidjax.typing import Clip, Endpoints, Logits

_INIT = nn.initializers.xavier_uniform()


class VideoMAEPretrain(nn.Module):
    """The masked autoencoder: hidden blocks are predicted from the visible ones.

    The encoder, whose parameters have the names that they have in `VideoMAE`, sees the
    visible blocks only. The small decoder sees its tokens and, behind them, a learned
    token for each hidden block.

    Attributes:
        num_classes: Values K predicted of a block: 1,536 for 2 x 16 x 16 pixels of
            three channels. They are the last layer's, as classes elsewhere; 0 leaves
            it out.
        layout: Depths and widths.
        mask_ratio: Share of the places of a map that is hidden, in (0, 1).
        targets: What the predictions are: pixels "normalised" block by block, or
            "pixels" in [0, 1] as they are.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping each branch of the encoder's last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and predictions stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 1536
    layout: Layout = BASE
    mask_ratio: float = 0.9
    targets: Targets = "normalised"
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        clip: Clip,
        mask: ArrayLike | None = None,
        *,
        train: bool = False,
    ) -> tuple[Logits, Endpoints]:
        """Predicts the hidden blocks of clips.

        Args:
            clip: [B, T, H, W, C], multiples of the extent of a block.
            mask: [B, N], True where a block is hidden, as many in every clip; under
                `jax.jit`, where the numbers in it are not known, as many as `tube_mask`
                hides by `mask_ratio`, or results are NaN. None makes such a mask: in
                training from the random key "dropout", else always the same.
            train: Whether to use drop paths and a mask of chance.

        Returns:
            The mean of the predictions over the M hidden blocks [B, K], and
            "logits_per_step" [B, M, K], the predictions in the order of the blocks,
            what `targets` says (`vidjax.ops.masked_modeling`); "mask" [B, N];
            "features" [B, N - M, D], the encoder's tokens; and "pooled" [B, D'], the
            mean of the decoder's.

        Raises:
            ValueError: If the clip does not have five axes, blocks do not divide it, or
                the mask has another shape or hides different numbers.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        x, grid = embed(self, clip, self.layout, self.dtype)
        if mask is None:
            key = self.make_rng("dropout") if train else jax.random.key(0)
            mask = tube_mask(key, x.shape[0], grid, self.mask_ratio)
        hidden = self._count(mask, x, grid)
        mask = jnp.asarray(mask)
        unseen, seen = split_by_mask(mask, hidden)
        x = _take(x, seen)
        for block in blocks(
            self.layout,
            self.drop_path_rate,
            self.dtype,
            train=train,
            remat=self.remat,
            kernel_init=_INIT,
        ):
            x = block(x)
        if self.is_initializing() or "norm" in self.variables["params"]:
            x = LayerNorm(dtype=self.dtype, name="norm")(x)
        y = self._decode(x, seen, unseen, train)
        right = jnp.sum(mask, axis=1) == hidden
        y = jnp.where(right.reshape(-1, 1, 1), y, jnp.nan)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(y, train=train)
        return logits, {"features": x, "mask": mask, **scores}

    @nn.nowrap
    def _decode(self, x: Array, seen: Array, unseen: Array, train: bool) -> Array:
        """Maps the encoder's tokens to the decoder's of the M hidden blocks."""
        layout = self.layout
        width = layout.decoder_width
        dense = {"use_bias": False, "kernel_init": _INIT, "dtype": self.dtype}
        x = nn.Dense(width, name="encoder_to_decoder", **dense)(x)
        table = sines_and_cosines(seen.shape[1] + unseen.shape[1], width)
        table = jnp.broadcast_to(jnp.asarray(table), (x.shape[0], *table.shape[1:]))
        token = self.param("mask_token", KERNEL_INIT, (1, 1, width))
        y = jnp.concatenate(
            [
                x + _take(table, seen).astype(self.dtype),
                (token + _take(table, unseen)).astype(self.dtype),
            ],
            axis=1,
        )
        decoder = Decoder(layout, train, self.dtype, self.remat, name="decoder")
        return decoder(y)[:, seen.shape[1] :]

    @nn.nowrap
    def _count(self, mask: Any, x: Array, grid: tuple[int, int, int]) -> int:
        """Returns how many blocks of a clip are hidden."""
        if mask.shape != x.shape[:2]:
            raise ValueError(
                f"Expected a mask of shape {x.shape[:2]}, one truth value for each of "
                f"the blocks {grid} of a clip, got {mask.shape}."
            )
        with jax.ensure_compile_time_eval():
            counts = jnp.sum(jnp.asarray(mask), axis=1)
            try:
                fewest, most = int(counts.min()), int(counts.max())
            except jax.errors.ConcretizationTypeError:
                return grid[0] * hidden_places(grid, self.mask_ratio)
        if fewest != most:
            raise ValueError(
                "Expected a mask that hides as many blocks in every clip, got one that "
                f"hides from {fewest} to {most}."
            )
        return fewest


class Decoder(nn.Module):
    """Blocks of the decoder and the norm behind them.

    Attributes:
        layout: Its depth and width.
        train: Whether it is trained; it drops nothing.
        dtype: Computation dtype; parameters stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    train: bool
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Maps tokens [B, N, D] to [B, N, D]."""
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.layout.decoder_depth):
            x = block(
                self.layout.decoder_heads,
                4 * self.layout.decoder_width,
                self.train,
                qkv_bias="no key",
                attention_init=_INIT,
                mlp_init=_INIT,
                dtype=self.dtype,
                name=f"blocks_{i}",
            )(x)
        return LayerNorm(dtype=self.dtype, name="norm")(x)


def _take(x: Array, index: Array) -> Array:
    """Maps [B, N, D] and [B, M] to [B, M, D]."""
    return jnp.take_along_axis(x, index[:, :, None], axis=1)


_PRETRAIN: dict[str, Any] = {
    **CARD,
    "family": "videomae_pretrain",
    "reference": "MCG-NJU/VideoMAE, modeling_pretrain.py",
    "views": protocol("center"),
}


@register(params=24_029_376, gmacs=11.536, **_PRETRAIN)
def videomae_small_pretrain(**kwargs: Any) -> VideoMAEPretrain:
    """VideoMAE's masked autoencoder on ViT-S."""
    return VideoMAEPretrain(**{"layout": SMALL, **kwargs})


@register(params=94_210_944, gmacs=35.44, **_PRETRAIN)
def videomae_base_pretrain(**kwargs: Any) -> VideoMAEPretrain:
    """VideoMAE's masked autoencoder on ViT-B."""
    return VideoMAEPretrain(**{"layout": BASE, **kwargs})


@register(params=342_996_992, gmacs=142.636, **_PRETRAIN)
def videomae_large_pretrain(**kwargs: Any) -> VideoMAEPretrain:
    """VideoMAE's masked autoencoder on ViT-L."""
    return VideoMAEPretrain(**{"layout": LARGE, **kwargs})


@register(params=692_487_296, gmacs=237.607, **_PRETRAIN)
def videomae_huge_pretrain(**kwargs: Any) -> VideoMAEPretrain:
    """VideoMAE's masked autoencoder on ViT-H."""
    return VideoMAEPretrain(**{"layout": HUGE, **kwargs})


@register(params=130_224, gmacs=0.0042435, **{**_PRETRAIN, "clip": TINY_CLIP})
def videomae_pretrain_tiny(**kwargs: Any) -> VideoMAEPretrain:
    """VideoMAE's masked autoencoder of three blocks and one."""
    tiny = {"num_classes": 384, "layout": TINY, "mask_ratio": 0.75}
    return VideoMAEPretrain(**{**tiny, **kwargs})
