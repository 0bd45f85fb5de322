"""Two-stream networks: one for appearance, one for optical flow, and their fusion.

References:
    Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in
    Videos", NeurIPS 2014, https://arxiv.org/abs/1406.2199.
    Wang et al., "Temporal Segment Networks", ECCV 2016,
    https://arxiv.org/abs/1608.00859.
    Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017,
    https://arxiv.org/abs/1705.07750.

A clip holds both, [B, T, H, W, 3 + 2 L]: the colours of a frame, and L flows stacked as
u0, v0, u1, v1 and so on. The parameters of a stream, "rgb" or "flow", are those of the
same network alone, so that streams can be trained apart and put together by
`vidjax.convert.join_streams`.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.models import i3d, resnet
from vidjax.models.i3d import I3D
from vidjax.models.registry import register
from vidjax.models.tsn import TSN
from vidjax.ops.check import check_clip
from vidjax.ops.fuse import FuseAt, fuse_scores
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits

COLOURS = 3  # Channels of a frame.


class TwoStream(nn.Module):
    """Two networks of one make, on colours and on flow, with added scores.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifiers out.
        stream: Builds the network of a stream.
        flow_length: Flows L stacked at every frame; a clip has 3 + 2 L channels.
        weights: Weights of the scores of colours and flow. TSN's are (1, 1.5).
        fuse_at: "softmax" adds probabilities, as Simonyan and Zisserman do, "logits"
            scores before softmax, as TSN and I3D do.
        dropout_rate: Probability of dropping a unit before the last layers; TSN's are
            0.8 for colours and 0.7 for flow, Simonyan and Zisserman's 0.9.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    stream: Callable[..., nn.Module] = TSN
    flow_length: int = 1
    weights: tuple[float, float] = (1.0, 1.0)
    fuse_at: FuseAt = "logits"
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: Colours and flow, [B, T, H, W, 3 + 2 L].
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], the scores of both streams as one; and the
            endpoints "rgb_logits" and "flow_logits" [B, num_classes], "features" [B,
            T', H', W', 2 D] and "pooled" [B, 2 D], those of both side by side. Without
            classes, logits are "pooled".

        Raises:
            ValueError: If the clip has not five axes or 3 + 2 L channels.
            TypeError: If it is not of floating point.
        """
        streams = split_streams(clip, self.flow_length)
        build = functools.partial(
            self.stream,
            num_classes=self.num_classes,
            dropout_rate=self.dropout_rate,
            dtype=self.dtype,
            remat=self.remat,
        )
        rgb_logits, rgb = build(name="rgb")(streams["rgb"], train=train)
        flow_logits, moving = build(name="flow")(streams["flow"], train=train)
        endpoints = {
            name: jnp.concatenate([rgb[name], moving[name]], axis=-1)
            for name in ("features", "pooled")
        }
        if not self.num_classes:
            return endpoints["pooled"], endpoints
        both = {"rgb_logits": rgb_logits, "flow_logits": flow_logits}
        logits = fuse_scores(
            [rgb_logits, flow_logits], weights=self.weights, at=self.fuse_at
        )
        return logits, {**endpoints, **both}


def split_streams(
    clip: Float[Array, "b t h w c"], flow_length: int
) -> dict[str, Float[Array, "b t h w c2"]]:
    """Parts the channels of clips.

    Args:
        clip: Colours and flow, [B, T, H, W, 3 + 2 L].
        flow_length: Flows L stacked at every frame.

    Returns:
        "rgb" [B, T, H, W, 3] and "flow" [B, T, H, W, 2 L].

    Raises:
        ValueError: If the clip has not five axes or 3 + 2 L channels.
        TypeError: If it is not of floating point.
    """
    check_clip(clip, channels=COLOURS + 2 * flow_length)
    return {"rgb": clip[..., :COLOURS], "flow": clip[..., COLOURS:]}


_SIMONYAN = (
    'Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition '
    'in Videos", NeurIPS 2014, https://arxiv.org/abs/1406.2199'
)
_WANG = (
    'Wang et al., "Temporal Segment Networks: Towards Good Practices for Deep Action '
    'Recognition", ECCV 2016, https://arxiv.org/abs/1608.00859'
)
_CARREIRA = (
    'Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the '
    'Kinetics Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750'
)
_CARD: dict[str, Any] = {"family": "two_stream", "fusion": "late"}

# Sec. 3.1 and 6 of Simonyan and Zisserman: one frame and ten flows; 25 such clips of a
# video are tested.
_SIMONYAN_LENGTH = 10
_SIMONYAN_CLIP = ClipSpec(num_frames=1, sampling="segments").with_modality(
    "rgb+flow", flow_length=_SIMONYAN_LENGTH
)
# Sec. 4.1 of Wang et al.: five flows; three segments in training, 25 in testing.
_TSN_LENGTH = 5
_TSN_CLIP = ClipSpec(num_frames=3, sampling="segments").with_modality(
    "rgb+flow", flow_length=_TSN_LENGTH
)
TINY_LENGTH = 6
TINY_CLIP = resnet.TINY_CLIP.with_modality("rgb+flow", flow_length=TINY_LENGTH)
"""Of the tiny models: eight frames, six flows at each."""


def _simonyan(layout: resnet.Layout, **kwargs: Any) -> TwoStream:
    stream = functools.partial(TSN, layout=layout)
    defaults = {"fuse_at": "softmax", "flow_length": _SIMONYAN_LENGTH}
    return TwoStream(**{"stream": stream, **defaults, **kwargs})


@register(
    clip=_SIMONYAN_CLIP,
    params=22_816_736,
    gmacs=4.2963,
    paper=_SIMONYAN,
    reference=resnet.REFERENCE,
    views=protocol("two-stream-25"),
    **_CARD,
)
def two_stream_resnet18(**kwargs: Any) -> TwoStream:
    """A frame and ten flows, each on a ResNet-18; probabilities are averaged."""
    return _simonyan(resnet.RESNET18, **kwargs)


@register(
    clip=_SIMONYAN_CLIP,
    params=48_708_576,
    gmacs=8.8447,
    paper=_SIMONYAN,
    reference=resnet.REFERENCE,
    views=protocol("two-stream-25"),
    **_CARD,
)
def two_stream_resnet50(**kwargs: Any) -> TwoStream:
    """A frame and ten flows, each on a ResNet-50; probabilities are averaged."""
    return _simonyan(resnet.RESNET50, **kwargs)


@register(
    clip=_TSN_CLIP,
    params=48_677_216,
    gmacs=25.354,
    paper=_WANG,
    reference="yjxiong/tsn-pytorch, models.py",
    views=protocol("center-logits"),
    accuracy="94.0 UCF101 top-1, three splits, BN-Inception (Wang et al., Table 3)",
    **_CARD,
)
def two_stream_tsn_resnet50(**kwargs: Any) -> TwoStream:
    """TSN on colours and on five stacked flows, each on a ResNet-50."""
    stream = functools.partial(TSN, layout=resnet.RESNET50)
    defaults = {"weights": (1.0, 1.5), "flow_length": _TSN_LENGTH}
    return TwoStream(**{"stream": stream, **defaults, **kwargs})


@register(
    clip=i3d.CLIP.with_modality("rgb+flow"),
    params=12_689_984 + 12_668_032,
    gmacs=213.49,
    paper=_CARREIRA,
    reference="google-deepmind/kinetics-i3d, evaluate_sample.py",
    views=protocol("center-logits"),
    accuracy=(
        "74.2 / 91.3 Kinetics-400 test top-1 / top-5 (README of "
        "google-deepmind/kinetics-i3d)"
    ),
    family="two_stream",
    fusion="slow",
)
def i3d_two_stream(**kwargs: Any) -> TwoStream:
    """I3D on colours and on flow; logits are added."""
    return TwoStream(**{"stream": I3D, **kwargs})


@register(
    clip=TINY_CLIP,
    params=148_036,
    gmacs=0.033794,
    paper=_SIMONYAN,
    reference=resnet.REFERENCE,
    **_CARD,
)
def two_stream_resnet_tiny(**kwargs: Any) -> TwoStream:
    """Frames and six flows at each, on ResNets of two blocks, for tests and demos."""
    stream = functools.partial(TSN, layout=resnet.RESNET_TINY)
    defaults = {"num_classes": 10, "flow_length": TINY_LENGTH}
    return TwoStream(**{"stream": stream, **defaults, **kwargs})
