"""Separable 3D Inception (S3D), and S3D-G with gates.

Reference:
    Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs
    in Video Classification", ECCV 2018, https://arxiv.org/abs/1712.04851.

I3D's 3D convolutions as one over space and one over time. Stage names are those of the
authors' TF-slim code. `s3d` follows torchvision: symmetric padding, a separable stem,
batch norm with epsilon 1e-3, and a classifier that looks at windows of 2 x 7 x 7.
`s3d_g` follows DeepMind's code for MMV: TensorFlow's "SAME" borders, a stem of 7x7x7 in
one, epsilon 1e-5, gates, and a classifier after the mean over the whole map.
"""

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import ConvBlock, TimePadding
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool, max_pool
from vidjax.models.r3d import torchvision_weights
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

# Name, kind, then for "conv" features, kernel and strides (and padding, where it is not
# the network's); for "separable" features, side and stride of the kernel; for "pool"
# window and strides; for "mixed" the widths of 1x1; reduce, 3x3; reduce, 3x3; pool
# projection.
_TRUNK = (
    ("MaxPool_2a_3x3", "pool", (1, 3, 3), (1, 2, 2)),
    ("Conv2d_2b_1x1", "conv", 64, (1, 1, 1), (1, 1, 1)),
    ("Conv2d_2c_3x3", "separable", 192, 3, 1),
    ("MaxPool_3a_3x3", "pool", (1, 3, 3), (1, 2, 2)),
    ("Mixed_3b", "mixed", 64, 96, 128, 16, 32, 32),
    ("Mixed_3c", "mixed", 128, 128, 192, 32, 96, 64),
    ("MaxPool_4a_3x3", "pool", (3, 3, 3), (2, 2, 2)),
    ("Mixed_4b", "mixed", 192, 96, 208, 16, 48, 64),
    ("Mixed_4c", "mixed", 160, 112, 224, 24, 64, 64),
    ("Mixed_4d", "mixed", 128, 128, 256, 24, 64, 64),
    ("Mixed_4e", "mixed", 112, 144, 288, 32, 64, 64),
    ("Mixed_4f", "mixed", 256, 160, 320, 32, 128, 128),
    ("MaxPool_5a_2x2", "pool", (2, 2, 2), (2, 2, 2)),
    ("Mixed_5b", "mixed", 256, 160, 320, 32, 128, 128),
    ("Mixed_5c", "mixed", 384, 192, 384, 48, 128, 128),
)
S3D_STAGES = (("Conv2d_1a_7x7", "separable", 64, 7, 2), *_TRUNK)
S3D_G_STAGES = (("Conv2d_1a_7x7", "conv", 64, (7, 7, 7), (2, 2, 2)), *_TRUNK)
# DeepMind's weights are for clips whose blocks of 2x2x2 pixels have become channels, of
# which a kernel of 2x4x4 with "SAME" borders sees these pixels of the clip itself.
S3D_G_MMV_STAGES = (
    (
        "Conv2d_1a_7x7",
        "conv",
        64,
        (4, 8, 8),
        (2, 2, 2),
        ((0, 2), (2, 4), (2, 4)),
    ),
    *_TRUNK,
)
# Ours: one inception block, and time is halved once.
TINY_STAGES = (
    ("Conv2d_1a_3x3", "conv", 16, (3, 3, 3), (1, 2, 2)),
    ("Conv2d_2c_3x3", "separable", 32, 3, 1),
    ("MaxPool_3a_2x2", "pool", (2, 2, 2), (2, 2, 2)),
    ("Mixed_3b", "mixed", 64, 32, 64, 16, 32, 32),
)


class Separable(nn.Module):
    """A convolution over space and one over time, each with norm and ReLU.

    Attributes:
        features: Output channels of both.
        side: Extent over height, width and time.
        stride: Step along them.
        conv: Builds a convolution block from (features, kernel size, strides).
    """

    features: int
    side: int
    stride: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t2 h2 w2 c2"]:
        """Maps [B, T, H, W, C] to [B, T', H', W', features]."""
        k, s = self.side, self.stride
        x = self.conv(self.features, (1, k, k), (1, s, s), name="spatial")(x)
        return self.conv(self.features, (k, 1, 1), (s, 1, 1), name="temporal")(x)


class Gate(nn.Module):
    """Self-gating: channels are scaled by what the mean of the clip's map says.

    Attributes:
        dtype: Computation dtype; parameters stay float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w c"]:
        """Maps [B, T, H, W, C] to the same shape, each channel times (0, 1)."""
        mean = jnp.mean(x, axis=(1, 2, 3), keepdims=True, dtype=jnp.float32)
        weights = nn.Dense(x.shape[-1], dtype=self.dtype, name="dense")(mean)
        return x * nn.sigmoid(weights)


class Mixed(nn.Module):
    """Inception block: four branches, gated or not, concatenated over channels.

    Attributes:
        widths: Channels of (1x1; reduce, 3x3; reduce, 3x3; pool projection).
        padding: "SAME" or "torch", of the pool.
        conv: Builds a convolution block from (features, kernel size).
        gate: Builds a gate; None leaves gates out.
    """

    widths: tuple[int, ...]
    padding: Literal["SAME", "torch"]
    conv: Callable[..., nn.Module]
    gate: Callable[..., nn.Module] | None

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c1"]) -> Float[Array, "b t h w c2"]:
        """Maps [B, T, H, W, C] to [B, T, H, W, sum of the branch widths]."""
        one, reduce_a, three_a, reduce_b, three_b, project = self.widths
        point = (1, 1, 1)
        y0 = self.conv(one, point, name="b0")(x)
        y1 = self.conv(reduce_a, point, name="b1_reduce")(x)
        y1 = Separable(three_a, 3, 1, self.conv, name="b1")(y1)
        y2 = self.conv(reduce_b, point, name="b2_reduce")(x)
        y2 = Separable(three_b, 3, 1, self.conv, name="b2")(y2)
        y3 = _pool(x, (3, 3, 3), point, self.padding)
        y3 = self.conv(project, point, name="b3")(y3)
        branches = [y0, y1, y2, y3]
        if self.gate is not None:
            branches = [self.gate(name=f"b{i}_gate")(y) for i, y in enumerate(branches)]
        return jnp.concatenate(branches, axis=-1)


class S3D(nn.Module):
    """S3D video classifier, with or without gates.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        stages: The trunk, a table as above; tests pass its first rows.
        gated: Whether separable convolutions and the branches of inception blocks end
            in a gate (S3D-G).
        padding: "torch" pads by half the kernel; "SAME" as TensorFlow does.
        epsilon: Batch norm's.
        momentum: Share of batch norm's running average that is kept.
        unbiased: Whether that takes the unbiased variance, as in PyTorch.
        window: Extent (T, H, W) of the mean over which the classifier looks, at every
            position; None is the whole map.
        dropout_rate: Probability of dropping a unit before the last layer; torchvision
            trains with 0.2.
        time_padding: What stands beyond the ends of a clip: "zeros", as published, or
            the frames at the "edge" again.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether inception blocks are computed again in the backward pass to save
            memory.
    """

    num_classes: int = 400
    stages: tuple[tuple, ...] = S3D_STAGES
    gated: bool = False
    padding: Literal["SAME", "torch"] = "torch"
    epsilon: float = 1e-3
    momentum: float = 0.999
    unbiased: bool = True
    window: tuple[int, int, int] | None = (2, 7, 7)
    dropout_rate: float = 0.0
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C]. With symmetric padding T >= 5 and H, W >= 17; below
                13 frames, where torchvision's head finds no window of 2 steps, and
                below 193 pixels, where it finds none of 7 x 7, the window is cut to the
                map.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes]; the output of every stage by its name, such as
            "Mixed_5c" [B, T/8, H/32, W/32, 1024], with "features" (the last of them),
            "pooled" [B, 1024] and "logits_per_step" [B, N, num_classes] of the N
            positions in time of the window.

        Raises:
            ValueError: If the clip does not have five axes, or is too small to pool.
            TypeError: If the clip is not of floating point.
        """
        min_frames, min_size = _smallest(self.stages, self.padding)
        check_clip(clip, min_frames=min_frames, min_size=min_size)
        norm = functools.partial(
            BatchNorm,
            train,
            epsilon=self.epsilon,
            momentum=self.momentum,
            unbiased=self.unbiased,
            dtype=self.dtype,
        )
        conv = functools.partial(
            ConvBlock,
            padding=self.padding,
            time_padding=self.time_padding,
            norm=norm,
            dtype=self.dtype,
        )
        gate = functools.partial(Gate, dtype=self.dtype) if self.gated else None
        mixed = nn.remat(Mixed) if self.remat else Mixed

        x, endpoints = clip, {}
        for name, kind, *spec in self.stages:
            if kind == "conv":
                features, kernel, strides, *other = spec
                changes = {"padding": other[0]} if other else {}
                x = conv(features, kernel, strides, name=name, **changes)(x)
            elif kind == "pool":
                window, strides = spec
                x = _pool(x, window, strides, self.padding)
            elif kind == "mixed":
                x = mixed(tuple(spec), self.padding, conv, gate, name=name)(x)
            else:
                features, side, stride = spec
                x = Separable(features, side, stride, conv, name=name)(x)
                x = x if gate is None else gate(name=f"{name}_gate")(x)
            endpoints[name] = x
        endpoints["features"] = x

        size = x.shape[1:4]
        pairs = zip(self.window or size, size, strict=True)
        window = tuple(min(pair) for pair in pairs)
        steps = jnp.mean(avg_pool(x, window, (1, 1, 1)), axis=(2, 3))
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, **scores}


def _pool(
    x: Array,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Literal["SAME", "torch"],
) -> Array:
    if padding == "SAME":
        return max_pool(x, window, strides, "SAME")
    # torchvision pads windows of 3, not those of 2.
    pads = tuple(((k - 1) // 2, (k - 1) // 2) for k in window)
    return max_pool(x, window, strides, pads)


def _smallest(stages: tuple[tuple, ...], padding: str) -> tuple[int, int]:
    """Returns the fewest frames and pixels that leave each pool a whole window."""
    frames, size = 1, 1
    if padding == "SAME":
        return frames, size
    for _, kind, *spec in reversed(stages):
        if kind == "pool":
            window, strides = spec
            frames = _before(frames, window[0], strides[0])
            size = _before(size, window[1], strides[1])
        elif kind == "conv":
            frames, size = (frames - 1) * spec[2][0] + 1, (size - 1) * spec[2][1] + 1
        elif kind == "separable":
            frames, size = (frames - 1) * spec[2] + 1, (size - 1) * spec[2] + 1
    return frames, size


def _before(positions: int, window: int, stride: int) -> int:
    """Returns the fewest positions of which a pool leaves so many."""
    return max((positions - 1) * stride + window - 2 * ((window - 1) // 2), 1)


_CARD = {
    "family": "s3d",
    "fusion": "slow",
    "paper": (
        'Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy '
        'Trade-offs in Video Classification", ECCV 2018, '
        "https://arxiv.org/abs/1712.04851"
    ),
}
_DEEPMIND = "google-deepmind/deepmind-research, mmv/models/s3d.py"
_DEEPMIND_ARGUMENTS = {
    "gated": True,
    "padding": "SAME",
    "epsilon": 1e-5,
    "momentum": 0.9,
    "unbiased": False,
    "window": None,
}
# Frames, stride and range: mmv/eval_ucf101.py.
_DEEPMIND_CLIP = ClipSpec(
    num_frames=32,
    frame_stride=2,
    crop_fraction=1.0,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)
_MMV_URL = "https://storage.googleapis.com/deepmind-research-mmv/mmv_s3d.pkl"


@register(
    # torchvision's accuracy is of clips of 128 frames, though the cost that it prints
    # (17.979) is of 16.
    clip=ClipSpec(
        num_frames=128,
        fps=15.0,
        mean=(0.43216, 0.394666, 0.37645),
        std=(0.22803, 0.22145, 0.216989),
    ),
    params=8_320_048,
    gmacs=143.83,
    reference="torchvision, torchvision/models/video/s3d.py",
    views=protocol("torchvision-s3d-1"),
    weights=torchvision_weights(
        "s3d-d76dad2f.pth", "68.368 (1 clip of 128 frames at 15 fps)"
    ),
    **_CARD,
)
def s3d(**kwargs: Any) -> S3D:
    """S3D as torchvision has it."""
    return S3D(**kwargs)


@register(
    clip=_DEEPMIND_CLIP, params=9_572_704, gmacs=39.645, reference=_DEEPMIND, **_CARD
)
def s3d_g(**kwargs: Any) -> S3D:
    """S3D with gates, as DeepMind has it."""
    return S3D(**{"stages": S3D_G_STAGES, **_DEEPMIND_ARGUMENTS, **kwargs})


@register(
    clip=_DEEPMIND_CLIP,
    params=9_556_000,
    gmacs=36.292,
    reference=_DEEPMIND,
    weights=(
        Weights(
            tag="mmv",
            description=(
                "DeepMind, trained without labels on AudioSet and HowTo100M; "
                "no classifier"
            ),
            num_classes=0,
            file="mmv_s3d.pkl",
            url=_MMV_URL,
            get=f"Download {_MMV_URL} and give its path.",
            accuracy="89.6 UCF-101 by a linear classifier (mmv/README.md)",
            licence="CC BY-NC 4.0",
        ),
    ),
    **_CARD,
)
def s3d_g_mmv(**kwargs: Any) -> S3D:
    """S3D with gates and the stem of DeepMind's published weights."""
    return S3D(**{"stages": S3D_G_MMV_STAGES, **_DEEPMIND_ARGUMENTS, **kwargs})


@register(clip=TINY_CLIP, params=66_234, gmacs=0.02941, reference=_DEEPMIND, **_CARD)
def s3d_g_tiny(**kwargs: Any) -> S3D:
    """S3D with gates and one inception block, for tests and demonstrations."""
    tiny = {"num_classes": 10, "stages": TINY_STAGES, "gated": True, "momentum": 0.9}
    return S3D(**{**tiny, **kwargs})
