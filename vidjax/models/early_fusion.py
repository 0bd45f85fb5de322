"""Early fusion: all frames stacked as channels of the first layer.

Reference:
    Karpathy et al., "Large-scale Video Classification with Convolutional Neural
    Networks", CVPR 2014, https://doi.org/10.1109/CVPR.2014.223, Sec. 3.1 (early
    fusion).

The paper widens the first kernel of an AlexNet to 10 frames; here it is that of a
ResNet. Channel t * C + c of the first layer is channel c of frame t.
"""

from typing import Any

import einops
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from vidjax.layers.head import Classifier
from vidjax.layers.pool import average_space
from vidjax.models import resnet
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits


class EarlyFusion(nn.Module):
    """A ResNet on the frames of a clip stacked to one image of T * C channels.

    The first kernel fixes T: the model takes clips as long as the one it was
    initialised with.

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
            clip: [B, T, H, W, C].
            train: Whether to use dropout and batch statistics.

        Returns:
            Logits [B, num_classes], and maps by torchvision's stage names
            [B, 1, H', W', D], with "features" (the last of them) and "pooled" [B, D].

        Raises:
            ValueError: If the clip does not have five axes, or T * C is not that of the
                parameters.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        self._check_stack(clip)
        stacked = einops.rearrange(clip, "b t h w c -> b 1 h w (t c)")
        trunk = resnet.ResNetTrunk(
            self.layout,
            drop_path_rate=self.drop_path_rate,
            dtype=self.dtype,
            remat=self.remat,
            name="backbone",
        )
        features, endpoints = trunk(stacked, train=train)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(average_space(features), train=train)
        return logits, {**endpoints, "features": features, **scores}

    def _check_stack(self, clip: Clip) -> None:
        backbone = self.variables.get("params", {}).get("backbone")
        want = backbone["conv1"]["kernel"].shape[-2] if backbone else None
        frames, channels = clip.shape[1], clip.shape[-1]
        if want is not None and frames * channels != want:
            raise ValueError(
                f"Expected {want} channels in all frames together, for which the first "
                f"kernel was made, got {frames} frames of {channels} channels in a "
                f"clip of shape {clip.shape}, read as [B, T, H, W, C]."
            )


_CARD = {
    "family": "early_fusion",
    "fusion": "early",
    "paper": (
        'Karpathy et al., "Large-scale Video Classification with Convolutional Neural '
        'Networks", CVPR 2014, https://doi.org/10.1109/CVPR.2014.223'
    ),
    "reference": resnet.REFERENCE,
}
_CLIP = ClipSpec(num_frames=10)  # Sec. 3.1: 10 frames, a third of a second.


@register(clip=_CLIP, params=11_466_384, gmacs=2.8759, **_CARD)
def early_fusion_resnet18(**kwargs: Any) -> EarlyFusion:
    """ResNet-18 on 10 stacked frames."""
    return EarlyFusion(**{"layout": resnet.RESNET18, **kwargs})


@register(clip=_CLIP, params=21_574_544, gmacs=4.7256, **_CARD)
def early_fusion_resnet34(**kwargs: Any) -> EarlyFusion:
    """ResNet-34 on 10 stacked frames."""
    return EarlyFusion(**{"layout": resnet.RESNET34, **kwargs})


@register(clip=_CLIP, params=24_412_304, gmacs=5.1501, **_CARD)
def early_fusion_resnet50(**kwargs: Any) -> EarlyFusion:
    """ResNet-50 on 10 stacked frames."""
    return EarlyFusion(**{"layout": resnet.RESNET50, **kwargs})


@register(clip=_CLIP, params=43_404_432, gmacs=8.8623, **_CARD)
def early_fusion_resnet101(**kwargs: Any) -> EarlyFusion:
    """ResNet-101 on 10 stacked frames."""
    return EarlyFusion(**{"layout": resnet.RESNET101, **kwargs})


@register(clip=resnet.TINY_CLIP, params=76_394, gmacs=0.0027204, **_CARD)
def early_fusion_resnet_tiny(**kwargs: Any) -> EarlyFusion:
    """ResNet of two blocks on 8 stacked frames."""
    return EarlyFusion(**{"num_classes": 10, "layout": resnet.RESNET_TINY, **kwargs})
