"""Residual networks in space and time: the trunk of C2D, I3D-ResNet, Slow and SlowFast.

References:
    Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019,
    https://arxiv.org/abs/1812.03982, Table 1; Wang et al., "Non-local Neural Networks",
    CVPR 2018, https://arxiv.org/abs/1711.07971, Table 1.

A bottleneck has a convolution over time and none in space (Tx1x1), one over space
(1x3x3, which has the stride) and one over neither (1x1x1). Constants follow
facebookresearch/SlowFast (slowfast/models/video_model_builder.py), where MMAction2
(mmaction/models/backbones/resnet3d.py) differs it is said. Parameters have the paths of
`vidjax.models.resnet`, by which a 2D network can be inflated.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv, TimePadding
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.non_local import Affinity, NonLocal
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool, max_pool
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, Endpoints, Logits

POOL_SIZE = 7
"""Side of the average window of the published heads: a crop of 224 pixels over 32."""

RESNET50 = (3, 4, 6, 3)
RESNET101 = (3, 4, 23, 3)

_EXPANSION = 4  # He et al., "Deep Residual Learning for Image Recognition", Table 1.


@dataclasses.dataclass(frozen=True)
class NonLocalKind:
    """A kind of non-local block; see `vidjax.layers.non_local.NonLocal`.

    Attributes:
        affinity: How positions weigh each other.
        scaled: Whether products are divided by the root of their channels.
        pool: Whether positions are thinned out before the convolutions or after them.
        out_bias: Whether the last convolution has a bias.
        zero_init: Whether the block begins as the identity.
    """

    affinity: Affinity = "embedded_gaussian"
    scaled: bool = True
    pool: Literal["before", "after"] = "before"
    out_bias: bool = True
    zero_init: bool = True


@dataclasses.dataclass(frozen=True)
class Layout:
    """A trunk.

    Attributes:
        time_kernels: For each stage, the extents in time of its blocks' first
            convolutions; shorter than the stage, they are repeated.
        stem_kernel: Extents (T, H, W) of the first convolution.
        blocks: Blocks in each stage; every stage but the first halves the map.
        width: Channels of the stem and of the first stage's inner convolutions; doubled
            from stage to stage.
        stem_time_strides: Steps in time of the first convolution and of the max-pool
            after it.
        stem_pool: Whether a max-pool halves the map after the stem.
        stem_pool_border: Positions around the map over which that pool may look.
        pool_frames: Whether a max-pool halves time after the first stage.
        non_local: For each stage, the blocks that a non-local block follows; with no
            stages, there is none.
        non_local_kind: What these blocks are.
    """

    time_kernels: tuple[tuple[int, ...], ...]
    stem_kernel: tuple[int, int, int]
    blocks: tuple[int, ...] = RESNET50
    width: int = 64
    stem_time_strides: tuple[int, int] = (1, 1)
    stem_pool: bool = True
    stem_pool_border: int = 1
    pool_frames: bool = False
    non_local: tuple[tuple[int, ...], ...] = ()
    non_local_kind: NonLocalKind = NonLocalKind()

    def time_kernel(self, stage: int, block: int) -> int:
        """Returns the extent in time of a block's first convolution.

        Args:
            stage: Counted from 0.
            block: In the stage, counted from 0.
        """
        pattern = self.time_kernels[stage]
        return pattern[block % len(pattern)]

    @property
    def min_frames(self) -> int:
        """The fewest frames that leave each pool a whole window."""
        if not self.pool_frames:
            return 1
        first, second = self.stem_time_strides
        return first * second + 1  # Two positions after the stem.

    @property
    def min_size(self) -> int:
        """The smallest side that leaves each pool a whole window, in pixels."""
        return 1 if not self.stem_pool or self.stem_pool_border else 5


class Bottleneck3D(nn.Module):
    """Tx1x1, 1x3x3 and 1x1x1 convolutions with a shortcut.

    Attributes:
        features: Channels of the first two convolutions; the output has four times as
            many.
        time_kernel: Extent T of the first convolution.
        stride: Of the 1x3x3 convolution, in space.
        drop_path_rate: Probability of dropping the branch beside the shortcut.
        train: Whether to drop.
        conv: Builds a convolution from (features, kernel size, strides).
        norm: Builds a batch norm.
    """

    features: int
    time_kernel: int
    stride: int
    drop_path_rate: float
    train: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T, H / stride, W / stride, 4 features]."""
        strides = (1, self.stride, self.stride)
        width = _EXPANSION * self.features
        y = self.conv(self.features, (self.time_kernel, 1, 1), name="conv1")(x)
        y = nn.relu(self.norm(name="bn1")(y))
        y = self.conv(self.features, (1, 3, 3), strides, name="conv2")(y)
        y = nn.relu(self.norm(name="bn2")(y))
        y = self.norm(name="bn3")(self.conv(width, (1, 1, 1), name="conv3")(y))
        y = DropPath(self.drop_path_rate)(y, train=self.train)
        if self.stride != 1 or x.shape[-1] != width:
            x = self.conv(width, (1, 1, 1), strides, name="downsample_conv")(x)
            x = self.norm(name="downsample_bn")(x)
        return nn.relu(y + x)


class ResNet3DTrunk(nn.Module):
    """Everything of a network but the classifier.

    Attributes:
        layout: Depth, width, stem and kernels.
        drop_path_rate: Probability of dropping the branch of the last block; it grows
            linearly from 0 at the first.
        time_padding: See `vidjax.layers.conv.Conv`.
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
        self,
        x: Clip,
        laterals: Mapping[str, Array] | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b t2 h2 w2 d"], Endpoints]:
        """Computes features.

        Args:
            x: Clips [B, T, H, W, C].
            laterals: By the name of a stage, maps [B, T', H', W', C'] whose channels
                are put after those of its output.
            train: Whether to use batch statistics.

        Returns:
            The last map [B, T', H', W', D], and the outputs by name, without laterals:
            of the stem, "conv1", after its pool, "pool1", and of every stage, "layer1"
            and so on.
        """
        layout, laterals = self.layout, laterals or {}
        conv = functools.partial(
            Conv, padding="torch", time_padding=self.time_padding, dtype=self.dtype
        )
        norm = functools.partial(BatchNorm, train, dtype=self.dtype)
        block = nn.remat(Bottleneck3D) if self.remat else Bottleneck3D
        non_local = functools.partial(
            nn.remat(NonLocal) if self.remat else NonLocal,
            train=train,
            dtype=self.dtype,
            **dataclasses.asdict(layout.non_local_kind),
        )
        time_stride, pool_stride = layout.stem_time_strides

        x = conv(layout.width, layout.stem_kernel, (time_stride, 2, 2), name="conv1")(x)
        x = nn.relu(norm(name="bn1")(x))
        endpoints = {"conv1": x}
        if layout.stem_pool:
            border = (layout.stem_pool_border, layout.stem_pool_border)
            pads = ((0, 0), border, border)
            x = max_pool(x, (1, 3, 3), (pool_stride, 2, 2), pads)
            endpoints["pool1"] = x
        x = _join(x, laterals.get("pool1" if layout.stem_pool else "conv1"))
        rates = iter(drop_path_rates(self.drop_path_rate, sum(layout.blocks)))
        for stage, depth in enumerate(layout.blocks):
            name = f"layer{stage + 1}"
            for i in range(depth):
                x = block(
                    features=layout.width * 2**stage,
                    time_kernel=layout.time_kernel(stage, i),
                    stride=2 if stage > 0 and i == 0 else 1,
                    drop_path_rate=next(rates),
                    train=train,
                    conv=conv,
                    norm=norm,
                    name=f"{name}_{i}",
                )(x)
                if layout.non_local and i in layout.non_local[stage]:
                    width = x.shape[-1] // 2
                    x = non_local(width, name=f"{name}_{i}_non_local")(x)
            endpoints[name] = x
            x = _join(x, laterals.get(name))
            if stage == 0 and layout.pool_frames:
                x = max_pool(x, (2, 1, 1))
        return x, endpoints


def _join(x: Array, lateral: Array | None) -> Array:
    return x if lateral is None else jnp.concatenate([x, lateral], axis=-1)


def average_windows(
    features: Float[Array, "b t h w d"], pool_size: int | None
) -> Float[Array, "b n d"]:
    """Averages all frames over square windows, one at every position of the map.

    Args:
        features: [B, T, H, W, D].
        pool_size: Side of the window, in positions; cut to the map where that is
            smaller. None takes the whole map.

    Returns:
        [B, N, D], float32, for N positions of the window: one if the map is as large as
        the window.

    Example:
        >>> average_windows(jnp.ones((1, 8, 8, 7, 2)), 7).shape
        (1, 2, 2)
    """
    batch, frames, *space, width = features.shape
    window = tuple(min(pool_size or size, size) for size in space)
    pooled = avg_pool(features, (frames, *window), (1, 1, 1))
    return pooled.reshape(batch, -1, width)


class ResNet3D(nn.Module):
    """A network of one pathway: C2D, I3D-ResNet or Slow.

    Attributes:
        layout: Depth, width, stem and kernels.
        num_classes: Number of classes; 0 leaves the classifier out.
        pool_size: Side of the window over which maps are averaged, all frames at once;
            every position of the window on a larger map is classified, and scores are
            averaged, as PyTorchVideo and SlowFast do at test crops of 256 pixels. None
            averages the whole map, as MMAction2 does.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        time_padding: What stands before the first and after the last frame; "zeros" is
            what published weights were trained with, see `vidjax.layers.conv.Conv`.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    num_classes: int = 400
    pool_size: int | None = POOL_SIZE
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T and size that leave the pools a whole window.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and maps by torchvision's stage names [B, T', H',
            W', D], with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, N, num_classes], the scores at the N positions of the
            window. Logits are the mean of these, as in PyTorchVideo's hub models;
            facebookresearch/SlowFast takes the mean of their softmax at test time.

        Raises:
            ValueError: If the clip does not have five axes, or is too small to pool.
            TypeError: If it is not of floating point.
        """
        layout = self.layout
        check_clip(clip, min_frames=layout.min_frames, min_size=layout.min_size)
        trunk = ResNet3DTrunk(
            layout,
            self.drop_path_rate,
            self.time_padding,
            self.dtype,
            self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        steps = average_windows(features, self.pool_size)
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, "features": features, **scores}
