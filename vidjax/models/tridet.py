"""TriDet: actions in the features of an untrimmed video, by relative boundaries.

Reference:
    Shi et al., "TriDet: Temporal Action Detection with Relative Boundary Modeling",
    CVPR 2023, https://arxiv.org/abs/2303.07347.

Conventions, parameter names and defaults follow dingfengshi/TriDet (libs/modeling,
configs). Its blocks see what lies behind the end of a video: results depend on the
length to which features are padded, which is that of the model's card.

With `THUMOS14` and `EPIC_*` the convolutions of the blocks start as zeros, as published
(init_conv_vars: 0): then their gradients are zero as well, and they stay so.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from vidjax.layers.detection import join_levels, regress, score_classes
from vidjax.layers.mlp import exact_gelu
from vidjax.layers.pool import max_pool
from vidjax.layers.sequence import (
    ConvStack,
    ScaledPath,
    SequenceConv,
    StepNorm,
    add_positions,
    apply_mask,
    check_features,
)
from vidjax.models.registry import register
from vidjax.typing import Endpoints, FeatureSpec


@dataclasses.dataclass(frozen=True)
class Layout:
    """Widths, windows and bins.

    Attributes:
        width: Channels D of the pyramid.
        head_width: Channels of the heads.
        hidden: Channels between the layers of an MLP.
        window: Extent of the blocks' small convolutions, odd, behind the first level.
        ratio: Extent of their large ones over that of the small ones.
        levels: Of the pyramid.
        bins: B: a boundary is at most so many steps of its level away.
        kernel_size: Extent of the convolutions of the heads.
        boundary_kernel_size: Extent of those of the heads of boundaries.
        position_steps: Steps of the table of positions; 0 adds none.
        conv_std: Standard deviation with which the blocks' convolutions start.
        input_noise: Standard deviation of the noise that is added in training.
    """

    width: int = 512
    head_width: int = 512
    hidden: int = 768
    window: int = 1
    ratio: float = 5.0
    levels: int = 6
    bins: int = 16
    kernel_size: int = 3
    boundary_kernel_size: int = 3
    position_steps: int = 0
    conv_std: float = 0.0
    input_noise: float = 0.0


THUMOS14 = Layout(input_noise=0.0005)
ACTIVITYNET = Layout(
    width=256,
    hidden=2048,
    window=15,
    ratio=1.3,
    bins=12,
    position_steps=768,
    conv_std=0.2,
    input_noise=0.5,
)
HACS = Layout(
    width=1024,
    head_width=1024,
    hidden=1024,
    window=3,
    ratio=1.2,
    bins=14,
    kernel_size=5,
    boundary_kernel_size=1,
    position_steps=960,
    conv_std=0.1,
    input_noise=0.2,
)
EPIC_VERB = Layout(hidden=1024, window=5, ratio=2.0)
EPIC_NOUN = Layout(hidden=1024, window=1, ratio=4.0)
TINY = Layout(32, 32, 32, window=3, ratio=1.5, levels=3, bins=4, conv_std=0.1)


class TriDet(nn.Module):
    """A pyramid of convolutions at two scales, with bins of relative boundaries.

    Attributes:
        num_classes: Classes K; 1 proposes segments without a class.
        layout: Widths, windows and bins.
        empty_classes: Classes that the training data does not have.
        drop_path_rate: Probability of dropping each branch of a block of the pyramid.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 20
    layout: Layout = THUMOS14
    empty_classes: tuple[int, ...] = ()
    drop_path_rate: float = 0.1
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        features: Float[Array, "b t c"],
        mask: Bool[Array, "b t"] | None = None,
        *,
        train: bool = False,
    ) -> tuple[Float[Array, "b n k"], Endpoints]:
        """Scores every point of every level.

        Args:
            features: [B, T, C]; T is a multiple of 2 ** (L - 1) for L levels.
            mask: Which steps are of the video, [B, T]; the first ones. None means all.
            train: Whether to use noise and drop paths.

        Returns:
            Logits [B, N, K] before the sigmoid, for the N = T + T / 2 + ... points of
            all levels; "bins" [B, N, 2 (B + 1)], the point's logits of the distances to
            its start and its end; "start_logits" and "end_logits" [B, N, K], whether an
            action starts or ends there (`vidjax.localization.trident` joins them);
            "mask" [B, N], which points are of the video; "features" [B, N, D];
            "pooled" [B, D], the mean of those of the video.

        Raises:
            ValueError: If the features do not have three axes, or another number of
                steps or channels, or the mask another shape.
            TypeError: If they are not of floating point.
        """
        layout = self.layout
        mask = check_features(features, layout.levels, mask)
        if train and layout.input_noise:
            noise = jax.random.normal(self.make_rng("dropout"), features.shape)
            features = features + layout.input_noise * noise.astype(features.dtype)
        x = ConvStack(layout.width, dtype=self.dtype, name="embed")(features, mask)
        if layout.position_steps:
            x = add_positions(x, mask, layout.position_steps)
        block = functools.partial(
            nn.remat(SGPBlock) if self.remat else SGPBlock,
            layout.hidden,
            ratio=layout.ratio,
            conv_std=layout.conv_std,
            train=train,
            dtype=self.dtype,
        )
        for i in range(2):
            x = block(window=1, name=f"stem_{i}")(x, mask)
        pyramid, masks = [x], [mask]
        for i in range(layout.levels - 1):
            branch = block(
                window=layout.window,
                stride=2,
                drop_path_rate=self.drop_path_rate,
                name=f"branch_{i}",
            )
            pyramid.append(branch(pyramid[-1], masks[-1]))
            masks.append(masks[-1][:, ::2])
        pyramid = [
            StepNorm(dtype=self.dtype, name=f"neck_{i}")(x)
            for i, x in enumerate(pyramid)
        ]
        return self._heads(pyramid, masks)

    @nn.nowrap
    def _heads(
        self, pyramid: list[Array], masks: list[Array]
    ) -> tuple[Array, Endpoints]:
        layout = self.layout
        score = functools.partial(
            score_classes,
            masks=masks,
            num_classes=self.num_classes,
            width=layout.head_width,
            empty=self.empty_classes,
        )
        logits = score(pyramid, kernel_size=layout.kernel_size)
        still = [jax.lax.stop_gradient(x) for x in pyramid]
        boundaries = {
            f"{side}_logits": score(
                still,
                kernel_size=layout.boundary_kernel_size,
                names=(f"{side}_head", f"{side}_logits"),
            )
            for side in ("start", "end")
        }
        bins = regress(
            pyramid,
            masks,
            2 * (layout.bins + 1),
            layout.head_width,
            kernel_size=layout.kernel_size,
        )
        levels = {"bins": bins, **boundaries}
        return jnp.concatenate(logits, 1), {
            **{name: jnp.concatenate(parts, 1) for name, parts in levels.items()},
            **join_levels(pyramid, masks),
        }


class SGPBlock(nn.Module):
    """Scalable-granularity perception: convolutions at two scales instead of attention.

    The mean over time, the group norm and the MLP see padding as well.

    Attributes:
        hidden: Channels between the layers of the MLP.
        window: Extent of the small convolution.
        ratio: Extent of the large convolution over that of the small one.
        conv_std: Standard deviation with which the convolutions start.
        stride: 2 halves the steps.
        train: Whether to use drop paths.
        drop_path_rate: Probability of dropping each branch.
        dtype: Computation dtype; parameters stay float32.
    """

    hidden: int
    window: int
    ratio: float
    conv_std: float = 0.0
    stride: int = 1
    train: bool = False
    drop_path_rate: float | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t d"], mask: Bool[Array, "b t"]
    ) -> Float[Array, "b t2 d"]:
        """Mixes the steps of a video.

        Args:
            x: [B, T, D].
            mask: Which steps are of the video, [B, T].

        Returns:
            [B, T / stride, D].
        """
        if self.stride > 1:
            x = max_pool(x, (3,), (self.stride,), ((1, 1),))
        width = x.shape[-1]
        conv = functools.partial(
            SequenceConv,
            width,
            use_bias=True,
            groups=width,
            kernel_init=nn.initializers.normal(self.conv_std),
            dtype=self.dtype,
        )
        large = round((self.window + 1) * self.ratio)
        large += large % 2 == 0

        y = StepNorm(dtype=self.dtype, name="ln")(x)
        whole = nn.relu(conv((1,), name="global_fc")(jnp.mean(y, 1, keepdims=True)))
        instant = conv((1,), name="fc")(y) * whole
        near = conv((self.window,), name="convw")(y)
        far = conv((large,), name="convkw")(y)
        y = instant + (near + far) * conv((self.window,), name="psi")(y) + y
        x = apply_mask(x, mask[:, :: self.stride]) + self._path("out_path", y)

        dense = functools.partial(SequenceConv, use_bias=True, dtype=self.dtype)
        y = nn.GroupNorm(16, epsilon=1e-5, dtype=self.dtype, name="gn")(x)
        y = exact_gelu(dense(self.hidden, (1,), name="fc1")(y))
        return x + self._path("mlp_path", dense(width, (1,), name="fc2")(y))

    def _path(self, name: str, y: Array) -> Array:
        """Blocks before the pyramid have no scale, which is told by a rate of None."""
        if self.drop_path_rate is None:
            return y
        return ScaledPath(self.drop_path_rate, name=name)(y, train=self.train)


_CARD: dict[str, Any] = {
    "family": "tridet",
    "task": "localize",
    "fusion": "slow",
    "paper": 'Shi et al., "TriDet: Temporal Action Detection with Relative Boundary '
    'Modeling", CVPR 2023, https://arxiv.org/abs/2303.07347',
    "reference": "dingfengshi/TriDet",
}
_REPOSITORY = "README of dingfengshi/TriDet"


@register(
    clip=FeatureSpec(2304, 2048, multiple=32),
    params=15_989_604,
    gmacs=21.76,
    accuracy=f"69.27 average mAP, I3D features ({_REPOSITORY})",
    **_CARD,
)
def tridet_thumos14(**kwargs: Any) -> TriDet:
    """TriDet for THUMOS14 on two-stream I3D features."""
    return TriDet(**kwargs)


@register(
    clip=FeatureSpec(768, 512, multiple=480),
    params=12_811_555,
    gmacs=4.642,
    accuracy=f"36.77 average mAP, TSP features ({_REPOSITORY})",
    **_CARD,
)
def tridet_activitynet(**kwargs: Any) -> TriDet:
    """TriDet for ActivityNet-1.3 on TSP features; proposes segments."""
    return TriDet(**{"num_classes": 1, "layout": ACTIVITYNET, **kwargs})


@register(
    clip=FeatureSpec(960, 2304, multiple=96),
    params=51_860_092,
    gmacs=37.57,
    accuracy=f"38.69 average mAP, SlowFast features ({_REPOSITORY})",
    **_CARD,
)
def tridet_hacs(**kwargs: Any) -> TriDet:
    """TriDet for HACS Segments on SlowFast features."""
    return TriDet(**{"num_classes": 200, "layout": HACS, **kwargs})


@register(
    clip=FeatureSpec(2304, 2304, multiple=160),
    params=18_594_123,
    gmacs=24.99,
    accuracy=f"25.51 average mAP, SlowFast features ({_REPOSITORY})",
    **_CARD,
)
def tridet_epic(**kwargs: Any) -> TriDet:
    """TriDet for the verbs of EPIC-KITCHENS-100 on SlowFast features."""
    return TriDet(**{"num_classes": 97, "layout": EPIC_VERB, **kwargs})


@register(
    clip=FeatureSpec(2304, 2304, multiple=32),
    params=19_503_532,
    gmacs=26.4,
    accuracy=f"23.76 average mAP, SlowFast features ({_REPOSITORY})",
    **_CARD,
)
def tridet_epic_noun(**kwargs: Any) -> TriDet:
    """TriDet for the nouns of EPIC-KITCHENS-100 on SlowFast features."""
    return TriDet(**{"num_classes": 300, "layout": EPIC_NOUN, **kwargs})


@register(clip=FeatureSpec(32, 16, multiple=12), params=42_998, gmacs=0.000711, **_CARD)
def tridet_tiny(**kwargs: Any) -> TriDet:
    """TriDet of three levels, for tests."""
    return TriDet(**{"num_classes": 3, "layout": TINY, **kwargs})
