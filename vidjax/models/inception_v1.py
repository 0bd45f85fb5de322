"""Inception-v1 (GoogLeNet) with batch norm: the image network that I3D inflates.

Reference:
    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015,
    https://arxiv.org/abs/1409.4842.

Stage names and conventions are those of TF-slim (tensorflow/models,
research/slim/nets/inception_v1.py): borders are TensorFlow's "SAME", the 5x5 branches
are 3x3, batch norm has an offset but no scale and epsilon 1e-3, and class 0 of its 1001
is the background.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.conv import ConvBlock
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import avg_pool, max_pool
from vidjax.models.registry import register
from vidjax.ops.check import check_images
from vidjax.typing import ClipSpec, Endpoints, Logits, Weights

Stages = tuple[tuple, ...]
"""Rows of a trunk: name, kind, then for "conv" features, kernel and strides; for "pool"
window and strides; for "mixed" the widths of 1x1; reduce, 3x3; reduce, 3x3; pool
projection."""

# Table 1 of the paper.
STAGES: Stages = (
    ("Conv2d_1a_7x7", "conv", 64, (7, 7), (2, 2)),
    ("MaxPool_2a_3x3", "pool", (3, 3), (2, 2)),
    ("Conv2d_2b_1x1", "conv", 64, (1, 1), (1, 1)),
    ("Conv2d_2c_3x3", "conv", 192, (3, 3), (1, 1)),
    ("MaxPool_3a_3x3", "pool", (3, 3), (2, 2)),
    ("Mixed_3b", "mixed", 64, 96, 128, 16, 32, 32),
    ("Mixed_3c", "mixed", 128, 128, 192, 32, 96, 64),
    ("MaxPool_4a_3x3", "pool", (3, 3), (2, 2)),
    ("Mixed_4b", "mixed", 192, 96, 208, 16, 48, 64),
    ("Mixed_4c", "mixed", 160, 112, 224, 24, 64, 64),
    ("Mixed_4d", "mixed", 128, 128, 256, 24, 64, 64),
    ("Mixed_4e", "mixed", 112, 144, 288, 32, 64, 64),
    ("Mixed_4f", "mixed", 256, 160, 320, 32, 128, 128),
    ("MaxPool_5a_2x2", "pool", (2, 2), (2, 2)),
    ("Mixed_5b", "mixed", 256, 160, 320, 32, 128, 128),
    ("Mixed_5c", "mixed", 384, 192, 384, 48, 128, 128),
)

# Ours: the image network of `i3d_tiny`.
TINY_STAGES: Stages = (
    ("Conv2d_1a_3x3", "conv", 16, (3, 3), (2, 2)),
    ("Conv2d_2c_3x3", "conv", 32, (3, 3), (1, 1)),
    ("MaxPool_3a_2x2", "pool", (2, 2), (2, 2)),
    ("Mixed_3b", "mixed", 16, 16, 32, 4, 8, 8),
    ("MaxPool_4a_2x2", "pool", (2, 2), (2, 2)),
    ("Mixed_4b", "mixed", 32, 32, 64, 8, 16, 16),
)


class Mixed(nn.Module):
    """Inception block: four branches, concatenated over channels.

    Attributes:
        widths: Channels of (1x1; reduce, 3x3; reduce, 3x3; pool projection).
        axes: 2 for kernels over (H, W), 3 for kernels over (T, H, W).
        conv: Builds a convolution block from (features, kernel size).
    """

    widths: tuple[int, ...]
    axes: int
    conv: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b *t h w c1"]) -> Float[Array, "b *t h w c2"]:
        """Maps [B, ..., H, W, C] to [B, ..., H, W, sum of the branch widths]."""
        one, reduce_a, three_a, reduce_b, three_b, project = self.widths
        point, cube = (1,) * self.axes, (3,) * self.axes
        y0 = self.conv(one, point, name="b0")(x)
        y1 = self.conv(reduce_a, point, name="b1_reduce")(x)
        y1 = self.conv(three_a, cube, name="b1")(y1)
        y2 = self.conv(reduce_b, point, name="b2_reduce")(x)
        y2 = self.conv(three_b, cube, name="b2")(y2)
        y3 = max_pool(x, cube, point, "SAME")
        y3 = self.conv(project, point, name="b3")(y3)
        return jnp.concatenate([y0, y1, y2, y3], axis=-1)


def run_stages(
    x: Float[Array, "b *t h w c"],
    stages: Stages,
    conv: Callable[..., nn.Module],
    mixed: Callable[..., nn.Module],
) -> Endpoints:
    """Runs a trunk inside a compact module.

    Args:
        x: Images or clips, [B, ..., H, W, C].
        stages: The trunk.
        conv: Builds a convolution block from (features, kernel size).
        mixed: Builds an inception block from its widths.

    Returns:
        The output of every stage by its name, and the last as "features".
    """
    endpoints = {}
    for name, kind, *spec in stages:
        if kind == "conv":
            features, kernel, strides = spec
            x = conv(features, kernel, strides=strides, name=name)(x)
        elif kind == "pool":
            window, strides = spec
            x = max_pool(x, window, strides, "SAME")
        else:
            x = mixed(tuple(spec), name=name)(x)
        endpoints[name] = x
    return {**endpoints, "features": x}


class InceptionV1(nn.Module):
    """Inception-v1 image classifier.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        stages: The trunk, a table as above; tests pass its first rows.
        dropout_rate: Probability of dropping a unit before the last layer.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether inception blocks are computed again in the backward pass to save
            memory.
    """

    num_classes: int = 1001
    stages: Stages = STAGES
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, images: Float[Array, "..."], *, train: bool = False
    ) -> tuple[Logits, Endpoints]:
        """Classifies images.

        Args:
            images: [B, H, W, C], or clips of one frame [B, 1, H, W, C], with values in
                [-1, 1].
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes] and the output of every stage by its name, of shape
            [B, 1, H', W', D], with "features" (the last of them) and "pooled" [B, D].

        Raises:
            ValueError: If the input is neither images nor clips of one frame.
            TypeError: If it is not of floating point.
        """
        clip = check_images(images)
        norm = functools.partial(
            BatchNorm,
            train,
            epsilon=1e-3,
            use_scale=False,
            unbiased=False,
            dtype=self.dtype,
        )
        conv = functools.partial(ConvBlock, norm=norm, dtype=self.dtype)
        mixed = functools.partial(
            nn.remat(Mixed) if self.remat else Mixed, axes=2, conv=conv
        )
        endpoints = run_stages(clip, self.stages, conv, mixed)
        x = endpoints["features"]
        # At 224 pixels the window is the whole map, as published.
        x = avg_pool(x, (min(7, x.shape[2]), min(7, x.shape[3])), (1, 1))
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(jnp.mean(x, axis=(2, 3)), train=train)
        return logits, {**endpoints, **scores}


_CARD = {
    "family": "inception_v1",
    "fusion": "none",
    "paper": (
        'Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, '
        "https://arxiv.org/abs/1409.4842"
    ),
    "reference": "tensorflow/models, research/slim/nets/inception_v1.py",
}
_URL = "http://download.tensorflow.org/models/inception_v1_2016_08_28.tar.gz"


def _clip(size: int, crop_fraction: float) -> ClipSpec:
    return ClipSpec(
        num_frames=1,
        size=size,
        crop_fraction=crop_fraction,
        value_range=(-1.0, 1.0),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )


@register(
    clip=_clip(224, 0.875),
    params=6_618_649,
    gmacs=1.4984,
    weights=(
        Weights(
            tag="imagenet",
            description="TF-slim, trained on ImageNet-1k (with a background class)",
            num_classes=1001,
            file="inception_v1.ckpt",
            url=_URL,
            get=f"Download {_URL}, unpack it and give the path of inception_v1.ckpt.",
            accuracy="69.8 ImageNet-1k top-1 (README of tensorflow/models' slim)",
            licence="Apache-2.0",
        ),
    ),
    **_CARD,
)
def inception_v1(**kwargs: Any) -> InceptionV1:
    """Inception-v1, from whose weights I3D was inflated."""
    return InceptionV1(**kwargs)


@register(clip=_clip(32, 1.0), params=38_150, gmacs=0.0020984, **_CARD)
def inception_v1_tiny(**kwargs: Any) -> InceptionV1:
    """Inception-v1 of two inception blocks, for tests and short demonstrations."""
    return InceptionV1(**{"num_classes": 10, "stages": TINY_STAGES, **kwargs})
