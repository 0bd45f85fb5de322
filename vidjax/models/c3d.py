"""C3D: 3x3x3 convolutions all the way.

Reference:
    Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks",
    ICCV 2015, https://arxiv.org/abs/1412.0767.

Names, the border of the last pool and the order of dropout are those of MMAction2
(mmaction/models/backbones/c3d.py): convolutions have a bias and no norm, and dropout
follows both large linear layers.
"""

import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array

from vidjax.layers.conv import ConvBlock
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.layers.pool import max_pool
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits

# Figure 3 of the paper: name, kind, then for "conv" features and strides; for "pool"
# window (also the stride) and the border on each side, which MMAction2 gives pool5.
STAGES = (
    ("conv1a", "conv", 64, (1, 1, 1)),
    ("pool1", "pool", (1, 2, 2), (0, 0, 0)),
    ("conv2a", "conv", 128, (1, 1, 1)),
    ("pool2", "pool", (2, 2, 2), (0, 0, 0)),
    ("conv3a", "conv", 256, (1, 1, 1)),
    ("conv3b", "conv", 256, (1, 1, 1)),
    ("pool3", "pool", (2, 2, 2), (0, 0, 0)),
    ("conv4a", "conv", 512, (1, 1, 1)),
    ("conv4b", "conv", 512, (1, 1, 1)),
    ("pool4", "pool", (2, 2, 2), (0, 0, 0)),
    ("conv5a", "conv", 512, (1, 1, 1)),
    ("conv5b", "conv", 512, (1, 1, 1)),
    ("pool5", "pool", (2, 2, 2), (0, 1, 1)),
)

# Ours: the first stride is in the convolution, where it saves most, and 8 frames are
# halved only after two convolutions have compared them.
TINY_STAGES = (
    ("conv1a", "conv", 16, (1, 2, 2)),
    ("pool1", "pool", (1, 2, 2), (0, 0, 0)),
    ("conv2a", "conv", 32, (1, 1, 1)),
    ("pool2", "pool", (2, 2, 2), (0, 0, 0)),
    ("conv3a", "conv", 64, (1, 1, 1)),
    ("pool3", "pool", (2, 2, 2), (0, 0, 0)),
    ("conv4a", "conv", 64, (1, 1, 1)),
)


class C3D(nn.Module):
    """3D convolutional network.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        stages: The trunk, a table as above; tests pass its first rows.
        hidden: Widths of the linear layers after the trunk, "fc6" and on; with none,
            the last map is averaged over its positions.
        use_norm: Whether convolutions have batch norm instead of a bias.
        dropout_rate: Probability of dropping a unit after each linear layer and before
            the classifier; the paper trains with 0.5.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether convolutions are computed again in the backward pass to save
            memory.
    """

    num_classes: int = 101
    stages: tuple[tuple, ...] = STAGES
    hidden: tuple[int, ...] = (4096, 4096)
    use_norm: bool = False
    dropout_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C]. With linear layers, the published ones among them, T,
                H and W must be those that the parameters were made for (16, 112, 112).
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and the output of every stage by its name, with
            "features" (the last map), "pooled" [B, D] and the linear layers.

        Raises:
            ValueError: If the clip does not have five axes, is too small to pool, or is
                not what the linear layers were made for.
            TypeError: If it is not of floating point.
        """
        min_frames, min_size = _smallest(self.stages)
        check_clip(clip, min_frames=min_frames, min_size=min_size)
        norm = functools.partial(BatchNorm, train, dtype=self.dtype)
        conv = functools.partial(
            nn.remat(ConvBlock) if self.remat else ConvBlock,
            kernel_size=(3, 3, 3),
            norm=norm if self.use_norm else None,
            dtype=self.dtype,
        )
        x, endpoints = clip, {}
        for name, kind, *spec in self.stages:
            if kind == "conv":
                features, strides = spec
                x = conv(features, strides=strides, name=name)(x)
            else:
                window, border = spec
                x = max_pool(x, window, window, tuple((p, p) for p in border))
            endpoints[name] = x
        endpoints["features"] = x

        self._check_map(x, clip)
        x = x.reshape(x.shape[0], -1) if self.hidden else jnp.mean(x, axis=(1, 2, 3))
        for i, width in enumerate(self.hidden):
            if i > 0:
                x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
            x = nn.relu(nn.Dense(width, dtype=self.dtype, name=f"fc{i + 6}")(x))
            endpoints[f"fc{i + 6}"] = x
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(x[:, None], train=train)
        return logits, {**endpoints, **scores}

    def _check_map(self, x: Array, clip: Clip) -> None:
        linear = self.variables.get("params", {}).get("fc6")
        want, got = linear and linear["kernel"].shape[0], math.prod(x.shape[1:])
        if want is not None and got != want:
            raise ValueError(
                f"Expected a clip whose last map has {want} values, for which fc6 was "
                f"made, got {got} from one of shape {clip.shape}, read as "
                "[B, T, H, W, C]: linear layers fix the number of frames and the size."
            )


def _smallest(stages: tuple[tuple, ...]) -> tuple[int, int]:
    """Returns the fewest frames and pixels that leave each pool a whole window."""
    frames, size = 1, 1
    for _, kind, steps, more in reversed(stages):
        if kind == "pool":
            frames = max(frames * steps[0] - 2 * more[0], 1)
            size = max(size * steps[1] - 2 * more[1], 1)
        else:
            frames, size = (frames - 1) * more[0] + 1, (size - 1) * more[1] + 1
    return frames, size


_CARD = {
    "family": "c3d",
    "fusion": "slow",
    "paper": (
        'Tran et al., "Learning Spatiotemporal Features with 3D Convolutional '
        'Networks", ICCV 2015, https://arxiv.org/abs/1412.0767'
    ),
    "reference": "MMAction2, mmaction/models/backbones/c3d.py",
}


@register(
    # Range, mean and standard deviation: MMAction2, configs/_base_/models/c3d_*.py.
    clip=ClipSpec(
        num_frames=16,
        size=112,
        crop_fraction=112 / 128,
        value_range=(0.0, 255.0),
        mean=(104.0, 117.0, 128.0),
        std=(1.0, 1.0, 1.0),
    ),
    params=78_409_573,
    gmacs=38.547,
    views=protocol("mmaction-10x1"),
    accuracy="83.08 UCF-101 top-1 (MMAction2, configs/recognition/c3d/README.md)",
    **_CARD,
)
def c3d(**kwargs: Any) -> C3D:
    """C3D on 16 frames of 112 pixels; 101 classes (UCF101) unless told otherwise."""
    return C3D(**kwargs)


@register(clip=TINY_CLIP, params=182_010, gmacs=0.014156, **_CARD)
def c3d_tiny(**kwargs: Any) -> C3D:
    """C3D of four convolutions with batch norm, trained from scratch in a minute."""
    tiny = {"num_classes": 10, "stages": TINY_STAGES, "hidden": (), "use_norm": True}
    return C3D(**{**tiny, **kwargs})
