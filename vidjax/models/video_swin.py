"""Video Swin Transformer: attention inside windows of space and time that shift.

Reference:
    Liu et al., "Video Swin Transformer", CVPR 2022, https://arxiv.org/abs/2106.13230,
    Sec. 3.

Numbers and details are those of SwinTransformer/Video-Swin-Transformer
(mmaction/models/backbones/swin_transformer.py, configs/recognition/swin), with which
torchvision and MMAction2 agree.
"""

import dataclasses
import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.attention import SelfAttention
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models import zoos
from vidjax.models.r3d import torchvision_weights
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.ops.windows import (
    Extent,
    cut,
    fill,
    join,
    neighbours,
    relative_position_index,
    window_and_shift,
)
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

_EPSILON = 1e-5  # Of the layer norms: PyTorch's default.
_MLP_RATIO = 4


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths and depths of a network.

    Attributes:
        width: Channels of the first stage; each other has twice those before it.
        depths: Blocks of each stage.
        heads: Heads of attention of each stage.
        window: Extent of the windows, in tokens.
        patch: Extent of the blocks of pixels that become tokens.
    """

    width: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: Extent = (8, 7, 7)
    patch: tuple[int, int, int] = (2, 4, 4)


SWIN_T = Layout(96, (2, 2, 6, 2), (3, 6, 12, 24))
SWIN_S = Layout(96, (2, 2, 18, 2), (3, 6, 12, 24))
SWIN_B = Layout(128, (2, 2, 18, 2), (4, 8, 16, 32))
SWIN_L = Layout(192, (2, 2, 18, 2), (6, 12, 24, 48))
SWIN_B_WINDOW16 = dataclasses.replace(SWIN_B, window=(16, 7, 7))
# Ours: windows shift along all axes in the first stage, along time only in the second.
SWIN_TINY = Layout(24, (2, 2), (2, 4), window=(2, 4, 4))


class SwinBlock(nn.Module):
    """Attention inside windows, then an MLP, each behind a norm and beside a shortcut.

    Attributes:
        heads: Number of heads of attention.
        window: Extent of the windows. Along axes on which the map is not larger, one
            window holds all of it.
        shifted: Whether windows begin half a window later than at the border.
        drop_path: Probability of dropping a branch in training.
        train: Whether to drop branches.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    window: Extent
    shifted: bool
    drop_path: float = 0.0
    train: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w d"]) -> Float[Array, "b t h w d"]:
        """Maps [B, T, H, W, D] to the same shape."""
        norm = functools.partial(LayerNorm, _EPSILON, self.dtype)
        drop = DropPath(self.drop_path)
        y = self._attend(norm(name="norm1")(x))
        x = x + drop(y, train=self.train)
        mlp = Mlp(_MLP_RATIO * x.shape[-1], dtype=self.dtype, name="mlp")
        return x + drop(mlp(norm(name="norm2")(x)), train=self.train)

    def _attend(self, x: Array) -> Array:
        size = x.shape[1:4]
        window, shift = window_and_shift(size, self.window, shifted=self.shifted)
        # Zeros that fill the last windows are seen, as in all published code.
        x = fill(x, window)
        filled = x.shape[1:4]
        x = jnp.roll(x, [-s for s in shift], axis=(1, 2, 3))
        windows = cut(x, window)
        mask = None
        if any(shift):
            mask = jnp.tile(neighbours(filled, window, shift), (x.shape[0], 1, 1, 1))
        attend = SelfAttention(self.heads, dtype=self.dtype, name="attn")
        windows = attend(windows, bias=self._bias(windows.shape[1]), mask=mask)
        x = join(windows, filled, window)
        x = jnp.roll(x, shift, axis=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def _bias(self, length: int) -> Float[Array, "1 h n n"]:
        """Biases of the first tokens of a whole window to each other.

        A window that was cut to a small map takes the biases of as many tokens of the
        whole window, in order, wherever they lie: so do all published code bases.
        """
        rows = math.prod(2 * n - 1 for n in self.window)
        table = self.param(
            "relative_position_bias_table", KERNEL_INIT, (rows, self.heads)
        )
        index = relative_position_index(self.window)[:length, :length]
        return jnp.moveaxis(table[index], -1, 0)[None]


class PatchMerging(nn.Module):
    """Joins 2 x 2 tokens of a frame to one of twice the width.

    Attributes:
        dtype: Computation dtype; parameters stay float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w d"]) -> Float[Array, "b t h2 w2 d2"]:
        """Maps [B, T, H, W, D] to [B, T, H/2, W/2, 2D]; odd sizes gain a zero."""
        x = fill(x, (1, 2, 2))
        # Column by column: (0, 0), (1, 0), (0, 1), (1, 1).
        corners = [x[:, :, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        x = jnp.concatenate(corners, axis=-1)
        x = LayerNorm(_EPSILON, self.dtype, name="norm")(x)
        return nn.Dense(
            x.shape[-1] // 2,
            use_bias=False,
            kernel_init=KERNEL_INIT,
            dtype=self.dtype,
            name="reduction",
        )(x)


class VideoSwin(nn.Module):
    """Video Swin Transformer.

    Attributes:
        layout: Widths and depths.
        num_classes: Number of classes; 0 leaves the classifier out.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5.
        drop_path_rate: Probability of dropping the branches of the last block; it grows
            linearly from 0 at the first. The authors train with 0.1 (tiny), 0.2
            (small), 0.3 (base) and 0.4 (Something-Something v2).
        dtype: Computation dtype; parameters, softmax and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    num_classes: int = 400
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any number of frames and any size; zeros are added at
                the end where blocks of pixels or windows do not divide it.
            train: Whether to use dropout and drop path; takes the random key "dropout".

        Returns:
            Logits [B, num_classes]; "patch_embed", the output of every stage as
            "layer1" [B, T/2, H/4, W/4, D] and so on, each before it is merged, with
            "features" (the last of them, normalised), "pooled" (their mean) and
            "logits_per_step" [B, 1, num_classes].

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        layout, block = self.layout, nn.remat(SwinBlock) if self.remat else SwinBlock
        norm = functools.partial(LayerNorm, _EPSILON, self.dtype)
        rates = iter(drop_path_rates(self.drop_path_rate, sum(layout.depths)))

        embed = PatchEmbed(
            layout.width, layout.patch, dtype=self.dtype, name="patch_embed"
        )
        x = norm(name="patch_norm")(embed(fill(clip, layout.patch)))
        endpoints = {"patch_embed": x}
        for stage, depth in enumerate(layout.depths):
            if stage > 0:
                x = PatchMerging(self.dtype, name=f"merge{stage}")(x)
            for i in range(depth):
                x = block(
                    layout.heads[stage],
                    layout.window,
                    i % 2 == 1,
                    next(rates),
                    train,
                    self.dtype,
                    name=f"layer{stage + 1}_{i}",
                )(x)
            endpoints[f"layer{stage + 1}"] = x
        x = norm(name="norm")(x)
        steps = jnp.mean(x.astype(jnp.float32), axis=(1, 2, 3))[:, None]
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, "features": x, **scores}


_VIEWS = protocol("swin-4x3")
_STORAGE = "https://github.com/SwinTransformer/storage/releases/download/v1.0.4"
_MMACTION2_TAG = "kinetics400_mmaction2"
_CARD: dict[str, Any] = {
    # The test pipelines of configs/recognition/swin: a short side of 224 pixels.
    "clip": ClipSpec(num_frames=32, frame_stride=2, crop_fraction=1.0),
    "family": "video_swin",
    "fusion": "attention",
    "paper": (
        'Liu et al., "Video Swin Transformer", CVPR 2022, '
        "https://arxiv.org/abs/2106.13230"
    ),
    "reference": (
        "SwinTransformer/Video-Swin-Transformer, "
        "mmaction/models/backbones/swin_transformer.py"
    ),
}


def _original(file: str, top1: str, **fields: Any) -> Weights:
    data = fields.get("dataset", "Kinetics-400")
    return zoos.published(
        "SwinTransformer/Video-Swin-Transformer",
        f"{_STORAGE}/swin_{file}.pth",
        f"{top1} {data} top-1 (SwinTransformer/Video-Swin-Transformer, README.md)",
        **fields,
    )


def _torchvision(file: str, accuracy: str, tag: str = "torchvision") -> Weights:
    # At 15 frames per second from a short side of 256: a point less than the authors.
    (weights,) = torchvision_weights(f"swin3d_{file}.pth", f"{accuracy} (12 views)")
    return dataclasses.replace(weights, tag=f"kinetics400_{tag}")


def _mmaction2(
    config: str, stamp: str, top1: str, tag: str = _MMACTION2_TAG
) -> Weights:
    config = f"swin-{config}-pre_8xb8-amp-32x2x1-30e"
    return dataclasses.replace(zoos.mmaction2("swin", config, stamp, top1), tag=tag)


@register(
    params=28_158_070,
    gmacs=87.764,
    views=_VIEWS,
    weights=(
        _original("tiny_patch244_window877_kinetics400_1k", "78.8"),
        _torchvision("t-7615ae03", "77.715"),
        _mmaction2(
            "tiny-p244-w877_in1k",
            "20220930-241016b2",
            "78.90",
        ),
    ),
    **_CARD,
)
def swin3d_t(**kwargs: Any) -> VideoSwin:
    """Video Swin-T: windows of 8 x 7 x 7 tokens, depths 2, 2, 6, 2."""
    return VideoSwin(**{"layout": SWIN_T, **kwargs})


@register(
    params=49_816_678,
    gmacs=165.682,
    views=_VIEWS,
    weights=(
        _original("small_patch244_window877_kinetics400_1k", "80.6"),
        _torchvision("s-da41c237", "79.521"),
        _mmaction2(
            "small-p244-w877_in1k",
            "20220930-e91ab986",
            "80.54",
        ),
    ),
    **_CARD,
)
def swin3d_s(**kwargs: Any) -> VideoSwin:
    """Video Swin-S: as Swin-T with 18 blocks in the third stage."""
    return VideoSwin(**{"layout": SWIN_S, **kwargs})


@register(
    params=88_048_984,
    gmacs=281.333,
    views=_VIEWS,
    weights=(
        _original(
            "base_patch244_window877_kinetics400_22k",
            "82.7 (from ImageNet-22k)",
        ),
        _original(
            "base_patch244_window877_kinetics400_1k",
            "80.6",
            tag="kinetics400_imagenet1k",
        ),
        _original(
            "base_patch244_window877_kinetics600_22k",
            "84.0",
            tag="kinetics600",
            dataset="Kinetics-600",
            num_classes=600,
            labels=None,
        ),
        _torchvision("b_1k-24f7c7c6", "79.427", "torchvision_imagenet1k"),
        _torchvision("b_22k-7c6ae6fa", "81.643"),
        _mmaction2(
            "base-p244-w877_in1k",
            "20220930-182ec6cc",
            "80.57",
        ),
    ),
    **_CARD,
)
def swin3d_b(**kwargs: Any) -> VideoSwin:
    """Video Swin-B: as Swin-S, a third wider."""
    return VideoSwin(**{"layout": SWIN_B, **kwargs})


@register(
    params=196_953_916,
    gmacs=603.269,
    views=_VIEWS,
    weights=(
        _mmaction2(
            "large-p244-w877_in22k",
            "20220930-78ad8b11",
            "83.46",
            "kinetics400",
        ),
    ),
    **_CARD,
)
def swin3d_l(**kwargs: Any) -> VideoSwin:
    """Video Swin-L: twice as wide as Swin-S."""
    return VideoSwin(**{"layout": SWIN_L, **kwargs})


@register(
    params=88_834_038,
    gmacs=320.356,
    views=protocol("swin-ssv2-1x3"),
    weights=(
        _original(
            "base_patch244_window1677_sthv2",
            "69.6",
            tag="ssv2",
            dataset="Something-Something v2",
            num_classes=174,
            labels=None,
        ),
    ),
    **{
        **_CARD,
        "clip": ClipSpec(num_frames=32, sampling="segments", crop_fraction=1.0),
    },
)
def swin3d_b_ssv2(**kwargs: Any) -> VideoSwin:
    """Video Swin-B with windows of 16 x 7 x 7 tokens; 174 classes."""
    return VideoSwin(**{"layout": SWIN_B_WINDOW16, "num_classes": 174, **kwargs})


@register(params=80_518, gmacs=0.009143, **{**_CARD, "clip": TINY_CLIP})
def swin3d_tiny(**kwargs: Any) -> VideoSwin:
    """Video Swin of four blocks, for tests and short demonstrations."""
    return VideoSwin(**{"layout": SWIN_TINY, "num_classes": 10, **kwargs})
