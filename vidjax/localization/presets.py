"""What was published with each detector beside its network."""

import dataclasses
from collections.abc import Mapping

from vidjax.localization.boundary_matching import Matching
from vidjax.localization.decode import Decoding
from vidjax.typing import FeatureGrid


@dataclasses.dataclass(frozen=True)
class Preset:
    """What was published with a detector beside its network.

    Attributes:
        decoding: How segments are taken from what it says; `Matching` of networks that
            propose segments by their boundaries.
        grid: When the steps of its features are; THUMOS14's videos have rates of their
            own, of about 30 frames a second.
        tious: Key of `vidjax.localization.TIOUS`.
        normalizer: With which the loss's moving average starts; None has none.
        label_smoothing: See `vidjax.localization.losses.detection_loss`.
        regression_weight: As there.
        iou_power: As there.
        min_inside: Share of an action that a crop has to hold, or it is left out.
        resize: Whether features of all videos are resized to the length of the card.
        spans_video: Whether the steps of a video lie evenly over all of it, whatever
            its rate: published features of ActivityNet that were resized already.
    """

    decoding: Decoding | Matching
    grid: FeatureGrid
    tious: str
    normalizer: float | None
    label_smoothing: float = 0.0
    regression_weight: float = 1.0
    iou_power: float | None = None
    min_inside: float = 0.5
    resize: bool = False
    spans_video: bool = False


_RANGES = ((0, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 10000))
_OVERLAPPING = ((0, 4), (2, 8), (4, 16), (8, 32), (16, 64), (32, 10000))
_TINY = ((0, 4), (4, 8), (8, 10000))

_THUMOS14 = Preset(
    Decoding(_RANGES),
    FeatureGrid(4.0, 16.0, 30.0),
    "thumos14",
    normalizer=100.0,
)
_ACTIVITYNET = Preset(
    Decoding(
        _RANGES,
        min_length=0.001,
        sigma=0.75,
        max_segments=100,
        class_wise=False,
        voting_threshold=0.9,
    ),
    FeatureGrid(16.0, 16.0, 15.0),
    "activitynet",
    normalizer=200.0,
    label_smoothing=0.1,
    regression_weight=2.0,
    resize=True,
)
_EPIC = Preset(
    Decoding(
        _OVERLAPPING, top_k=5000, sigma=0.4, max_segments=2000, voting_threshold=0.75
    ),
    FeatureGrid(16.0, 32.0, 30.0),
    "epic",
    normalizer=250.0,
    min_inside=0.3,
)


_BMN = Preset(
    Matching(),
    FeatureGrid(16.0, 16.0, 30.0),
    "activitynet",
    normalizer=None,
    resize=True,
    spans_video=True,
)


def _tridet(preset: Preset, *, power: float, smoothing: float = 0.0) -> Preset:
    return dataclasses.replace(
        preset,
        decoding=dataclasses.replace(preset.decoding, voting="score"),
        label_smoothing=smoothing,
        regression_weight=1.0,
        iou_power=power,
        resize=False,
    )


_TRIDET_THUMOS14 = dataclasses.replace(
    _THUMOS14, decoding=Decoding(_RANGES, max_segments=2000)
)
_TRIDET_ACTIVITYNET = dataclasses.replace(
    _ACTIVITYNET,
    decoding=dataclasses.replace(
        _ACTIVITYNET.decoding,
        min_length=0.1,
        sigma=0.7,
        max_segments=200,
        voting_threshold=0.95,
    ),
    normalizer=400.0,
)
_TRIDET_HACS = Preset(
    Decoding(_RANGES, sigma=0.75, max_segments=250, voting_threshold=0.95),
    FeatureGrid(8.0, 32.0, 15.0),
    "hacs",
    normalizer=400.0,
)

PRESETS: Mapping[str, Preset] = {
    "actionformer_thumos14": _THUMOS14,
    "actionformer_activitynet": _ACTIVITYNET,
    "actionformer_epic_verb": _EPIC,
    "actionformer_epic_noun": dataclasses.replace(_EPIC, label_smoothing=0.1),
    "actionformer_tiny": dataclasses.replace(_THUMOS14, decoding=Decoding(_TINY)),
    "tridet_thumos14": _tridet(_TRIDET_THUMOS14, power=0.2),
    "tridet_activitynet": _tridet(_TRIDET_ACTIVITYNET, power=1.0, smoothing=0.1),
    "tridet_hacs": _tridet(_TRIDET_HACS, power=1.0, smoothing=0.1),
    "tridet_epic": _tridet(_EPIC, power=0.25),
    "tridet_epic_noun": _tridet(_EPIC, power=0.25, smoothing=0.1),
    "tridet_tiny": _tridet(
        dataclasses.replace(_THUMOS14, decoding=Decoding(_TINY)), power=0.2
    ),
    "bmn_activitynet": _BMN,
    "bmn_tiny": _BMN,
}
"""By registered name, from the configs of happyharrycn/actionformer_release,
dingfengshi/TriDet and open-mmlab/mmaction2."""


def preset(name: str) -> Preset:
    """Returns what was published with a detector.

    Args:
        name: A registered name.

    Returns:
        The preset.

    Raises:
        ValueError: If the model is no detector of actions.

    Example:
        >>> preset("actionformer_thumos14").grid.to_seconds(0) * 30
        8.0
    """
    if name not in PRESETS:
        raise ValueError(
            f"{name!r} is no detector of actions. Detectors: {', '.join(PRESETS)}."
        )
    return PRESETS[name]
