"""Facts that cards share: where zoos keep weights, and which clips they take."""

from typing import Any

from vidjax.protocols import protocol
from vidjax.typing import ClipSpec, Weights

THIRTY_VIEWS = protocol("pyslowfast-30")
"""The test protocol of facebookresearch/SlowFast and PyTorchVideo on Kinetics."""

MMACTION_VIEWS = protocol("mmaction-10x3")
"""The test protocol of MMAction2's convolutional networks on Kinetics."""

SSV2_VIEWS = protocol("pyslowfast-ssv2-1x3")
"""The test protocol of facebookresearch/SlowFast on Something-Something v2."""

_SSV2: dict[str, Any] = {
    "tag": "ssv2",
    "dataset": "Something-Something v2",
    "num_classes": 174,
    "labels": None,
}
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo"
_PYSLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast"
_MMACTION2 = "https://download.openmmlab.com/mmaction/v1.0/recognition"


def slowfast_clip(num_frames: int, frame_stride: int, **changes: Any) -> ClipSpec:
    """Returns the clip of models trained with facebookresearch/SlowFast.

    Args:
        num_frames: Frames T.
        frame_stride: Frames between two, at 30 frames per second.
        **changes: Other fields of `vidjax.typing.ClipSpec`.

    Returns:
        RGB of 224 pixels from a short side of 256, with DATA.MEAN, DATA.STD and
        DATA.TARGET_FPS of slowfast/config/defaults.py.
    """
    fields = {"fps": 30.0, "mean": (0.45,) * 3, "std": (0.225,) * 3}
    return ClipSpec(num_frames, frame_stride, **{**fields, **changes})


def ssv2_clip(num_frames: int) -> ClipSpec:
    """Returns the clip of such models for Something-Something v2.

    Published weights want its channels in the order blue, green, red
    (DATA.REVERSE_INPUT_CHANNEL of configs/SSv2 in facebookresearch/SlowFast).

    Args:
        num_frames: Frames T, spread over the whole video (DATA.INV_UNIFORM_SAMPLE).

    Returns:
        As `slowfast_clip`, but for the frames.
    """
    return slowfast_clip(
        num_frames, 1, sampling="segments", fps=None, channel_order="bgr"
    )


def pytorchvideo(file: str, top1: str) -> Weights:
    """Returns weights of PyTorchVideo's zoo, trained on Kinetics-400.

    Args:
        file: Name of the file in the zoo's folder, such as "SLOW_8x8_R50.pyth".
        top1: Published accuracy in percent, of 30 views of 256 pixels.
    """
    return published(
        "PyTorchVideo",
        f"{_PYTORCHVIDEO}/kinetics/{file}",
        f"{top1} Kinetics-400 top-1 (PyTorchVideo, docs/source/model_zoo.md)",
    )


def pytorchvideo_ssv2(file: str, top1: str) -> Weights:
    """Returns weights of PyTorchVideo's zoo, trained on Something-Something v2.

    Args:
        file: Name of the file in the zoo's folder, such as "SLOW_8x8_R50.pyth".
        top1: Published accuracy in percent, of three crops of 256 pixels.
    """
    return published(
        "PyTorchVideo",
        f"{_PYTORCHVIDEO}/ssv2/{file}",
        f"{top1} Something-Something v2 top-1 (PyTorchVideo, docs/source/model_zoo.md)",
        **_SSV2,
    )


def pyslowfast(file: str, top1: str) -> Weights:
    """Returns weights of PySlowFast's zoo, trained on Kinetics-400.

    Args:
        file: Name of the file in the zoo's folder, such as "SLOWFAST_8x8_R50.pkl".
        top1: Published accuracy in percent, of 30 views of 256 pixels.
    """
    return published(
        "PySlowFast",
        f"{_PYSLOWFAST}/model_zoo/kinetics400/{file}",
        f"{top1} Kinetics-400 top-1 (facebookresearch/SlowFast, MODEL_ZOO.md)",
        tag="kinetics400_pyslowfast",
    )


def pyslowfast_ssv2(file: str, top1: str) -> Weights:
    """Returns weights of PySlowFast's zoo, trained on Something-Something v2.

    Args:
        file: Name of the file in the zoo's folder, such as "SLOWFAST_16x8_R50.pkl".
        top1: Published accuracy in percent, of one view of 256 pixels.
    """
    return published(
        "PySlowFast",
        f"{_PYSLOWFAST}/pyslowfast/model_zoo/multigrid/model_zoo/SSv2/{file}",
        f"{top1} Something-Something v2 top-1 (facebookresearch/SlowFast, "
        "MODEL_ZOO.md)",
        **_SSV2,
    )


def mmaction2(family: str, config: str, stamp: str, top1: str) -> Weights:
    """Returns weights of MMAction2's zoo, trained on Kinetics-400.

    Args:
        family: Folder of its configurations, such as "slowfast".
        config: Name of the configuration, without "_kinetics400-rgb".
        stamp: Date and first digits of the SHA-256, as in the file's name.
        top1: Published accuracy in percent, of 30 views.
    """
    config = f"{config}_kinetics400-rgb"
    return published(
        "MMAction2",
        f"{_MMACTION2}/{family}/{config}/{config}_{stamp}.pth",
        f"{top1} Kinetics-400 top-1 (MMAction2, configs/recognition/{family}/"
        "README.md)",
    )


def published(
    zoo: str,
    url: str,
    accuracy: str,
    tag: str = "kinetics400",
    dataset: str = "Kinetics-400",
    num_classes: int = 400,
    labels: str | None = "kinetics400",
) -> Weights:
    """Returns weights of a zoo under the licence Apache-2.0.

    Args:
        zoo: Its name.
        url: Address of the file.
        accuracy: Published accuracy, with its source.
        tag: Name by which they are loaded.
        dataset: What they were trained on.
        num_classes: Classes of their classifier.
        labels: Name of the list of classes, if vidjax has it.
    """
    return Weights(
        tag=tag,
        description=f"{zoo}, trained on {dataset}",
        num_classes=num_classes,
        labels=labels,
        file=url.rsplit("/", 1)[1],
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=accuracy,
        licence=f"Apache-2.0 ({zoo})",
    )
