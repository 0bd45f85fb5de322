"""VideoMAE: a vision transformer on space-time blocks.

Reference:
    Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for
    Self-Supervised Video Pre-Training", NeurIPS 2022, https://arxiv.org/abs/2203.12602.

As in published weights: blocks of 2 frames x 16 x 16 pixels; a fixed table of sines and
cosines over all blocks in one row; query and value have a bias, the key has none; no
class token, but the mean of all tokens, then a norm. Norms have epsilon 1e-6, as the
authors'; transformers has 1e-12 in blocks and 1e-5 elsewhere, of which nothing shows.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.block import Block
from vidjax.layers.drop_path import drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.ops.position import sines_and_cosines
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes of the encoder and of the decoder of pre-training.

    MLPs are four times as wide as tokens; heads of the decoder are as wide as those of
    the encoder.

    Attributes:
        width: Of a token.
        depth: Number of blocks.
        heads: Of attention.
        decoder_width: Of a token of the decoder.
        decoder_depth: Its number of blocks.
        decoder_heads: Of its attention.
        patch: Extent (t, h, w) of a block of pixels.
    """

    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    patch: tuple[int, int, int] = (2, 16, 16)


# Decoders: decoder_depth and the sizes of the published pre-trained weights
# (convert_videomae_to_pytorch.py of transformers; small as in the authors' scripts).
SMALL = Layout(384, 12, 6, 192, 4, 3)
BASE = Layout(768, 12, 12, 384, 4, 6)
LARGE = Layout(1024, 24, 16, 512, 12, 8)
HUGE = Layout(1280, 32, 16, 640, 12, 8)
TINY = Layout(48, 3, 3, 32, 1, 2, patch=(2, 8, 8))  # Ours.


class VideoMAE(nn.Module):
    """A transformer on the blocks of a clip, classified by the mean of its tokens.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth and width.
        heads: Of attention; None takes the layout's. Weights do not tell it:
            transformers' configuration of the small model says 16, the authors' has 6.
        dropout_rate: Probability of dropping a unit before the last layer. The authors
            fine-tune base models with 0.5 (fc_drop_rate of their scripts).
        drop_path_rate: Probability of dropping each branch of the last block; it grows
            linearly from 0 at the first.
        head_std: Standard deviation of the classifier's kernel at the start;
            the authors fine-tune with 2e-5 (0.02 x init_scale of their scripts).
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = BASE
    heads: int | None = None
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    head_std: float = 0.01
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any multiples of the extent of a block.
            train: Whether to use dropout and drop paths.

        Returns:
            Logits [B, num_classes], and tokens after every block as "blocks_0", ...
            [B, T', H', W', D], with "features" (the last of them) and "pooled" [B, D],
            their normalised mean.

        Raises:
            ValueError: If the clip does not have five axes, or blocks do not divide it.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        heads = self.layout.heads if self.heads is None else self.heads
        layout = dataclasses.replace(self.layout, heads=heads)
        x, grid = embed(self, clip, layout, self.dtype)
        endpoints: Endpoints = {}
        stack = blocks(
            layout, self.drop_path_rate, self.dtype, train=train, remat=self.remat
        )
        for i, block in enumerate(stack):
            x = block(x)
            endpoints[f"blocks_{i}"] = x.reshape(x.shape[0], *grid, layout.width)
        mean = jnp.mean(x, axis=1, keepdims=True, dtype=jnp.float32)
        mean = LayerNorm(name="fc_norm")(mean)
        head = Classifier(
            self.num_classes, self.dropout_rate, self.head_std, name="logits"
        )
        logits, scores = head(mean, train=train)
        features = endpoints[f"blocks_{layout.depth - 1}"]
        return logits, {**endpoints, "features": features, "pooled": scores["pooled"]}


def embed(
    module: nn.Module, clip: Clip, layout: Layout, dtype: DTypeLike
) -> tuple[Float[Array, "b n d"], tuple[int, int, int]]:
    """Makes tokens of blocks and adds their positions.

    A table of positions among the weights, `pos_embed`, is taken in place of the fixed
    one: MMAction2 stores it, and the authors' code can learn it.

    Args:
        module: Whose submodule `patch_embed` it is.
        clip: [B, T, H, W, C].
        layout: Extent of a block of pixels, and width D.
        dtype: Of the result.

    Returns:
        Tokens [B, N, D], and the extents (T', H', W') of their grid.

    Raises:
        ValueError: If the table among the weights is for other clips.
    """
    x = PatchEmbed(layout.width, layout.patch, dtype=dtype, name="patch_embed")(clip)
    batch, *grid, width = x.shape
    x = x.reshape(batch, -1, width)
    table = sines_and_cosines(x.shape[1], width)
    table = module.variables.get("params", {}).get("pos_embed", table)
    if table.shape[1] != x.shape[1]:
        raise ValueError(
            f"Expected {table.shape[1]} blocks of {layout.patch} frames, rows and "
            f"columns, as in the weights' own table of positions, got {x.shape[1]} in "
            f"shape {clip.shape}, read as [B, T, H, W, C]."
        )
    return x + jnp.asarray(table).astype(dtype), (grid[0], grid[1], grid[2])


def blocks(
    layout: Layout,
    drop_path_rate: float,
    dtype: DTypeLike,
    *,
    train: bool,
    remat: bool,
    kernel_init: nn.initializers.Initializer = KERNEL_INIT,
) -> list[Block]:
    """Returns the blocks of an encoder, submodules `blocks_0`, ... of whose code it is.

    Args:
        layout: Their number and sizes.
        drop_path_rate: Probability of dropping each branch of the last block.
        dtype: Computation dtype.
        train: Whether to drop paths.
        remat: Whether blocks are computed again in the backward pass to save memory.
        kernel_init: Initialiser of their kernels.
    """
    block: Any = nn.remat(Block) if remat else Block
    return [
        block(
            layout.heads,
            4 * layout.width,
            train,
            qkv_bias="no key",
            drop_path_rate=rate,
            attention_init=kernel_init,
            mlp_init=kernel_init,
            dtype=dtype,
            name=f"blocks_{i}",
        )
        for i, rate in enumerate(drop_path_rates(drop_path_rate, layout.depth))
    ]


_PAPER = (
    'Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for '
    'Self-Supervised Video Pre-Training", NeurIPS 2022, '
    "https://arxiv.org/abs/2203.12602"
)
CARD: dict[str, Any] = {
    # The authors test with a short side of 224 pixels.
    "clip": ClipSpec(16, 4, crop_fraction=1.0),
    "family": "videomae",
    "fusion": "attention",
    "paper": _PAPER,
    "reference": "MCG-NJU/VideoMAE, modeling_finetune.py",
    "views": protocol("videomae-5x3"),
}
_OPENMMLAB = "https://download.openmmlab.com/mmaction/v1.0/recognition/videomae"


def _mmaction2(size: str, stamp: str, accuracy: str) -> Weights:
    """The authors' weights with other names (configs/recognition/videomae)."""
    file = f"vit-{size}-p16_videomae-k400-pre_16x4x1_kinetics-400_{stamp}.pth"
    url = f"{_OPENMMLAB}/{file}"
    return Weights(
        tag="kinetics400",
        description="The authors', trained on Kinetics-400; MMAction2's file",
        num_classes=400,
        labels="kinetics400",
        file=file,
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=f"{accuracy} Kinetics-400 top-1 (MODEL_ZOO.md of MCG-NJU/VideoMAE)",
        licence="CC-BY-NC-4.0",
    )


@register(params=22_033_936, gmacs=56.88, **CARD)
def videomae_small(**kwargs: Any) -> VideoMAE:
    """VideoMAE on ViT-S, of 6 heads; `heads=16` is transformers' configuration."""
    return VideoMAE(**{"layout": SMALL, **kwargs})


@register(
    params=86_534_800,
    gmacs=180.345,
    weights=(_mmaction2("base", "20221013-860a3cd3", "81.5"),),
    **CARD,
)
def videomae_base(**kwargs: Any) -> VideoMAE:
    """VideoMAE on ViT-B."""
    return VideoMAE(**{"layout": BASE, **kwargs})


@register(
    params=304_270_736,
    gmacs=596.833,
    weights=(_mmaction2("large", "20221013-229dbb03", "85.2"),),
    **CARD,
)
def videomae_large(**kwargs: Any) -> VideoMAE:
    """VideoMAE on ViT-L."""
    return VideoMAE(**{"layout": LARGE, **kwargs})


@register(params=632_119_440, gmacs=1190.99, **CARD)
def videomae_huge(**kwargs: Any) -> VideoMAE:
    """VideoMAE on ViT-H."""
    return VideoMAE(**{"layout": HUGE, **kwargs})


@register(params=103_738, gmacs=0.0076682, **{**CARD, "clip": TINY_CLIP})
def videomae_tiny(**kwargs: Any) -> VideoMAE:
    """VideoMAE of three blocks, for tests and short demonstrations."""
    return VideoMAE(**{"num_classes": 10, "layout": TINY, **kwargs})
