"""SlowFast: a wide network on few frames, helped by a narrow one on many.

Reference:
    Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019,
    https://arxiv.org/abs/1812.03982, Sec. 3 and Table 1.

Names "4x16" say frames of the slow pathway times the stride between them. Numbers are
those of facebookresearch/SlowFast (slowfast/models/video_model_builder.py and
configs/Kinetics), which PyTorchVideo shares.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import Conv, TimePadding
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.models import resnet3d, zoos
from vidjax.models.pathways import Picks, slow_frames
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.resnet3d import RESNET101, Layout, average_windows
from vidjax.models.slow import SLOW
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, Endpoints, Logits

ClipPair = tuple[Float[Array, "b t_slow h w c"], Clip]
"""Clips of the slow pathway [B, T / alpha, H, W, C] and of the fast one."""

_WIDEN = 2  # Lateral channels per fast channel: SLOWFAST.FUSION_CONV_CHANNEL_RATIO.

FAST = Layout(((3,), (3,), (3,), (3,)), stem_kernel=(5, 7, 7), width=8)
# The first 6 of 23 blocks look along time: RESNET.NUM_BLOCK_TEMP_KERNEL.
_SIX = (3,) * 6 + (1,) * 17


@dataclasses.dataclass(frozen=True)
class SlowFastLayout:
    """Two pathways and what is between them.

    Attributes:
        alpha: Frames of the fast pathway for each of the slow one.
        fusion_kernel: Extent in time of the lateral convolutions.
        slow: The slow pathway.
        fast: The fast pathway.
        fusion_norm: Whether batch norm and ReLU follow the lateral convolutions.
        picks: Which frames of one clip the slow pathway takes; see `slow_frames`.
        first: The pathway whose features come first before the classifier.
    """

    alpha: int
    fusion_kernel: int
    slow: Layout = SLOW
    fast: Layout = FAST
    fusion_norm: bool = True
    picks: Picks = "spread"
    first: Literal["slow", "fast"] = "slow"

    def frames(self, frames: int) -> tuple[int, ...]:
        """Returns which frames of a clip the slow pathway takes.

        Args:
            frames: Frames T of the clip.

        Returns:
            T / alpha indices.

        Raises:
            ValueError: If T is not a multiple of `alpha`.
        """
        return slow_frames(frames, self.alpha, self.picks)


class Lateral(nn.Module):
    """Brings maps of the fast pathway to the rate of the slow one.

    Attributes:
        features: Output channels.
        layout: Extent and step in time, and whether there is a norm.
        train: Whether to use batch statistics.
        time_padding: See `vidjax.layers.conv.Conv`.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    layout: SlowFastLayout
    train: bool
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t2 h w c2"]:
        """Maps [B, T, H, W, C] to [B, T / alpha, H, W, features]."""
        x = Conv(
            self.features,
            (self.layout.fusion_kernel, 1, 1),
            (self.layout.alpha, 1, 1),
            "torch",
            time_padding=self.time_padding,
            dtype=self.dtype,
            name="conv",
        )(x)
        if not self.layout.fusion_norm:
            return x
        return nn.relu(BatchNorm(self.train, dtype=self.dtype, name="bn")(x))


class SlowFast(nn.Module):
    """SlowFast network.

    Attributes:
        layout: The two pathways and what is between them.
        num_classes: Number of classes; 0 leaves the classifier out.
        pool_size: Side of the window over which maps are averaged; see
            `vidjax.models.resnet3d.ResNet3D`.
        dropout_rate: Probability of dropping a unit before the last layer; the authors
            train with 0.5.
        drop_path_rate: Probability of dropping the residual branch of the last block of
            each pathway; it grows linearly from 0 at the first.
        time_padding: What stands before the first and after the last frame; "zeros" is
            what published weights were trained with, see `vidjax.layers.conv.Conv`.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: SlowFastLayout
    num_classes: int = 400
    pool_size: int | None = resnet3d.POOL_SIZE
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, clip: Clip | ClipPair, *, train: bool = False
    ) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: Clips at the fast rate [B, T, H, W, C], T a multiple of alpha, from
                which the slow frames are picked; or a pair of clips (slow, fast) with
                T / alpha and T frames. Any size.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and the maps of each pathway by torchvision's stage
            names, "slow_layer1" and so on, with "features" (the slow pathway's last
            map, [B, T / alpha, H', W', D]), "fast_features", "pooled" (of both
            pathways) and "logits_per_step" [B, N, num_classes], the scores at the N
            positions of the window. Logits are the mean of these, as in PyTorchVideo's
            hub models; facebookresearch/SlowFast takes the mean of their softmax at
            test time.

        Raises:
            ValueError: If a clip does not have five axes, or the numbers of frames do
                not fit.
            TypeError: If it is not of floating point.
        """
        slow, slow_maps, fast, fast_maps = self._trunks(self._pathways(clip), train)
        steps = [average_windows(maps, self.pool_size) for maps in (slow, fast)]
        if self.layout.first == "fast":
            steps.reverse()
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(jnp.concatenate(steps, axis=-1), train=train)
        endpoints = {f"slow_{name}": maps for name, maps in slow_maps.items()}
        endpoints |= {f"fast_{name}": maps for name, maps in fast_maps.items()}
        return logits, {
            **endpoints,
            "features": slow,
            "fast_features": fast,
            **scores,
        }

    def _pathways(self, clip: Clip | ClipPair) -> ClipPair:
        """Checks clips, and picks the slow pathway's frames where none are given."""
        if not isinstance(clip, tuple | list):
            check_clip(clip, min_frames=self.layout.alpha)
            picked = self.layout.frames(clip.shape[1])
            return clip[:, jnp.array(picked)], clip
        if len(clip) != 2:
            raise ValueError(f"Expected a pair of clips (slow, fast), got {len(clip)}.")
        for one in clip:
            check_clip(one)
        slow, fast = clip
        if fast.shape[1] != self.layout.alpha * slow.shape[1]:
            raise ValueError(
                f"Expected {self.layout.alpha} fast frames for each slow one, got slow "
                f"clips of shape {slow.shape} and fast ones of shape {fast.shape}, "
                "read as [B, T, H, W, C]."
            )
        return slow, fast

    def _trunks(
        self, clips: ClipPair, train: bool
    ) -> tuple[Array, Endpoints, Array, Endpoints]:
        """Runs the fast pathway, then the slow one, which sees the other's maps."""
        slow_clip, fast_clip = clips
        rest = (self.drop_path_rate, self.time_padding, self.dtype, self.remat)
        fast_trunk = resnet3d.ResNet3DTrunk(self.layout.fast, *rest, name="fast")
        slow_trunk = resnet3d.ResNet3DTrunk(self.layout.slow, *rest, name="slow")
        fast, fast_maps = fast_trunk(fast_clip, train=train)
        laterals = self._laterals(fast_maps, train)
        slow, slow_maps = slow_trunk(slow_clip, laterals, train=train)
        return slow, slow_maps, fast, fast_maps

    def _laterals(self, maps: Endpoints, train: bool) -> Mapping[str, Array]:
        """Makes laterals of the stem's and all stages' maps but the last."""
        stem = "pool1" if self.layout.fast.stem_pool else "conv1"
        depths = self.layout.fast.blocks
        stages = [f"layer{i + 1}" for i, depth in enumerate(depths) if depth]
        return {
            name: Lateral(
                _WIDEN * maps[name].shape[-1],
                self.layout,
                train,
                self.time_padding,
                self.dtype,
                name=f"fuse_{'conv1' if name == stem else name}",
            )(maps[name])
            for name in (stem, *stages[:-1])
        }


SLOWFAST_4X16 = SlowFastLayout(alpha=8, fusion_kernel=5)
SLOWFAST_8X8 = SlowFastLayout(alpha=4, fusion_kernel=7)
SLOWFAST_8X8_R101 = SlowFastLayout(
    alpha=4,
    fusion_kernel=5,
    slow=dataclasses.replace(SLOW, blocks=RESNET101),
    fast=dataclasses.replace(FAST, blocks=RESNET101),
)
SLOWFAST_R101_50_50 = dataclasses.replace(
    SLOWFAST_8X8_R101,
    slow=Layout(((1,), (1,), _SIX, (3,)), (1, 7, 7), RESNET101),
    fast=Layout(((3,), (3,), _SIX, (3,)), (5, 7, 7), RESNET101, width=8),
)
# Ours: two blocks a pathway, none on the first map, as in the other tiny models.
SLOWFAST_TINY = SlowFastLayout(
    alpha=4,
    fusion_kernel=5,
    slow=Layout(
        ((1,), (1,), (3,)),
        (1, 3, 3),
        blocks=(0, 1, 1),
        width=16,
        stem_pool=False,
    ),
    fast=Layout(
        ((3,), (3,), (3,)),
        (5, 3, 3),
        blocks=(0, 1, 1),
        width=4,
        stem_pool=False,
    ),
)

PAPER = (
    'Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019, '
    "https://arxiv.org/abs/1812.03982"
)
_CARD = {
    "family": "slowfast",
    "fusion": "slow",
    "paper": PAPER,
    "reference": "facebookresearch/SlowFast, slowfast/models/video_model_builder.py",
    "views": zoos.THIRTY_VIEWS,
}


@register(
    clip=zoos.slowfast_clip(32, 2),
    params=34_480_216,
    gmacs=27.639,
    weights=(
        zoos.pytorchvideo("SLOWFAST_4x16_R50.pyth", "75.34"),
        zoos.pyslowfast("SLOWFAST_4x16_R50.pkl", "75.6"),
    ),
    **_CARD,
)
def slowfast_4x16_resnet50(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50; 4 slow and 32 fast frames."""
    return SlowFast(**{"layout": SLOWFAST_4X16, **kwargs})


@register(
    clip=zoos.slowfast_clip(32, 2),
    params=34_566_488,
    gmacs=50.309,
    weights=(
        zoos.pytorchvideo("SLOWFAST_8x8_R50.pyth", "76.94"),
        zoos.pyslowfast("SLOWFAST_8x8_R50.pkl", "77.0"),
    ),
    **_CARD,
)
def slowfast_8x8_resnet50(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50; 8 slow and 32 fast frames."""
    return SlowFast(**{"layout": SLOWFAST_8X8, **kwargs})


@register(
    clip=zoos.slowfast_clip(32, 2),
    params=62_826_968,
    gmacs=96.397,
    weights=(zoos.pytorchvideo("SLOWFAST_8x8_R101.pyth", "77.90"),),
    **_CARD,
)
def slowfast_8x8_resnet101(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-101; 8 slow and 32 fast frames."""
    return SlowFast(**{"layout": SLOWFAST_8X8_R101, **kwargs})


@register(clip=zoos.slowfast_clip(32, 2), params=53_774_808, gmacs=81.548, **_CARD)
def slowfast_8x8_resnet101_101_50_50(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-101, 6 of its 23 blocks in time; 8 and 32 frames."""
    return SlowFast(**{"layout": SLOWFAST_R101_50_50, **kwargs})


@register(
    clip=zoos.slowfast_clip(64, 2),
    params=53_774_808,
    gmacs=163.095,
    weights=(zoos.pytorchvideo("SLOWFAST_16x8_R101_50_50.pyth", "78.70"),),
    **_CARD,
)
def slowfast_16x8_resnet101(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-101, 6 of its 23 blocks in time; 16 and 64 frames."""
    return SlowFast(**{"layout": SLOWFAST_R101_50_50, **kwargs})


@register(
    clip=zoos.ssv2_clip(32),
    params=34_045_558,
    gmacs=50.308,
    weights=(zoos.pytorchvideo_ssv2("SLOWFAST_8x8_R50.pyth", "61.68"),),
    **{**_CARD, "views": zoos.SSV2_VIEWS},
)
def slowfast_8x8_resnet50_ssv2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50 for Something-Something v2; 8 and 32 frames."""
    return SlowFast(**{"num_classes": 174, "layout": SLOWFAST_8X8, **kwargs})


@register(
    clip=zoos.ssv2_clip(64),
    params=34_045_558,
    gmacs=100.62,
    weights=(zoos.pyslowfast_ssv2("SLOWFAST_16x8_R50.pkl", "63.0"),),
    **{**_CARD, "views": protocol("pyslowfast-ssv2-1x1")},
)
def slowfast_16x8_resnet50_ssv2(**kwargs: Any) -> SlowFast:
    """SlowFast on ResNet-50 for Something-Something v2; 16 and 64 frames."""
    return SlowFast(**{"num_classes": 174, "layout": SLOWFAST_8X8, **kwargs})


@register(
    clip=TINY_CLIP,
    params=181_550,
    gmacs=0.015371,
    **{**_CARD, "views": protocol("center")},
)
def slowfast_tiny(**kwargs: Any) -> SlowFast:
    """SlowFast of two blocks a pathway; 2 slow and 8 fast frames."""
    return SlowFast(**{"num_classes": 10, "layout": SLOWFAST_TINY, **kwargs})
