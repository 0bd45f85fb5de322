"""3D residual networks, the trunk of R3D, MC3, R(2+1)D and CSN.

Reference:
    Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition",
    CVPR 2018, https://arxiv.org/abs/1711.11248.

How the convolutions over space and time are made (`Kind`) is most of what tells these
networks apart. Names are those of torchvision's video ResNets; padding is symmetric.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv, TimePadding
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.factorised import (
    Factorised,
    InteractionPreserved,
    Triple,
    middle_channels,
)
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool, max_pool
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, Endpoints, Logits

Kind = Literal["3d", "2d", "2+1d", "1+2d", "ir", "ip"]
"""How a 3x3x3 convolution is made: whole ("3d"); over space only ("2d"); over space,
then over time ("2+1d"), or the other way round ("1+2d"), with a norm between; or with
each channel by itself, alone ("ir", interaction-reduced) or after a 1x1x1 convolution
("ip", interaction-preserved)."""

_WHOLE: Triple = (1, 1, 1)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of a table of networks.

    Attributes:
        block: "basic" has two 3x3x3 convolutions, "bottleneck" 1x1x1, 3x3x3 and 1x1x1.
        blocks: Blocks in each stage.
        kinds: What the 3x3x3 convolutions of each stage are.
        strides: Steps (T, H, W) of the first block of each stage.
        width: Channels of the stem and of the first stage; doubled from stage to stage.
        middle: Channels between the two halves of a factorised convolution: "block"
            counts them from the block's input for all its convolutions, "conv" from
            each convolution's own input, "same" takes the output's.
        stem_kernel: Extent (T, H, W) of the first convolution.
        stem_middle: Channels between its two halves; 0 leaves it whole.
        stem_pool: Whether a max-pool halves the map after the stem.
        factorised_shortcut: Whether shortcuts with a convolution are factorised too.
        epsilon: Batch norm's.
        middle_epsilon: That of the norms inside factorised convolutions.
        window: Extent (T, H, W) of the mean over which the classifier looks, at every
            position; None is the whole map.
    """

    block: Literal["basic", "bottleneck"]
    blocks: tuple[int, ...]
    kinds: tuple[Kind, ...]
    strides: tuple[Triple, ...] = (_WHOLE, (2, 2, 2), (2, 2, 2), (2, 2, 2))
    width: int = 64
    middle: Literal["block", "conv", "same"] = "block"
    stem_kernel: Triple = (3, 7, 7)
    stem_middle: int = 0
    stem_pool: bool = False
    factorised_shortcut: bool = False
    epsilon: float = 1e-5
    middle_epsilon: float = 1e-5
    window: Triple | None = None


R3D_18 = Layout("basic", (2, 2, 2, 2), ("3d",) * 4)


class Block(nn.Module):
    """Convolutions with a shortcut: two of 3x3x3, or 1x1x1, 3x3x3 and 1x1x1.

    Attributes:
        features: Channels of the 3x3x3 convolutions; a bottleneck's output has four
            times as many.
        kind: What those convolutions are.
        strides: Steps (T, H, W) of the first of them.
        layout: The network's.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
        middle_norm: Builds a batch norm inside a factorised convolution.
    """

    features: int
    kind: Kind
    strides: Triple
    layout: Layout
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    middle_norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t2 h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T', H', W', D]."""
        inputs = x.shape[-1]
        if self.layout.block == "basic":
            y = _cube(self, inputs, self.strides, "conv1")(x)
            y = nn.relu(self.norm(name="bn1")(y))
            y = _cube(self, inputs, _WHOLE, "conv2")(y)
            y = self.norm(name="bn2")(y)
        else:
            y = self.conv(self.features, (1, 1, 1), name="conv1")(x)
            y = nn.relu(self.norm(name="bn1")(y))
            y = _cube(self, inputs, self.strides, "conv2")(y)
            y = nn.relu(self.norm(name="bn2")(y))
            y = self.conv(4 * self.features, (1, 1, 1), name="conv3")(y)
            y = self.norm(name="bn3")(y)
        y = DropPath(self.drop_path_rate)(y, train=self.train)
        if self.strides == _WHOLE and inputs == y.shape[-1]:
            return nn.relu(y + x)
        x = _point(self, inputs, y.shape[-1])(x)
        return nn.relu(y + self.norm(name="downsample_bn")(x))


def _cube(block: Block, inputs: int, strides: Triple, name: str) -> nn.Module:
    """Builds a convolution over 3x3x3; `inputs` are the channels of the block's input.

    Only the first convolution of a block has an input of other than its own channels.
    """
    features, kernel = block.features, (3, 3, 3)
    if block.kind == "3d":
        return block.conv(features, kernel, strides, name=name)
    if block.kind == "2d":
        return block.conv(features, (1, 3, 3), strides, name=name)
    if block.kind == "ir":
        return block.conv(features, kernel, strides, groups=features, name=name)
    if block.kind == "ip":
        parts = (block.conv, block.norm)
        return InteractionPreserved(features, strides, *parts, name=name)
    middle = features
    if block.layout.middle != "same":
        own = block.layout.middle == "conv" and name != "conv1"
        middle = middle_channels(features if own else inputs, features)
    parts = (middle, block.kind == "1+2d", block.conv, block.middle_norm)
    return Factorised(features, kernel, strides, *parts, name=name)


def _point(block: Block, inputs: int, features: int) -> nn.Module:
    """Builds the convolution of a shortcut."""
    kernel, strides, name = (1, 1, 1), block.strides, "downsample_conv"
    if not block.layout.factorised_shortcut:
        return block.conv(features, kernel, strides, name=name)
    middle = middle_channels(inputs, features, side=1)
    parts = (middle, False, block.conv, block.middle_norm)
    return Factorised(features, kernel, strides, *parts, name=name)


class VideoResNetTrunk(nn.Module):
    """Everything of a 3D ResNet but the classifier.

    Attributes:
        layout: Depth, width and factorisation.
        drop_path_rate: Probability of dropping the branch of the last block; it grows
            linearly from 0 at the first.
        time_padding: See `VideoResNet`.
        dtype: Computation dtype; parameters stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Clip, *, train: bool = False
    ) -> tuple[Float[Array, "b t2 h2 w2 d"], Endpoints]:
        """Computes features of clips.

        Args:
            x: Clips [B, T, H, W, C].
            train: Whether to use batch statistics.

        Returns:
            The last map [B, T', H', W', D], and the output of the stem, "conv1", and of
            every stage, "layer1" and so on.
        """
        layout = self.layout
        conv = functools.partial(
            Conv, padding="torch", time_padding=self.time_padding, dtype=self.dtype
        )
        norm = functools.partial(BatchNorm, train, dtype=self.dtype)
        middle_norm = functools.partial(norm, epsilon=layout.middle_epsilon)
        norm = functools.partial(norm, epsilon=layout.epsilon)

        stem = (layout.width, layout.stem_kernel, (1, 2, 2))
        if layout.stem_middle:
            parts = (layout.stem_middle, False, conv, middle_norm)
            x = Factorised(*stem, *parts, name="conv1")(x)
        else:
            x = conv(*stem, name="conv1")(x)
        x = nn.relu(norm(name="bn1")(x))
        endpoints = {"conv1": x}
        if layout.stem_pool:
            x = max_pool(x, (1, 3, 3), (1, 2, 2), ((0, 0), (1, 1), (1, 1)))
        block = nn.remat(Block) if self.remat else Block
        rates = iter(drop_path_rates(self.drop_path_rate, sum(layout.blocks)))
        for stage, depth in enumerate(layout.blocks):
            for i in range(depth):
                x = block(
                    features=layout.width * 2**stage,
                    kind=layout.kinds[stage],
                    strides=layout.strides[stage] if i == 0 else _WHOLE,
                    layout=layout,
                    drop_path_rate=next(rates),
                    train=train,
                    conv=conv,
                    norm=norm,
                    middle_norm=middle_norm,
                    name=f"layer{stage + 1}_{i}",
                )(x)
            endpoints[f"layer{stage + 1}"] = x
        return x, endpoints


class VideoResNet(nn.Module):
    """3D ResNet video classifier.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and factorisation.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        time_padding: What stands beyond the ends of a clip: "zeros", as published, or
            the frames at the "edge" again.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = R3D_18
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T, H and W.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and the maps [B, T', H', W', D] by torchvision's
            stage names, with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, N, num_classes] of the N positions in time of the
            classifier's window.

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        trunk = VideoResNetTrunk(
            self.layout,
            self.drop_path_rate,
            self.time_padding,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        size = features.shape[1:4]
        window = self.layout.window or size
        window = tuple(min(pair) for pair in zip(window, size, strict=True))
        steps = jnp.mean(avg_pool(features, window, (1, 1, 1)), axis=(2, 3))
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, "features": features, **scores}
