"""The data of a detector's experiment: features, annotations, and what fits them."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidjax.config import Config
from vidjax.convert.features import feature_reader
from vidjax.data.features import FeatureSource, FeatureVideo
from vidjax.localization.annotations import read_videos
from vidjax.localization.boundary_matching import Matching
from vidjax.localization.presets import preset
from vidjax.models import model_card
from vidjax.tasks.feature_options import (
    FeatureOptions,
    Sidecar,
    read_sidecar,
    shared_options,
)
from vidjax.typing import FeatureSpec

PROPOSAL = "action"
"""The one label where actions are not told apart."""


def feature_spec(config: Config) -> FeatureSpec:
    """Returns the features of an experiment: the card's, but for what the config says.

    Args:
        config: The experiment.

    Returns:
        The features.

    Raises:
        ValueError: If the model is no detector of actions.
    """
    preset(config.model)
    card: Any = model_card(config.model).clip
    given = {"length": config.features.length, "channels": config.features.channels}
    return dataclasses.replace(card, **{k: v for k, v in given.items() if v})


def feature_sources(
    config: Config,
) -> tuple[FeatureSource, FeatureSource, FeatureOptions | None]:
    """Opens the two splits of an experiment's features.

    Args:
        config: The experiment.

    Returns:
        Videos to train on, which all have actions; videos to test on; and how their
        features were made, where `vidjax features` made them. Stride, window and rate
        are those, if the config says no others. Videos without features are left out.

    Raises:
        ValueError: If features or annotations are not there or not as they should be.
    """
    features = config.features
    if not features.folder or not features.annotations:
        raise ValueError(
            'objective="localization" needs features.folder and features.annotations.'
        )
    settings = preset(config.model)
    least = int(config.model_args.get("num_classes", 0))
    label_names, numbers = number_labels(read_videos(features.annotations), least)
    if features.class_agnostic:
        label_names, numbers = (PROPOSAL,), dict.fromkeys(numbers, 0)
    elif isinstance(settings.decoding, Matching):
        raise ValueError(f"{config.model} proposes: set features.class_agnostic.")
    read = feature_reader(
        features.folder, prefix=features.prefix, suffix=features.suffix
    )
    splits, options = _videos(config, numbers)
    grid, spec = options or settings.grid, feature_spec(config)
    named = {*numbers.values()}
    train, held_out = (
        FeatureSource(
            videos=videos,
            label_names=label_names,
            read=read,
            spec=spec,
            stride=float(features.stride or grid.stride),
            window=float(features.window or grid.window),
            resize=settings.resize,
            spans_video=settings.spans_video and not (features.stride or options),
            crop=features.crop,
            min_inside=settings.min_inside,
            empty_classes=tuple(i for i in range(len(label_names)) if i not in named),
        )
        for videos in splits
    )
    return train, held_out, options


def _videos(
    config: Config, numbers: Mapping[str, int]
) -> tuple[list[tuple[FeatureVideo, ...]], FeatureOptions | None]:
    """Returns the videos of both splits, and how their features were made."""
    features = config.features
    splits: list[tuple[FeatureVideo, ...]] = []
    sidecars: dict[str, Sidecar | None] = {}
    for subset in (features.train_subset, features.eval_subset):
        entries = read_videos(features.annotations, subset=subset)
        made = {n: read_sidecar(_file(config, n)) for n in entries if _there(config, n)}
        sidecars |= made
        videos = [_video(n, entries[n], numbers, config, made[n]) for n in made]
        if subset == features.train_subset:
            videos = [video for video in videos if len(video.labels)]
        if not videos:
            raise ValueError(
                f"No video of the subset {subset!r} of {features.annotations} has "
                f"features in {features.folder}."
            )
        splits.append(tuple(videos))
    return splits, shared_options(sidecars)


def _file(config: Config, name: str) -> pathlib.Path:
    folder = pathlib.Path(config.features.folder).expanduser()
    return folder / f"{config.features.prefix}{name}{config.features.suffix}"


def _there(config: Config, name: str) -> bool:
    file = _file(config, name)
    return not file.parent.is_dir() or file.is_file()


def number_labels(
    videos: Mapping[str, Mapping[str, Any]], least: int = 0
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Numbers the classes of annotations: by "label_id", or else by name.

    Args:
        videos: What is said of each, from `read_videos`.
        least: Classes that there are at least.

    Returns:
        Names of the K classes, "class 3" and so on where no annotation has one, and the
        number of each name.
    """
    found: dict[str, int | None] = {}
    for entry in videos.values():
        for row in entry.get("annotations", ()):
            found[str(row["label"])] = row.get("label_id")
    if None in found.values():
        found = {name: i for i, name in enumerate(sorted(found))}
    numbers = {name: int(number or 0) for name, number in found.items()}
    names = {number: name for name, number in numbers.items()}
    count = max(least, max(names, default=-1) + 1)
    return tuple(names.get(i, f"class {i}") for i in range(count)), numbers


def _video(
    name: str,
    entry: Mapping[str, Any],
    numbers: Mapping[str, int],
    config: Config,
    made: Sidecar | None,
) -> FeatureVideo:
    rate = config.features.fps or (made.fps if made else entry.get("fps"))
    if preset(config.model).spans_video:
        rate = rate or 1.0  # It has no meaning.
    duration = entry.get("duration") or (made and made.duration)
    if not rate or not duration:
        raise ValueError(
            f'{name} needs "duration" and "fps" in the annotations, or features.fps in '
            "the config."
        )
    rows = entry.get("annotations", ())
    rows = [row for row in rows if row["segment"][1] > row["segment"][0]]
    return FeatureVideo(
        name=name,
        fps=float(rate),
        duration=float(duration),
        segments=np.array([row["segment"] for row in rows], np.float32).reshape(-1, 2),
        labels=np.array([numbers[str(row["label"])] for row in rows], np.int32),
    )
