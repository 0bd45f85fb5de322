"""UniFormer: convolutions where maps are large, attention where they are small.

Reference:
    Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal
    Representation Learning", ICLR 2022, https://arxiv.org/abs/2201.04676.

As in MMAction2, mmaction/models/backbones/uniformer.py: every block first adds a
depthwise 3x3x3 convolution of its input, which tells positions; the first two stages
have batch norm and a depthwise 5x5x5 convolution where the last two have layer norm
(epsilon 1e-5) and attention over all of the clip; a batch norm is the last layer.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.block import Block
from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import exact_gelu
from vidjax.layers.norm import BatchNorm, LayerNorm
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

_EPSILON = 1e-5  # Of layer norms; PyTorch's default.
_MLP_RATIO = 4
_CONVOLUTIONAL = 2  # Stages of convolutions, before those of attention.


@dataclasses.dataclass(frozen=True)
class Layout:
    """Size of a UniFormer.

    Attributes:
        depths: Blocks of the four stages.
        widths: Their channels.
        head_width: Channels of a head of attention.
    """

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    head_width: int = 64


# configs/recognition/uniformer of MMAction2.
SMALL = Layout((3, 4, 8, 3))
BASE = Layout((5, 8, 20, 7))
TINY = Layout((1, 1, 1, 1), (16, 16, 32, 32), 16)


class ConvBlock(nn.Module):
    """A depthwise convolution between two pointwise ones, then an MLP.

    Attributes:
        drop_path_rate: Probability of dropping a branch, in [0, 1).
        train: Whether to drop paths.
        conv: Builds a convolution from (features, kernel size).
        norm: Builds a batch norm.
    """

    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w d"]) -> Float[Array, "b t h w d"]:
        """Maps [B, T, H, W, D] to the same shape."""
        width = x.shape[-1]
        drop = functools.partial(DropPath(self.drop_path_rate), train=self.train)
        point = functools.partial(self.conv, kernel_size=(1, 1, 1))
        y = point(width, name="conv1")(self.norm(name="norm1")(x))
        y = self.conv(width, (5, 5, 5), groups=width, name="attn")(y)
        x = x + drop(point(width, name="conv2")(y))
        y = point(_MLP_RATIO * width, name="fc1")(self.norm(name="norm2")(x))
        return x + drop(point(width, name="fc2")(exact_gelu(y)))


class UniFormer(nn.Module):
    """Two stages of convolutions and two of attention.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depths and widths.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the branches of the last block; it grows
            linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = SMALL
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T; H and W of at least 32.
            train: Whether to use dropout, drop path and batch statistics.

        Returns:
            Logits [B, num_classes], and the maps [B, T', H', W', D] of the stages as
            "blocks1" to "blocks4", with "features" (the last behind its norm) and
            "pooled" [B, D].

        Raises:
            ValueError: If the clip does not have five axes or is too small.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip, min_size=32)
        conv = functools.partial(Conv, use_bias=True, padding="torch", dtype=self.dtype)
        norm = functools.partial(BatchNorm, train, dtype=self.dtype)
        rates = iter(drop_path_rates(self.drop_path_rate, sum(self.layout.depths)))
        x, endpoints = clip, {}
        stages = zip(self.layout.depths, self.layout.widths, strict=True)
        for stage, (depth, width) in enumerate(stages, start=1):
            x = self._shrink(x, stage, width)
            for i in range(depth):
                name = f"blocks{stage}_{i}"
                depthwise = conv(
                    width, (3, 3, 3), groups=width, name=f"{name}_pos_embed"
                )
                x = x + depthwise(x)
                if stage <= _CONVOLUTIONAL:
                    block = nn.remat(ConvBlock) if self.remat else ConvBlock
                    x = block(next(rates), train, conv, norm, name=name)(x)
                else:
                    x = self._attend(x, name, next(rates), train)
            endpoints[f"blocks{stage}"] = x
        x = norm(name="norm")(x)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        pooled = jnp.mean(x.astype(jnp.float32), axis=(1, 2, 3))
        logits, scores = head(pooled[:, None], train=train)
        return logits, {**endpoints, "features": x, "pooled": scores["pooled"]}

    @nn.nowrap
    def _shrink(self, x: Array, stage: int, width: int) -> Array:
        """Embeds blocks of pixels; the first stage halves the frames as well."""
        first = stage == 1
        kernel, strides = ((3, 4, 4), (2, 4, 4)) if first else ((1, 2, 2), (1, 2, 2))
        x = Conv(
            width,
            kernel,
            strides,
            padding=((int(first), int(first)), (0, 0), (0, 0)),
            use_bias=True,
            dtype=self.dtype,
            name=f"patch_embed{stage}_proj",
        )(x)
        return LayerNorm(_EPSILON, self.dtype, name=f"patch_embed{stage}_norm")(x)

    @nn.nowrap
    def _attend(self, x: Array, name: str, rate: float, train: bool) -> Array:
        """Applies a block of attention over all of a map."""
        batch, *_, width = x.shape
        block = nn.remat(Block) if self.remat else Block
        y = block(
            width // self.layout.head_width,
            _MLP_RATIO * width,
            train,
            epsilon=_EPSILON,
            drop_path_rate=rate,
            dtype=self.dtype,
            name=name,
        )(x.reshape(batch, -1, width))
        return y.reshape(x.shape)


_CARD = {
    "family": "uniformer",
    "fusion": "attention",
    "paper": (
        'Li et al., "UniFormer: Unified Transformer for Efficient Spatiotemporal '
        'Representation Learning", ICLR 2022, https://arxiv.org/abs/2201.04676'
    ),
    "reference": "MMAction2, mmaction/models/backbones/uniformer.py",
    "views": protocol("mmaction-4x1"),
}
# configs/recognition/uniformer: mean 114.75 and std 57.375, resized to 224 pixels.
_CLIP = ClipSpec(
    num_frames=16,
    frame_stride=4,
    crop_fraction=1.0,
    mean=(0.45,) * 3,
    std=(0.225,) * 3,
)
_ZOO = "https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1"


def _weights(tag: str, file: str, top1: str) -> Weights:
    """A row of MMAction2's table."""
    file = f"uniformer-{file}.pth"
    return Weights(
        tag=tag,
        description="The authors', ported to MMAction2, trained on Kinetics-400",
        num_classes=400,
        labels="kinetics400",
        file=file,
        sha256=file.removesuffix(".pth").rpartition("-")[2],
        url=f"{_ZOO}/{file}",
        get=f"Download {_ZOO}/{file} and give its path.",
        accuracy=(
            f"{top1} Kinetics-400 top-1 (configs/recognition/uniformer/README.md of "
            "MMAction2)"
        ),
        licence="Apache-2.0",
    )


_FILE = "imagenet1k-pre_{}x4x1_kinetics400-rgb_20221219"


@register(
    clip=_CLIP,
    params=21_400_400,
    gmacs=41.663,
    weights=(_weights("kinetics400", f"small_{_FILE.format(16)}-c630a037", "80.9"),),
    **_CARD,
)
def uniformer_s(**kwargs: Any) -> UniFormer:
    """UniFormer-S, 16x4."""
    return UniFormer(**{"layout": SMALL, **kwargs})


@register(
    clip=_CLIP,
    params=49_813_200,
    gmacs=96.554,
    weights=(
        _weights("kinetics400", f"base_{_FILE.format(16)}-157c2e66", "82.0"),
        _weights("kinetics400_32x4", f"base_{_FILE.format(32)}-b776322c", "83.1"),
    ),
    **_CARD,
)
def uniformer_b(**kwargs: Any) -> UniFormer:
    """UniFormer-B, 16x4."""
    return UniFormer(**{"layout": BASE, **kwargs})


@register(clip=TINY_CLIP, params=47_754, gmacs=0.00258272, **_CARD)
def uniformer_tiny(**kwargs: Any) -> UniFormer:
    """UniFormer of four blocks."""
    return UniFormer(**{"num_classes": 10, "layout": TINY, **kwargs})
