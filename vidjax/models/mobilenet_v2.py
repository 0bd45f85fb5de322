"""MobileNetV2, and the trunk of inverted residuals that it shares with other networks.

Reference:
    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
    https://arxiv.org/abs/1801.04381.

Strides, symmetric padding and batch norm's epsilon of 1e-5 are those of torchvision;
stages are called as in MMAction2 (conv1, layer1 to layer7, conv2).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv, TimePadding
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import average_space
from vidjax.models.registry import register
from vidjax.ops.check import check_images
from vidjax.typing import ClipSpec, Endpoints, Logits, Weights

Shift = Callable[[Array, str], Array]
"""From the input of a block and the block's name to what its branch sees."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Table 2 of the paper.

    Attributes:
        stages: The rows: expansion, side of the depthwise kernel, output channels,
            blocks, and stride of the first of them.
        stem: Channels of the first convolution, which has stride 2.
        head: Channels of the last convolution.
        padding: Of all convolutions, as in `vidjax.layers.conv.Padding`.
        epsilon: Added to the variance by batch norms.
        extent: Frames under the kernels of the first and the depthwise convolutions;
            None leaves the time axis out of all kernels.
    """

    stages: tuple[tuple[int, int, int, int, int], ...]
    stem: int = 32
    head: int = 1280
    padding: Literal["torch", "SAME"] = "torch"
    epsilon: float = 1e-5
    extent: int | None = None


MOBILENET_V2 = Layout(
    (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 3, 32, 3, 2),
        (6, 3, 64, 4, 2),
        (6, 3, 96, 3, 1),
        (6, 3, 160, 3, 2),
        (6, 3, 320, 1, 1),
    )
)
# Ours: each kind of block once, on maps of 8 x 8 pixels or less.
MOBILENET_V2_TINY = Layout(
    ((1, 3, 16, 1, 2), (4, 3, 32, 2, 1), (4, 3, 48, 2, 2)), stem=16, head=192
)


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depthwise one, and a 1x1 one to fewer.

    The last has no activation. The input is added where it has the output's shape.

    Attributes:
        features: Output channels.
        expansion: Channels of the depthwise convolution over those of the input; 1
            leaves the first convolution out.
        kernel_size: Of the depthwise convolution: (H, W) or (T, H, W).
        strides: Of the depthwise convolution.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
    """

    features: int
    expansion: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t h w c1"],
        seen: Float[Array, "b t h w c1"] | None = None,
    ) -> Float[Array, "b t h2 w2 c2"]:
        """Convolves and adds.

        Args:
            x: [B, T, H, W, C].
            seen: What the branch sees, [B, T, H, W, C]; None is `x`.

        Returns:
            [B, T, H / stride, W / stride, features].
        """
        y = x if seen is None else seen
        point = (1,) * len(self.kernel_size)
        width = x.shape[-1] * self.expansion
        if self.expansion > 1:
            y = self.conv(width, point, name="expand")(y)
            y = nn.relu6(self.norm(name="expand_bn")(y))
        depthwise = functools.partial(self.conv, groups=width, name="depthwise")
        y = depthwise(width, self.kernel_size, self.strides)(y)
        y = nn.relu6(self.norm(name="depthwise_bn")(y))
        y = self.norm(name="project_bn")(
            self.conv(self.features, point, name="project")(y)
        )
        if y.shape != x.shape:
            return y
        return x + DropPath(self.drop_path_rate)(y, train=self.train)


class MobileNetV2Trunk(nn.Module):
    """Everything of a network of inverted residuals but the classifier.

    Attributes:
        layout: Depth, widths, kernels and conventions.
        drop_path_rate: Probability of dropping the branch of the last block; it grows
            linearly from 0 at the first.
        time_padding: What stands beyond the first and the last frame, for kernels that
            see time.
        dtype: Computation dtype; parameters stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout = MOBILENET_V2
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b t h w c"],
        shift: Shift | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b t h2 w2 d"], Endpoints]:
        """Computes features of every frame.

        Args:
            x: Clips [B, T, H, W, C].
            shift: Called with the input [B, T, H', W', C'] and the name of each block
                that has both a shortcut and an expansion, where the authors of TSM
                shift; gives what its branch sees.
            train: Whether to use batch statistics.

        Returns:
            The last map [B, T, H', W', D], and the output of the first convolution,
            "conv1", of every stage, "layer1" and so on, and of the last, "conv2".
        """
        layout = self.layout
        conv = functools.partial(
            Conv,
            padding=layout.padding,
            time_padding=self.time_padding,
            dtype=self.dtype,
        )
        norm = functools.partial(
            BatchNorm, train, epsilon=layout.epsilon, dtype=self.dtype
        )
        block = nn.remat(InvertedResidual) if self.remat else InvertedResidual
        frames = () if layout.extent is None else (layout.extent,)

        x = conv(layout.stem, (*frames, 3, 3), _strides(frames, 2), name="conv1")(x)
        x = nn.relu6(norm(name="bn1")(x))
        endpoints = {"conv1": x}
        depth = sum(blocks for *_, blocks, _ in layout.stages)
        rates = iter(drop_path_rates(self.drop_path_rate, depth))
        for stage, row in enumerate(layout.stages, start=1):
            expansion, side, features, blocks, stride = row
            for i in range(blocks):
                stride = stride if i == 0 else 1
                name = f"layer{stage}_{i}"
                shortcut = stride == 1 and features == x.shape[-1]
                seen = shift(x, name) if shift and shortcut and expansion > 1 else None
                x = block(
                    features=features,
                    expansion=expansion,
                    kernel_size=(*frames, side, side),
                    strides=_strides(frames, stride),
                    drop_path_rate=next(rates),
                    train=train,
                    conv=conv,
                    norm=norm,
                    name=name,
                )(x, seen)
            endpoints[f"layer{stage}"] = x
        point = (1,) * len((*frames, 1, 1))
        x = nn.relu6(norm(name="bn2")(conv(layout.head, point, name="conv2")(x)))
        return x, {**endpoints, "conv2": x}


def _strides(frames: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """Time, where kernels have it, is never thinned out."""
    return (*(1 for _ in frames), stride, stride)


class MobileNetV2(nn.Module):
    """Image classifier of inverted residuals.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, widths, kernels and conventions.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 1000
    layout: Layout = MOBILENET_V2
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, images: Float[Array, "..."], *, train: bool = False
    ) -> tuple[Logits, Endpoints]:
        """Classifies images.

        Args:
            images: [B, H, W, C], or clips of one frame [B, 1, H, W, C].
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes] and the outputs of the stages, "conv1", "layer1" and
            so on, of shape [B, 1, H', W', D], with "features" (the last of them) and
            "pooled" [B, D].

        Raises:
            ValueError: If the input is neither images nor clips of one frame.
            TypeError: If it is not of floating point.
        """
        trunk = MobileNetV2Trunk(
            self.layout,
            self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(check_images(images), train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


def _imagenet(file: str, accuracy: str, tag: str) -> Weights:
    url = f"https://download.pytorch.org/models/{file}"
    prefix = file.removesuffix(".pth").split("-")[1]
    return Weights(
        tag=tag,
        description="torchvision, trained on ImageNet-1k",
        num_classes=1000,
        file=file,
        url=url,
        get=f"Download {url} (its SHA-256 begins {prefix}) and give its path.",
        accuracy=f"{accuracy} ImageNet-1k top-1 (torchvision/models/mobilenetv2.py)",
        licence="BSD-3-Clause (torchvision)",
    )


_CARD = {
    "family": "mobilenet_v2",
    "fusion": "none",
    "paper": (
        'Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", '
        "CVPR 2018, https://arxiv.org/abs/1801.04381"
    ),
    "reference": "torchvision, torchvision/models/mobilenetv2.py",
}


@register(
    clip=ClipSpec(num_frames=1),
    params=3_504_872,
    gmacs=0.30077,
    weights=(
        _imagenet("mobilenet_v2-b0353104.pth", "71.878", tag="imagenet"),
        _imagenet("mobilenet_v2-7ebf99e0.pth", "72.154", tag="imagenet_v2"),
    ),
    **_CARD,
)
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2."""
    return MobileNetV2(**kwargs)


@register(
    clip=ClipSpec(num_frames=1, size=32, crop_fraction=1.0),
    params=59_370,
    gmacs=0.001818,
    **_CARD,
)
def mobilenet_v2_tiny(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2 of five blocks, for tests and short demonstrations."""
    return MobileNetV2(**{"num_classes": 10, "layout": MOBILENET_V2_TINY, **kwargs})
