"""Actions by a trained detector: features of a video are made, and judged at once."""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from vidjax import data
from vidjax.convert import load_variables
from vidjax.convert.features import read_features
from vidjax.data.feature_crops import resize_steps
from vidjax.localization.detect import (
    Segment,
    make_detector,
    pad_features,
    to_segments,
)
from vidjax.localization.presets import Preset, preset
from vidjax.models.registry import create_model, model_card
from vidjax.tasks.detection_data import PROPOSAL
from vidjax.tasks.feature_options import (
    FeatureOptions,
    Sidecar,
    Stream,
    read_sidecar,
)
from vidjax.tasks.features import extract_features
from vidjax.tasks.workdir import load_workdir, read_config
from vidjax.typing import FeatureGrid, FeatureSpec

StrPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class VideoDetector:
    """A detector of actions that is ready for videos.

    Attributes:
        name: Its registered name.
        model: A Linen module.
        variables: Its parameters and statistics.
        spec: The features that it wants.
        settings: What was published beside it.
        label_names: Names of its K classes.
        features: How the features of a video are made; None where that is not known,
            and features have to be given.
        grid: When the steps of features are that nothing stands beside.
    """

    name: str
    model: nn.Module
    variables: dict[str, Any]
    spec: FeatureSpec
    settings: Preset
    label_names: tuple[str, ...]
    features: FeatureOptions | None
    grid: FeatureGrid


def load_trained_detector(
    workdir: StrPath,
    *,
    streams: tuple[Stream, ...] | None = None,
    features_weights: StrPath | None = None,
) -> VideoDetector:
    """Loads the best detector of a training run.

    Args:
        workdir: Folder that `vidjax train` made with objective="localization".
        streams: Networks that make features; None takes what the run knows of those
            that it was trained on.
        features_weights: Where the weights of the network that the run knows are now,
            if they were moved.

    Returns:
        The detector.

    Raises:
        ValueError: If the folder holds no trained detector, `streams` are not the
            networks that it was trained on, or it is not one network whose weights are
            elsewhere.
    """
    folder = pathlib.Path(workdir)
    config, trained = read_config(folder), load_workdir(folder)
    settings, given, known = preset(config.model), config.features, trained.features
    if streams is None and features_weights is not None:
        streams = _moved(known, str(features_weights), workdir)
    grid = FeatureGrid(
        float(given.stride or (known or settings.grid).stride),
        float(given.window or (known or settings.grid).window),
        float(given.fps or (known and known.fps) or settings.grid.fps),
    )
    made = known
    if streams is not None:
        known = known or _options(grid, streams, given.fps)
        made = dataclasses.replace(known, streams=_same(known, streams, workdir))
    return VideoDetector(
        config.model,
        trained.model,
        trained.variables,
        trained.spec,
        settings,
        trained.label_names,
        made,
        grid,
    )


def load_detector(
    name: str,
    weights: StrPath,
    *,
    streams: tuple[Stream, ...] | None = None,
    labels: Sequence[str] | None = None,
) -> VideoDetector:
    """Loads a detector with published weights or with those of a file.

    Args:
        name: Registered name of the detector.
        weights: A tag of its card, or the path of a file.
        streams: Networks that make features of videos; None needs features.
        labels: Names of its K classes; None calls them "class 0" and so on, and the
            one class of networks that propose "action".

    Returns:
        The detector.

    Raises:
        ValueError: If there is no such detector or file, it does not fit, or there are
            more or fewer names than classes.
    """
    settings, card, model = preset(name), model_card(name), create_model(name)
    classes = int(getattr(model, "num_classes", 1))
    numbered = [PROPOSAL] if classes == 1 else [f"class {k}" for k in range(classes)]
    names = tuple(labels or numbered)
    if len(names) != classes:
        raise ValueError(
            f"Expected {classes} labels, one for each class of {name}, got "
            f"{len(names)}."
        )
    spec: Any = card.clip
    made = _options(settings.grid, streams, None) if streams else None
    variables = load_variables(name, weights)
    return VideoDetector(
        name, model, variables, spec, settings, names, made, settings.grid
    )


def _options(
    grid: FeatureGrid, streams: tuple[Stream, ...], fps: float | None
) -> FeatureOptions:
    return FeatureOptions(streams, int(grid.window), int(grid.stride), fps)


def _moved(
    known: FeatureOptions | None, weights: str, workdir: StrPath
) -> tuple[Stream, ...]:
    if known is None or len(known.streams) != 1:
        raise ValueError(
            f"{workdir} does not say one model that makes features; give "
            "features_model with features_weights."
        )
    return (dataclasses.replace(known.streams[0], weights=weights),)


def _same(
    known: FeatureOptions, streams: tuple[Stream, ...], workdir: StrPath
) -> tuple[Stream, ...]:
    """Networks that must have the weights that a detector was trained on."""
    own, wanted = ([s.model for s in group] for group in (streams, known.streams))
    if own != wanted:
        raise ValueError(
            f"The detector in {workdir} was trained on features of "
            f"{' and '.join(wanted)}, not of {' and '.join(own)}."
        )
    return tuple(
        dataclasses.replace(stream, weights_sha256=other.weights_sha256)
        for stream, other in zip(streams, known.streams, strict=True)
    )


def detect_in_video(
    detector: VideoDetector,
    video: StrPath,
    *,
    batch: int | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Segment]:
    """Finds the actions of a video.

    Its features are made window by window, into a temporary file, so that memory holds
    no more frames of a long video than of a short one.

    Args:
        detector: The detector.
        video: A video file.
        batch: Windows of features that are computed at once; None is four.
        progress: Called with the number of features that are there, and their total.

    Returns:
        The actions, the best first.

    Raises:
        ValueError: If the video cannot be read, or its features cannot be made as the
            detector wants them.
    """
    if detector.features is None:
        raise ValueError(
            f"It is not known how the features were made that {detector.name} was "
            "trained on. Name the model of them (features_model, features_weights), or "
            "give the features."
        )
    with tempfile.TemporaryDirectory(prefix="vidjax-") as folder:
        (made,) = extract_features(
            [video],
            folder,
            options=detector.features,
            batch=batch or 4,
            progress=lambda name, done, total: progress(done, total),
        )
        if made.path is None:
            raise data.VideoError(made.error or f"{video} cannot be read.")
        return detect_in_features(detector, made.path)


def detect_in_features(detector: VideoDetector, path: StrPath) -> list[Segment]:
    """Finds the actions of a video of which there are features.

    Args:
        detector: The detector.
        path: File of features [T, C]; what `vidjax features` wrote beside it tells when
            its steps are, and has to be what the detector was trained on.

    Returns:
        The actions, the best first.

    Raises:
        ValueError: If the file cannot be read, or its features are not those that the
            detector wants; the message has all that differs.
    """
    path = pathlib.Path(path)
    features, beside = read_features(path), read_sidecar(path)
    problems = _differences(detector, features, beside)
    if problems:
        raise ValueError(
            f"The features {path} are not those that {detector.name} was trained on: "
            f"{'; '.join(problems)}."
        )
    grid, duration = detector.grid, None
    if beside is not None:
        grid = dataclasses.replace(grid, fps=beside.fps)
        duration = beside.duration
    end = (len(features) - 1) * grid.stride + grid.window
    return _detect(detector, features, grid, duration or end / grid.fps)


def _differences(
    detector: VideoDetector, features: np.ndarray, beside: Sidecar | None
) -> list[str]:
    """What is other than in training, each in a few words."""
    found = []
    if features.shape[1] != detector.spec.channels:
        found.append(f"{features.shape[1]} channels, not {detector.spec.channels}")
    if beside is None:
        return found
    for name in ("stride", "window"):
        own, wanted = getattr(beside.options, name), getattr(detector.grid, name)
        if own != wanted:
            found.append(f"a {name} of {own:g} frames, not {wanted:g}")
    wanted = detector.features
    if wanted is None:
        return found
    if wanted.fps not in (None, beside.fps):
        found.append(f"{beside.fps:g} frames a second, not {wanted.fps:g}")
    models, others = (
        [stream.model for stream in options.streams]
        for options in (beside.options, wanted)
    )
    if models != others:
        found.append(f"made by {' and '.join(models)}, not {' and '.join(others)}")
    elif _other_weights(beside.options, wanted):
        found.append(f"made by {' and '.join(models)} with other weights")
    return found


def _other_weights(one: FeatureOptions, other: FeatureOptions) -> bool:
    return any(
        None not in (a.weights_sha256, b.weights_sha256)
        and a.weights_sha256 != b.weights_sha256
        for a, b in zip(one.streams, other.streams, strict=True)
    )


def _detect(
    detector: VideoDetector, features: np.ndarray, grid: FeatureGrid, duration: float
) -> list[Segment]:
    if detector.settings.resize:
        grid = grid.resized(len(features), detector.spec.length)
        features = resize_steps(features, detector.spec.length)
    batch, mask = pad_features([features], detector.spec)
    find = jax.jit(make_detector(detector.model, detector.settings.decoding))
    kept = jax.tree.map(lambda a: a[0], find(detector.variables, batch, mask))
    return to_segments(kept, grid, duration, detector.label_names)
