"""Residual networks for images (ResNet), the 2D trunk of many video models.

Reference:
    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    https://arxiv.org/abs/1512.03385.

Names and strides are those of torchvision: in a bottleneck the 3x3 convolution has the
stride ("v1.5"), padding is symmetric, batch norm's epsilon is 1e-5.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.non_local import NonLocal
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import average_space, max_pool
from vidjax.models.registry import register
from vidjax.ops.check import check_images
from vidjax.ops.shift import temporal_shift
from vidjax.typing import ClipSpec, Endpoints, Logits, Weights

PAPER = (
    'He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, '
    "https://arxiv.org/abs/1512.03385"
)
REFERENCE = "torchvision, torchvision/models/resnet.py"

# What every tiny model takes: small enough to train from scratch on a laptop.
TINY_CLIP = ClipSpec(num_frames=8, size=32, crop_fraction=1.0)

_SHIFT_EVERY_SECOND_FROM = 23  # mit-han-lab/temporal-shift-module, n_round.


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of the paper's Table 1.

    Attributes:
        block: "basic" has two 3x3 convolutions, "bottleneck" 1x1, 3x3 and 1x1.
        blocks: Blocks in each stage; every stage but the first halves the map.
        width: Channels of the stem and of the first stage; doubled from stage to stage.
        stem_kernel: Side of the first convolution.
        stem_stride: Stride of the first convolution.
        stem_pool: Whether a max-pool halves the map after the stem.
        depthwise: Whether the 3x3 convolutions of bottlenecks see one channel each, as
            in channel-separated networks (CSN).
        non_local: Names of the blocks after which a non-local block joins all frames.
    """

    block: Literal["basic", "bottleneck"]
    blocks: tuple[int, ...]
    width: int = 64
    stem_kernel: int = 7
    stem_stride: int = 2
    stem_pool: bool = True
    depthwise: bool = False
    non_local: tuple[str, ...] = ()


RESNET18 = Layout("basic", (2, 2, 2, 2))
RESNET34 = Layout("basic", (3, 4, 6, 3))
RESNET50 = Layout("bottleneck", (3, 4, 6, 3))
RESNET101 = Layout("bottleneck", (3, 4, 23, 3))
# Ours: no block on the first map, which would cost more than all the rest together.
RESNET_TINY = Layout(
    "basic", (0, 1, 1), width=16, stem_kernel=3, stem_stride=2, stem_pool=False
)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    Attributes:
        features: Output channels.
        stride: Of the first convolution.
        shift_fraction: Share of the channels that are shifted in time, each way, before
            the first convolution.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size).
        norm: Builds a batch norm.
    """

    features: int
    stride: int
    shift_fraction: float
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c1"]) -> Float[Array, "*b h2 w2 c2"]:
        """Maps [..., H, W, C] to [..., H / stride, W / stride, features]."""
        y = temporal_shift(x, fraction=self.shift_fraction)
        y = self.conv(self.features, (3, 3), self.stride, name="conv1")(y)
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(self.features, (3, 3), name="conv2")(y)
        y = self.norm(name="bn2")(y)
        y = DropPath(self.drop_path_rate)(y, train=self.train)
        return nn.relu(y + _shortcut(self, x, self.features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut.

    Attributes:
        features: Channels of the first two convolutions; the output has four times as
            many.
        stride: Of the 3x3 convolution.
        shift_fraction: Share of the channels that are shifted in time, each way, before
            the first convolution.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size).
        norm: Builds a batch norm.
        depthwise: Whether the 3x3 convolution sees one channel at a time.
    """

    features: int
    stride: int
    shift_fraction: float
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    depthwise: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*b h w c1"]) -> Float[Array, "*b h2 w2 c2"]:
        """Maps [..., H, W, C] to [..., H / stride, W / stride, 4 features]."""
        y = temporal_shift(x, fraction=self.shift_fraction)
        y = nn.relu(
            self.norm(name="bn1")(self.conv(self.features, (1, 1), name="conv1")(y))
        )
        groups = self.features if self.depthwise else 1
        y = self.conv(self.features, (3, 3), self.stride, groups=groups, name="conv2")(
            y
        )
        y = nn.relu(self.norm(name="bn2")(y))
        y = self.norm(name="bn3")(self.conv(4 * self.features, (1, 1), name="conv3")(y))
        y = DropPath(self.drop_path_rate)(y, train=self.train)
        return nn.relu(y + _shortcut(self, x, 4 * self.features))


def _shortcut(block: BasicBlock | Bottleneck, x: Array, features: int) -> Array:
    if block.stride == 1 and x.shape[-1] == features:
        return x
    x = block.conv(features, (1, 1), block.stride, name="downsample_conv")(x)
    return block.norm(name="downsample_bn")(x)


class ResNetTrunk(nn.Module):
    """Everything of a ResNet but the classifier.

    Attributes:
        layout: Depth, width and stem.
        shift_fraction: Share of the channels that every block shifts in time, each way;
            stages of 23 blocks or more shift in every second block only. Zero shifts
            none.
        drop_path_rate: Probability of dropping the branch of the last block; it grows
            linearly from 0 at the first.
        partial_norm: Whether batch norms but the first keep their statistics in
            training (Wang et al., "Temporal Segment Networks", ECCV 2016, Sec. 3.2).
        dtype: Computation dtype; parameters stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    shift_fraction: float = 0.0
    drop_path_rate: float = 0.0
    partial_norm: bool = False
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], *, train: bool = False
    ) -> tuple[Float[Array, "b t h2 w2 d"], Endpoints]:
        """Computes features of every frame.

        Args:
            x: Clips [B, T, H, W, C].
            train: Whether to use batch statistics.

        Returns:
            The last map [B, T, H', W', D], and the output of the stem, "conv1", and of
            every stage, "layer1" and so on.
        """
        layout = self.layout
        conv = functools.partial(Conv, padding="torch", dtype=self.dtype)
        first_norm = BatchNorm(train, dtype=self.dtype, name="bn1")
        norm = functools.partial(
            BatchNorm, train and not self.partial_norm, dtype=self.dtype
        )
        block = BasicBlock if layout.block == "basic" else Bottleneck
        block = nn.remat(block) if self.remat else block
        if layout.depthwise:
            block = functools.partial(block, depthwise=True)
        # As mit-han-lab/temporal-shift-module has it, ops/non_local.py.
        non_local = functools.partial(
            nn.remat(NonLocal) if self.remat else NonLocal,
            scaled=False,
            pool="after",
            dtype=self.dtype,
        )

        kernel = (layout.stem_kernel, layout.stem_kernel)
        x = conv(layout.width, kernel, layout.stem_stride, name="conv1")(x)
        x = nn.relu(first_norm(x))
        endpoints = {"conv1": x}
        if layout.stem_pool:
            x = max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        # Deeper networks shift less often: the authors' rule looks at the third stage.
        every = 2 if max(layout.blocks) >= _SHIFT_EVERY_SECOND_FROM else 1
        rates = iter(drop_path_rates(self.drop_path_rate, sum(layout.blocks)))
        for stage, depth in enumerate(layout.blocks):
            for i in range(depth):
                name = f"layer{stage + 1}_{i}"
                x = block(
                    features=layout.width * 2**stage,
                    stride=2 if stage > 0 and i == 0 else 1,
                    shift_fraction=self.shift_fraction if i % every == 0 else 0.0,
                    drop_path_rate=next(rates),
                    train=train,
                    conv=conv,
                    norm=norm,
                    name=name,
                )(x)
                if name in layout.non_local:
                    x = non_local(x.shape[-1] // 2, train, name=f"{name}_non_local")(x)
            endpoints[f"layer{stage + 1}"] = x
        return x, endpoints


class ResNet(nn.Module):
    """ResNet image classifier.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and stem.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 1000
    layout: Layout = RESNET50
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
            Logits [B, num_classes] and endpoints by torchvision's stage names, of shape
            [B, 1, H', W', D], with "features" (the last of them) and "pooled" [B, D].

        Raises:
            ValueError: If the input is neither images nor clips of one frame.
            TypeError: If it is not of floating point.
        """
        clip = check_images(images)
        trunk = ResNetTrunk(
            self.layout,
            drop_path_rate=self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


def _imagenet(file: str, accuracy: str, tag: str = "imagenet") -> Weights:
    url = f"https://download.pytorch.org/models/{file}"
    prefix = file.removesuffix(".pth").split("-")[1]
    return Weights(
        tag=tag,
        description="torchvision, trained on ImageNet-1k",
        num_classes=1000,
        file=file,
        url=url,
        get=f"Download {url} (its SHA-256 begins {prefix}) and give its path.",
        accuracy=f"{accuracy} ImageNet-1k top-1 (torchvision/models/resnet.py)",
        licence="BSD-3-Clause (torchvision)",
    )


_IMAGE = ClipSpec(num_frames=1)


@register(
    clip=_IMAGE,
    family="resnet",
    fusion="none",
    paper=PAPER,
    reference=REFERENCE,
    params=11_689_512,
    gmacs=1.8141,
    weights=(_imagenet("resnet18-f37072fd.pth", "69.758"),),
)
def resnet18(**kwargs: Any) -> ResNet:
    """ResNet-18."""
    return ResNet(**{"layout": RESNET18, **kwargs})


@register(
    clip=_IMAGE,
    family="resnet",
    fusion="none",
    paper=PAPER,
    reference=REFERENCE,
    params=21_797_672,
    gmacs=3.6638,
    weights=(_imagenet("resnet34-b627a593.pth", "73.314"),),
)
def resnet34(**kwargs: Any) -> ResNet:
    """ResNet-34."""
    return ResNet(**{"layout": RESNET34, **kwargs})


@register(
    clip=_IMAGE,
    family="resnet",
    fusion="none",
    paper=PAPER,
    reference=REFERENCE,
    params=25_557_032,
    gmacs=4.0892,
    weights=(
        _imagenet("resnet50-0676ba61.pth", "76.130"),
        _imagenet("resnet50-11ad3fa6.pth", "80.858", tag="imagenet_v2"),
    ),
)
def resnet50(**kwargs: Any) -> ResNet:
    """ResNet-50."""
    return ResNet(**{"layout": RESNET50, **kwargs})


@register(
    clip=_IMAGE,
    family="resnet",
    fusion="none",
    paper=PAPER,
    reference=REFERENCE,
    params=44_549_160,
    gmacs=7.8014,
    weights=(
        _imagenet("resnet101-63fe2227.pth", "77.374"),
        _imagenet("resnet101-cd907fc2.pth", "81.886", tag="imagenet_v2"),
    ),
)
def resnet101(**kwargs: Any) -> ResNet:
    """ResNet-101."""
    return ResNet(**{"layout": RESNET101, **kwargs})


@register(
    clip=ClipSpec(num_frames=1, size=32, crop_fraction=1.0),
    family="resnet",
    fusion="none",
    paper=PAPER,
    reference=REFERENCE,
    params=73_370,
    gmacs=0.0019462,
)
def resnet_tiny(**kwargs: Any) -> ResNet:
    """ResNet of two blocks, for tests and short demonstrations."""
    return ResNet(**{"num_classes": 10, "layout": RESNET_TINY, **kwargs})
