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
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.drop_path import drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models import zoos
from vidjax.models.r3d import torchvision_weights
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.swin_blocks import EPSILON, PatchMerging, SwinBlock
from vidjax.ops.check import check_clip
from vidjax.ops.windows import (
    Extent,
    fill,
)
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights


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
        norm = functools.partial(LayerNorm, EPSILON, self.dtype)
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
