"""Late fusion: a 2D network on each frame, scores averaged over time.

Reference:
    Karpathy et al., "Large-scale Video Classification with Convolutional Neural
    Networks", CVPR 2014, https://doi.org/10.1109/CVPR.2014.223, Sec. 3.1 (late fusion).

The paper joins two frames; here the scores of all frames are averaged, so that the
order of frames cannot matter. With dropout zero and one class list this is TSN without
its sampling.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models import resnet
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits


class FrameAverage(nn.Module):
    """A ResNet on each frame; logits averaged over frames.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth, width and stem of the ResNet.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the residual branch of the last block;
            it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: resnet.Layout = resnet.RESNET50
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T.
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and every frame's maps by torchvision's stage names
            [B, T, H', W', D], with "features" (the last of them), "pooled" [B, D] and
            "logits_per_step" [B, T, num_classes].

        Raises:
            ValueError: If the clip does not have five axes.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        trunk = resnet.ResNetTrunk(
            self.layout,
            drop_path_rate=self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(clip, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}


_CARD = {
    "family": "frame_average",
    "fusion": "late",
    "paper": (
        'Karpathy et al., "Large-scale Video Classification with Convolutional Neural '
        'Networks", CVPR 2014, https://doi.org/10.1109/CVPR.2014.223'
    ),
    "reference": resnet.REFERENCE,
}
_CLIP = ClipSpec(num_frames=8, sampling="segments")


@register(clip=_CLIP, params=11_381_712, gmacs=14.51, **_CARD)
def frame_average_resnet18(**kwargs: Any) -> FrameAverage:
    """Average over frames of ResNet-18."""
    return FrameAverage(**{"layout": resnet.RESNET18, **kwargs})


@register(clip=_CLIP, params=21_489_872, gmacs=29.308, **_CARD)
def frame_average_resnet34(**kwargs: Any) -> FrameAverage:
    """Average over frames of ResNet-34."""
    return FrameAverage(**{"layout": resnet.RESNET34, **kwargs})


@register(clip=_CLIP, params=24_327_632, gmacs=32.704, **_CARD)
def frame_average_resnet50(**kwargs: Any) -> FrameAverage:
    """Average over frames of ResNet-50."""
    return FrameAverage(**{"layout": resnet.RESNET50, **kwargs})


@register(clip=_CLIP, params=43_319_760, gmacs=62.401, **_CARD)
def frame_average_resnet101(**kwargs: Any) -> FrameAverage:
    """Average over frames of ResNet-101."""
    return FrameAverage(**{"layout": resnet.RESNET101, **kwargs})


@register(clip=resnet.TINY_CLIP, params=73_370, gmacs=0.01557, **_CARD)
def frame_average_resnet_tiny(**kwargs: Any) -> FrameAverage:
    """Average over frames of a ResNet of two blocks, to compare with TSM's."""
    return FrameAverage(**{"num_classes": 10, "layout": resnet.RESNET_TINY, **kwargs})
