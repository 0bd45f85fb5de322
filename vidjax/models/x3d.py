"""X3D: a small image network expanded along time, space, width and depth.

Reference:
    Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition",
    CVPR 2020, https://arxiv.org/abs/2004.04730.

Widths, strides and the head are those of facebookresearch/SlowFast
(slowfast/models/video_model_builder.py and head_helper.py). PyTorchVideo's networks
have one batch norm less, in the shortcut of the very first block: their weights convert
to one there that changes nothing. MMAction2 averages the whole map, which differs only
for clips larger than those for training.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

_POINT = (1, 1, 1)
_EXPANSION = 2.25  # Table 1 of the paper, gamma_b: inner over outer channels of blocks.
_SQUEEZE = 1 / 16  # SlowFast: slowfast/models/resnet_helper.py, X3DTransform.


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of the paper's Table 2.

    Attributes:
        blocks: Blocks in each stage, "res2" and on; every stage halves the map.
        window: Positions (T, H, W) of the last map that are averaged before the last
            two layers: all of them in a clip for training.
        width: Channels of the stem and of the first stage; doubled from stage to stage.
        hidden: Channels of the last layer before the classifier.
    """

    blocks: tuple[int, ...]
    window: tuple[int, int, int]
    width: int = 24
    hidden: int = 2048


X3D_XS = Layout((3, 5, 11, 7), (4, 5, 5))
X3D_S = Layout((3, 5, 11, 7), (13, 5, 5))
X3D_M = Layout((3, 5, 11, 7), (16, 7, 7))
X3D_L = Layout((5, 10, 25, 15), (16, 10, 10))
# Ours: a block with squeeze-excitation and one without on each of two maps.
X3D_TINY = Layout((2, 2), (8, 4, 4), hidden=256)


class SqueezeExcitation(nn.Module):
    """Weighs channels by what all positions of the clip say of them.

    Attributes:
        features: Channels between the two linear layers.
        dtype: Computation dtype; parameters stay float32.

    References:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018,
        https://arxiv.org/abs/1709.01507.
    """

    features: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """Maps [B, T, H, W, C] to [B, T, H, W, C]."""
        conv = functools.partial(
            Conv, kernel_size=_POINT, use_bias=True, dtype=self.dtype
        )
        y = jnp.mean(x, axis=(1, 2, 3), keepdims=True, dtype=jnp.float32)
        y = nn.relu(conv(self.features, name="fc1")(y))
        return x * nn.sigmoid(conv(x.shape[-1], name="fc2")(y))


class X3DBlock(nn.Module):
    """1x1x1, depthwise 3x3x3 and 1x1x1 convolutions with a shortcut.

    Attributes:
        features: Output channels.
        stride: In space, of the depthwise convolution.
        squeeze: Whether channels are weighed after the depthwise convolution.
        shortcut_norm: Whether a convolution in the shortcut has a batch norm.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    stride: int
    squeeze: bool
    shortcut_norm: bool
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T, H / stride, W / stride, features]."""
        inner, strides = int(_EXPANSION * self.features), (1, self.stride, self.stride)
        y = self.conv(inner, _POINT, name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        depthwise = functools.partial(self.conv, groups=inner, name="conv2")
        y = self.norm(name="bn2")(depthwise(inner, (3, 3, 3), strides)(y))
        if self.squeeze:
            squeezed = round_width(inner * _SQUEEZE)
            y = SqueezeExcitation(squeezed, self.dtype, name="se")(y)
        y = self.conv(self.features, _POINT, name="conv3")(nn.silu(y))
        y = self.norm(name="bn3")(y)
        y = DropPath(self.drop_path_rate)(y, train=self.train)
        if self.stride != 1 or x.shape[-1] != self.features:
            x = self.conv(self.features, _POINT, strides, name="downsample_conv")(x)
            x = self.norm(name="downsample_bn")(x) if self.shortcut_norm else x
        return nn.relu(y + x)


def round_width(width: float) -> int:
    """Rounds a number of channels to a multiple of 8.

    Args:
        width: Number of channels.

    Returns:
        The nearest multiple of 8, at least 8, or the next if it is more than a tenth
        below; slowfast/models/video_model_builder.py and its `round_width`.

    Example:
        >>> round_width(3.4), round_width(13.5), round_width(27.0)
        (8, 16, 32)
    """
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


class X3D(nn.Module):
    """X3D video classifier.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and window of the head.
        first_shortcut_norm: Whether the first block has a batch norm in its shortcut;
            PyTorchVideo's has none, all others' have.
        dropout_rate: Probability of dropping a unit before the last layer; the author
            trains with 0.5.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = X3D_M
    first_shortcut_norm: bool = True
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        A clip larger than those for training has several positions of the window, each
        with its own scores; of a smaller one the whole map is averaged.

        Args:
            clip: [B, T, H, W, C], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes]; the stages "conv1", "res2" and so on, and "conv5",
            of shape [B, T, H', W', D], with "features" (the last of them), "pooled"
            [B, D], and "logits_per_step" [B, N, num_classes] for N positions, of which
            the author averages the softmax.

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        layout = self.layout
        conv = functools.partial(Conv, padding="torch", dtype=self.dtype)
        norm = functools.partial(BatchNorm, train, dtype=self.dtype)
        block = nn.remat(X3DBlock) if self.remat else X3DBlock

        x = conv(layout.width, (1, 3, 3), (1, 2, 2), name="conv1_xy")(clip)
        x = conv(layout.width, (5, 1, 1), groups=layout.width, name="conv1_t")(x)
        x = nn.relu(norm(name="bn1")(x))
        endpoints = {"conv1": x}
        rates = iter(drop_path_rates(self.drop_path_rate, sum(layout.blocks)))
        for stage, depth in enumerate(layout.blocks):
            for i in range(depth):
                x = block(
                    features=layout.width * 2**stage,
                    stride=2 if i == 0 else 1,
                    squeeze=i % 2 == 0,
                    shortcut_norm=self.first_shortcut_norm or (stage, i) != (0, 0),
                    drop_path_rate=next(rates),
                    train=train,
                    conv=conv,
                    norm=norm,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}_{i}",
                )(x)
            endpoints[f"res{stage + 2}"] = x
        x = conv(int(_EXPANSION * x.shape[-1]), _POINT, name="conv5")(x)
        x = nn.relu(norm(name="bn5")(x))
        endpoints |= {"conv5": x, "features": x}

        window = zip(layout.window, x.shape[1:4], strict=True)
        x = avg_pool(x, tuple(map(min, window)), _POINT)
        x = nn.relu(conv(layout.hidden, _POINT, name="lin5")(x))
        steps = x.reshape(x.shape[0], -1, layout.hidden)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, **scores}


_CARD = {
    "family": "x3d",
    "fusion": "slow",
    "paper": (
        'Feichtenhofer, "X3D: Expanding Architectures for Efficient Video '
        'Recognition", CVPR 2020, https://arxiv.org/abs/2004.04730'
    ),
    "reference": "facebookresearch/SlowFast, slowfast/models/video_model_builder.py",
    "views": protocol("pyslowfast-30"),
}


def _clip(frames: int, stride: int, size: int, short_side: int) -> ClipSpec:
    # facebookresearch/SlowFast, configs/Kinetics/X3D_*.yaml and config/defaults.py.
    return ClipSpec(
        num_frames=frames,
        frame_stride=stride,
        size=size,
        fps=30.0,
        crop_fraction=size / short_side,
        mean=(0.45,) * 3,
        std=(0.225,) * 3,
    )


def _weights(variant: str, pytorchvideo: str, slowfast: str) -> tuple[Weights, ...]:
    """The weights of both code bases, of which SlowFast's gives 10 and 30 views."""
    folder = "https://dl.fbaipublicfiles.com"
    score = "Kinetics-400 top-1"
    files = (
        (
            "kinetics400",
            "PyTorchVideo",
            f"{folder}/pytorchvideo/model_zoo/kinetics/X3D_{variant.upper()}.pyth",
            f"{pytorchvideo} {score} (model_zoo.md of PyTorchVideo, 3 x 10 views)",
        ),
        (
            "kinetics400_slowfast",
            "SlowFast",
            f"{folder}/pyslowfast/x3d_models/x3d_{variant}.pyth",
            f"{slowfast} {score} (MODEL_ZOO.md of SlowFast, 10 / 30 views)",
        ),
    )
    return tuple(
        Weights(
            tag=tag,
            description=f"{source}, trained on Kinetics-400",
            num_classes=400,
            labels="kinetics400",
            file=url.rpartition("/")[2],
            url=url,
            get=f"Download {url} and give its path.",
            accuracy=accuracy,
            licence=f"Apache-2.0 ({source})",
        )
        for tag, source, url, accuracy in files
    )


@register(
    clip=_clip(4, 12, 160, 182),
    params=3_794_322,
    gmacs=0.605,
    weights=_weights("xs", "69.12", "68.7 / 69.5"),
    **_CARD,
)
def x3d_xs(**kwargs: Any) -> X3D:
    """X3D-XS: 4 frames, every 12th, of 160 pixels."""
    return X3D(**{"layout": X3D_XS, **kwargs})


@register(
    clip=_clip(13, 6, 160, 182),
    params=3_794_322,
    gmacs=1.963,
    weights=_weights("s", "73.33", "73.1 / 73.5"),
    **_CARD,
)
def x3d_s(**kwargs: Any) -> X3D:
    """X3D-S: 13 frames, every 6th, of 160 pixels."""
    return X3D(**{"layout": X3D_S, **kwargs})


@register(
    clip=_clip(16, 5, 224, 256),
    params=3_794_322,
    gmacs=4.7325,
    weights=_weights("m", "75.94", "75.1 / 76.2"),
    **_CARD,
)
def x3d_m(**kwargs: Any) -> X3D:
    """X3D-M: 16 frames, every 5th, of 224 pixels."""
    return X3D(**{"layout": X3D_M, **kwargs})


@register(
    clip=_clip(16, 5, 312, 356),
    params=6_153_432,
    gmacs=18.368,
    weights=_weights("l", "77.44", "76.9 / 77.5"),
    **_CARD,
)
def x3d_l(**kwargs: Any) -> X3D:
    """X3D-L: 16 frames, every 5th, of 312 pixels."""
    return X3D(**{"layout": X3D_L, **kwargs})


@register(clip=TINY_CLIP, params=74_736, gmacs=0.012914, **_CARD)
def x3d_tiny(**kwargs: Any) -> X3D:
    """X3D of four blocks, for tests and short demonstrations."""
    return X3D(**{"num_classes": 10, "layout": X3D_TINY, **kwargs})
