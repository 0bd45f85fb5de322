"""MViT and MViTv2: the networks of facebookresearch/SlowFast's configurations.

Reference:
    Fan et al., "Multiscale Vision Transformers", ICCV 2021,
    https://arxiv.org/abs/2104.11227 (v1), and Li et al., "MViTv2: Improved Multiscale
    Vision Transformers for Classification and Detection", CVPR 2022,
    https://arxiv.org/abs/2112.01526 (v2).

Numbers are those of configs/Kinetics/MVIT*.yaml and configs/masked_ssl. Clips of v2-L
are normalised by the mean and deviation of ImageNet, unlike the others.
"""

import dataclasses
from typing import Any

from vidjax.models import zoos
from vidjax.models.multiscale import MViT
from vidjax.models.multiscale_layout import Layout
from vidjax.models.r3d import torchvision_weights
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.protocols import protocol
from vidjax.typing import ClipSpec, Weights

V1_B = Layout(
    depth=16,
    doubles=(1, 3, 14),
    relative=False,
    widen_in_attention=False,
    pool_all_queries=False,
    residual_pool=False,
)
V1_B_32 = dataclasses.replace(V1_B, frames=32)
# The last DEPTH of configs/Kinetics/MVIT_B_32x3_CONV.yaml, which has two of them and no
# POOL_KVQ_KERNEL.
V1_B_32_DEEP = dataclasses.replace(
    V1_B_32, depth=24, doubles=(2, 5, 21), pool_kernel=None
)
V2_S = Layout(depth=16, doubles=(1, 3, 14))
# configs/masked_ssl/k400_MVITv2_S_16x4_FT.yaml.
V2_S_MASKFEAT = dataclasses.replace(V2_S, widen_in_attention=False, classify="mean")
V2_S_MASKFEAT_MMACTION2 = dataclasses.replace(V2_S_MASKFEAT, classify="class")
V2_B = Layout(depth=24, doubles=(2, 5, 21), frames=32)
V2_L = Layout(depth=48, doubles=(2, 8, 44), width=144, heads=2, frames=40, size=312)
# Ours. Behind the last block, class tokens know nothing of how queries were pooled: the
# mean trains all of it.
V2_TINY = Layout(3, (1, 2), width=16, frames=8, size=32, kv_stride=4, classify="mean")
V1_TINY = dataclasses.replace(
    V2_TINY,
    relative=False,
    widen_in_attention=False,
    pool_all_queries=False,
    residual_pool=False,
)

_V1 = (
    'Fan et al., "Multiscale Vision Transformers", ICCV 2021, '
    "https://arxiv.org/abs/2104.11227"
)
_V2 = (
    'Li et al., "MViTv2: Improved Multiscale Vision Transformers for Classification '
    'and Detection", CVPR 2022, https://arxiv.org/abs/2112.01526'
)
_CARD: dict[str, Any] = {
    "family": "mvit",
    "fusion": "attention",
    "reference": "facebookresearch/SlowFast, slowfast/models/attention.py",
}
_V1_CARD = {**_CARD, "paper": _V1, "views": protocol("pyslowfast-5")}
_V2_CARD = {**_CARD, "paper": _V2, "views": protocol("pyslowfast-5")}
_SSV2_CARD = {**_CARD, "paper": _V2, "views": protocol("pyslowfast-ssv2-1x3-small")}
_MASKFEAT_CARD = {**_V2_CARD, "views": protocol("pyslowfast-10x1")}
_SSV2: dict[str, Any] = {
    "tag": "ssv2",
    "dataset": "Something-Something v2",
    "num_classes": 174,
    "labels": None,
}
_PYSLOWFAST = (
    "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/mvitv2/pysf_video_models"
)
_MMACTION2 = "https://download.openmmlab.com/mmaction/v1.0/recognition/mvit"


def _v2(file: str, top1: str, **fields: Any) -> Weights:
    data = fields.get("dataset", "Kinetics-400")
    return zoos.published(
        "PySlowFast",
        f"{_PYSLOWFAST}/MViTv2_{file}.pyth",
        f"{top1} {data} top-1 (facebookresearch/SlowFast, projects/mvitv2/README.md)",
        **fields,
    )


def _mmaction2(file: str, top1: str, **fields: Any) -> Weights:
    data = fields.get("dataset", "Kinetics-400")
    return zoos.published(
        "MMAction2",
        f"{_MMACTION2}/{file}.pth",
        f"{top1} {data} top-1 (MMAction2, configs/recognition/mvit/README.md)",
        **{"tag": "kinetics400_mmaction2", **fields},
    )


def _torchvision(file: str, top1: str) -> Weights:
    (weights,) = torchvision_weights(file, f"{top1} (5 clips)")
    return dataclasses.replace(weights, tag="kinetics400_torchvision")


@register(
    clip=zoos.slowfast_clip(16, 4),
    params=36_610_672,
    gmacs=70.599,
    weights=(
        zoos.pytorchvideo("MVIT_B_16x4.pyth", "78.85"),
        _torchvision("mvit_v1_b-dbeb1030.pth", "78.477"),
    ),
    **_V1_CARD,
)
def mvit_v1_b(**kwargs: Any) -> MViT:
    """MViT-B on 16 frames, every fourth."""
    return MViT(**{"layout": V1_B, **kwargs})


@register(
    clip=zoos.slowfast_clip(32, 3),
    params=36_611_440,
    gmacs=169.958,
    weights=(zoos.pytorchvideo("MVIT_B_32x3_f294077834.pyth", "80.30"),),
    **_V1_CARD,
)
def mvit_v1_b_32x3(**kwargs: Any) -> MViT:
    """MViT-B on 32 frames, every third."""
    return MViT(**{"layout": V1_B_32, **kwargs})


@register(
    clip=zoos.slowfast_clip(32, 3),
    params=53_115_280,
    gmacs=235.776,
    **_V1_CARD,
)
def mvit_v1_b_32x3_slowfast(**kwargs: Any) -> MViT:
    """MViT of 24 blocks on 32 frames, as facebookresearch/SlowFast configures it."""
    return MViT(**{"layout": V1_B_32_DEEP, **kwargs})


@register(
    clip=zoos.slowfast_clip(16, 4),
    params=34_537_744,
    gmacs=64.224,
    weights=(
        _v2("S_16x4_k400_f302660347", "81.0"),
        _torchvision("mvit_v2_s-ae3be167.pth", "80.757"),
        _mmaction2(
            "converted/mvit-small-p244_16x4x1_kinetics400-rgb_20221021-9ebaaeed", "81.1"
        ),
    ),
    **_V2_CARD,
)
def mvit_v2_s(**kwargs: Any) -> MViT:
    """MViTv2-S on 16 frames, every fourth."""
    return MViT(**{"layout": V2_S, **kwargs})


@register(
    clip=zoos.slowfast_clip(32, 3),
    params=51_230_128,
    gmacs=224.473,
    weights=(
        _v2("B_32x3_k400_f304025456", "82.9"),
        _mmaction2(
            "converted/mvit-base-p244_32x3x1_kinetics400-rgb_20221021-f392cd2d", "82.6"
        ),
    ),
    **_V2_CARD,
)
def mvit_v2_b(**kwargs: Any) -> MViT:
    """MViTv2-B on 32 frames, every third."""
    return MViT(**{"layout": V2_B, **kwargs})


@register(
    # DATA.MEAN and STD of configs/Kinetics/MVITv2_L_40x3_test.yaml, unlike the others.
    clip=ClipSpec(40, 3, size=312, fps=30.0),
    params=213_390_112,
    gmacs=2823.404,
    weights=(
        _v2("L_40x3_k400_f306903192", "86.1"),
        _mmaction2(
            "converted/mvit-large-p244_40x3x1_kinetics400-rgb_20221021-11fe1f97", "85.4"
        ),
    ),
    **{**_V2_CARD, "views": protocol("pyslowfast-5x3")},
)
def mvit_v2_l(**kwargs: Any) -> MViT:
    """MViTv2-L on 40 frames of 312 pixels, every third."""
    return MViT(**{"layout": V2_L, **kwargs})


@register(
    clip=zoos.ssv2_clip(16),
    params=34_363_950,
    gmacs=64.224,
    weights=(_v2("S_16x4_ssv2_f308341823", "68.2", **_SSV2),),
    **_SSV2_CARD,
)
def mvit_v2_s_ssv2(**kwargs: Any) -> MViT:
    """MViTv2-S on 16 frames of a whole video; 174 classes."""
    return MViT(**{"layout": V2_S, "num_classes": 174, **kwargs})


@register(
    clip=zoos.ssv2_clip(32),
    params=51_056_334,
    gmacs=224.473,
    weights=(_v2("B_32x3_ssv2_f305803282", "70.5", **_SSV2),),
    **_SSV2_CARD,
)
def mvit_v2_b_ssv2(**kwargs: Any) -> MViT:
    """MViTv2-B on 32 frames of a whole video; 174 classes."""
    return MViT(**{"layout": V2_B, "num_classes": 174, **kwargs})


@register(
    clip=ClipSpec(40, size=312, sampling="segments", channel_order="bgr"),
    params=213_129_534,
    gmacs=2823.404,
    weights=(_v2("L_40x3_ssv2_f309603968", "73.3", **_SSV2),),
    **_SSV2_CARD,
)
def mvit_v2_l_ssv2(**kwargs: Any) -> MViT:
    """MViTv2-L on 40 frames of 312 pixels of a whole video; 174 classes."""
    return MViT(**{"layout": V2_L, "num_classes": 174, **kwargs})


@register(
    clip=zoos.slowfast_clip(16, 4),
    params=36_475_120,
    gmacs=71.162,
    accuracy="82.2 Kinetics-400 top-1 (facebookresearch/SlowFast, projects/maskfeat)",
    **_MASKFEAT_CARD,
)
def mvit_v2_s_maskfeat(**kwargs: Any) -> MViT:
    """MViTv2-S for MaskFeat: MLPs widen it, the mean of its tokens is classified."""
    return MViT(**{"layout": V2_S_MASKFEAT, **kwargs})


@register(
    clip=zoos.slowfast_clip(16, 4),
    params=36_475_120,
    gmacs=71.162,
    weights=(
        zoos.mmaction2(
            "mvit",
            "mvit-small-p244_k400-maskfeat-pre_8xb32-16x4x1-100e",
            "20230201-5bced1d0",
            "81.8",
        ),
    ),
    **_MASKFEAT_CARD,
)
def mvit_v2_s_maskfeat_mmaction2(**kwargs: Any) -> MViT:
    """The same as MMAction2 has it: the class token is classified."""
    return MViT(**{"layout": V2_S_MASKFEAT_MMACTION2, **kwargs})


@register(clip=TINY_CLIP, params=86_474, gmacs=0.007185, **_V1_CARD)
def mvit_v1_tiny(**kwargs: Any) -> MViT:
    """MViT of three blocks, for tests and short demonstrations."""
    return MViT(**{"layout": V1_TINY, "num_classes": 10, **kwargs})


@register(clip=TINY_CLIP, params=74_154, gmacs=0.006041, **_V2_CARD)
def mvit_v2_tiny(**kwargs: Any) -> MViT:
    """MViTv2 of three blocks, for tests and short demonstrations."""
    return MViT(**{"layout": V2_TINY, "num_classes": 10, **kwargs})
