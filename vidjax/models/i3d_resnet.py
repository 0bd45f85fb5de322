"""I3D on ResNet: a 2D network whose kernels were inflated over time.

References:
    Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics
    Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750; on ResNet, and with non-local
    blocks: Wang et al., "Non-local Neural Networks", CVPR 2018,
    https://arxiv.org/abs/1711.07971, Table 1.
"""

import dataclasses
from typing import Any

from vidjax.layers.non_local import Affinity
from vidjax.models import zoos
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.resnet3d import Layout, NonLocalKind, ResNet3D
from vidjax.typing import ClipSpec

I3D = Layout(((3,), (3, 1), (3, 1), (1, 3)), stem_kernel=(5, 7, 7), pool_frames=True)
# NONLOCAL.LOCATION of configs/Kinetics/c2/I3D_NLN_8x8_R50.yaml.
I3D_NONLOCAL = dataclasses.replace(I3D, non_local=((), (1, 3), (1, 3, 5), ()))
I3D_MMACTION2 = dataclasses.replace(I3D, stem_time_strides=(2, 2))
# configs/recognition/i3d of MMAction2: every kernel over time, time halved once.
I3D_HEAVY = dataclasses.replace(I3D, time_kernels=((3,),) * 4)


def _mmcv_non_local(affinity: Affinity) -> Layout:
    """MMAction2's I3D with mmcv's non-local blocks, which are not scaled."""
    return dataclasses.replace(
        I3D_MMACTION2,
        non_local=I3D_NONLOCAL.non_local,
        non_local_kind=NonLocalKind(
            affinity, scaled=False, pool="after", out_bias=False
        ),
    )


I3D_EMBEDDED_GAUSSIAN = _mmcv_non_local("embedded_gaussian")
I3D_DOT_PRODUCT = _mmcv_non_local("dot_product")
I3D_GAUSSIAN = _mmcv_non_local("gaussian")
# Ours: no block on the first map, as in `vidjax.models.resnet.RESNET_TINY`. A block
# that begins as the identity would keep gradients from its convolutions.
I3D_TINY = Layout(
    ((3,), (3, 1), (1, 3)),
    stem_kernel=(3, 3, 3),
    blocks=(0, 1, 1),
    width=16,
    stem_pool=False,
    non_local=((), (0,), ()),
    non_local_kind=NonLocalKind(zero_init=False),
)

_CARD = {
    "family": "i3d_resnet",
    "fusion": "slow",
    "paper": (
        'Wang et al., "Non-local Neural Networks", CVPR 2018, '
        "https://arxiv.org/abs/1711.07971, after Carreira and Zisserman, CVPR 2017, "
        "https://arxiv.org/abs/1705.07750"
    ),
    "views": zoos.THIRTY_VIEWS,
}
_SLOWFAST = {
    "reference": "facebookresearch/SlowFast, slowfast/models/video_model_builder.py",
    **_CARD,
}
_MMACTION2 = {
    "clip": ClipSpec(num_frames=32, frame_stride=2),
    "reference": "MMAction2, mmaction/models/backbones/resnet3d.py",
    **{**_CARD, "views": zoos.MMACTION_VIEWS},
}


def _weights(config: str, stamp: str, top1: str) -> dict[str, Any]:
    return {"weights": (zoos.mmaction2("i3d", config, stamp, top1),)}


@register(
    **_SLOWFAST,
    clip=zoos.slowfast_clip(8, 8),
    params=28_043_472,
    gmacs=28.408,
    weights=(
        zoos.pytorchvideo("I3D_8x8_R50.pyth", "73.27"),
        zoos.pyslowfast("I3D_8x8_R50.pkl", "73.5"),
    ),
)
def i3d_resnet50(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": I3D, **kwargs})


@register(
    **_SLOWFAST,
    clip=zoos.slowfast_clip(8, 8),
    params=35_401_936,
    gmacs=36.535,
    weights=(zoos.pyslowfast("I3D_NLN_8x8_R50.pkl", "74.0"),),
)
def i3d_resnet50_nonlocal(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 with five non-local blocks; 8 frames, 8 apart."""
    return ResNet3D(**{"layout": I3D_NONLOCAL, **kwargs})


@register(
    **_MMACTION2,
    params=28_043_472,
    gmacs=33.128,
    **_weights(
        "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e",
        "20220812-e213c223",
        "73.47",
    ),
)
def i3d_resnet50_mmaction2(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 whose stem halves time twice; 32 frames, 2 apart."""
    return ResNet3D(**{"layout": I3D_MMACTION2, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    params=33_024_208,
    gmacs=126.78,
    **_weights(
        "i3d_imagenet-pretrained-r50-heavy_8xb8-32x2x1-100e",
        "20220812-ed501b31",
        "76.21",
    ),
)
def i3d_resnet50_heavy_mmaction2(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 that halves time once; 32 frames, 2 apart."""
    return ResNet3D(**{"layout": I3D_HEAVY, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    params=35_397_840,
    gmacs=44.339,
    **_weights(
        "i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e",
        "20220812-afd8f562",
        "74.73",
    ),
)
def i3d_resnet50_nonlocal_mmaction2(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 with five non-local blocks; 32 frames, 2 apart."""
    return ResNet3D(**{"layout": I3D_EMBEDDED_GAUSSIAN, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    params=35_397_840,
    gmacs=44.339,
    **_weights(
        "i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e",
        "20220812-8e1f2148",
        "74.80",
    ),
)
def i3d_resnet50_nonlocal_dot_product_mmaction2(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 with five non-local blocks that take no softmax."""
    return ResNet3D(**{"layout": I3D_DOT_PRODUCT, "pool_size": None, **kwargs})


@register(
    **_MMACTION2,
    params=31_723_728,
    gmacs=41.723,
    **_weights(
        "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e",
        "20220812-0c5cbf5a",
        "73.97",
    ),
)
def i3d_resnet50_nonlocal_gaussian_mmaction2(**kwargs: Any) -> ResNet3D:
    """I3D on ResNet-50 with five non-local blocks that embed nothing."""
    return ResNet3D(**{"layout": I3D_GAUSSIAN, "pool_size": None, **kwargs})


@register(**_SLOWFAST, clip=TINY_CLIP, params=150_266, gmacs=0.047746)
def i3d_resnet_tiny(**kwargs: Any) -> ResNet3D:
    """I3D on a ResNet of two blocks with a non-local block between them."""
    return ResNet3D(**{"num_classes": 10, "layout": I3D_TINY, **kwargs})
