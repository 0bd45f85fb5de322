"""Actions of an untrimmed video: when they start and end, and what they are."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping

from vidjax.localization.detect import Segment
from vidjax.tasks.feature_options import PRESETS, Stream
from vidjax.tasks.localize_detector import (
    VideoDetector,
    detect_in_features,
    detect_in_video,
    load_detector,
    load_trained_detector,
)
from vidjax.tasks.localize_scan import Scan, localize_by
from vidjax.tasks.predict import Recognizer, load_recognizer, load_trained_recognizer
from vidjax.tasks.workdir import read_config

StrPath = str | os.PathLike[str]
Progress = Callable[[int, int], None]

_LEAST_SCORE = 0.01  # Of a recognition model: below it, everything stands out. Ours.
_MIN_SCORE = 0.1  # Detectors tell of hundreds of segments, most of them below. Ours.

_FEATURES = ("features", "features_model", "features_weights", "features_preset")
# What says which way to go; what else it needs; what more it takes.
_WAYS = {
    "workdir": ((), _FEATURES),
    "detector": (("weights",), (*_FEATURES, "labels")),
    "model": (("weights",), ()),
}


def localize(
    video: StrPath | None = None,
    *,
    model: str | None = None,
    weights: StrPath | None = None,
    workdir: StrPath | None = None,
    detector: str | None = None,
    features: StrPath | None = None,
    features_model: str | None = None,
    features_weights: StrPath | None = None,
    features_preset: str | None = None,
    labels: StrPath | None = None,
    scan: Scan | None = None,
    min_score: float | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Segment]:
    """Finds the actions of a video.

    By one of three: a recognition model alone (`model` and `weights`, or the `workdir`
    of one that you trained), a detector that you trained (its `workdir`), or a detector
    with weights of a file (`detector` and `weights`), which needs to know how features
    are made (`features_model` and `features_weights`, or `features_preset`).

    Args:
        video: A video file; may be None where features are given.
        model: Registered name of a recognition model.
        weights: Of the model or the detector: a tag of its card, such as "kinetics400",
            or the path of a file.
        workdir: Folder that `vidjax train` made.
        detector: Registered name of a detector.
        features: File of features of the video, for a detector; None makes them.
        features_model: Registered name of the model that makes features.
        features_weights: Its weights; with a `workdir`, where they are now.
        features_preset: Name of published features, such as "thumos14_i3d".
        labels: Text file with the name of each class of `detector`, one a line.
        scan: How windows of a recognition model slide; its batch is also that of
            features. None takes the defaults.
        min_score: Segments that score less are left out; None is 0.1 for detectors, and
            `Grouping.min_score` without.
        progress: Called with how much is done, and the total.

    Returns:
        The actions, the best first. A recognition model finds one at a time; those of a
        detector may overlap.

    Raises:
        ValueError: If the video cannot be read, a model, its weights or features do not
            fit, or the arguments do not say one way to do it.
    """
    given = {
        "model": model,
        "weights": weights,
        "workdir": workdir,
        "detector": detector,
        "features": features,
        "features_model": features_model,
        "features_weights": features_weights,
        "features_preset": features_preset,
        "labels": labels,
    }
    given = {name: str(value) for name, value in given.items() if value is not None}
    loaded = _load(given)
    if isinstance(loaded, Recognizer):
        if video is None:
            raise ValueError("A recognition model needs a video.")
        scan = scan or Scan()
        if min_score is not None:
            least = max(min_score, _LEAST_SCORE)
            grouping = dataclasses.replace(scan.grouping, min_score=least)
            scan = dataclasses.replace(scan, grouping=grouping)
        return localize_by(loaded, video, scan=scan, progress=progress)
    if features is not None:
        found = detect_in_features(loaded, features)
    elif video is not None:
        batch = scan.batch if scan else None
        found = detect_in_video(loaded, video, batch=batch, progress=progress)
    else:
        raise ValueError("Give a video, or features of it.")
    least = _MIN_SCORE if min_score is None else min_score
    return [segment for segment in found if segment.score >= least]


def _load(given: Mapping[str, str]) -> Recognizer | VideoDetector:
    way = _way(given)
    if way == "model":
        return load_recognizer(given["model"], given["weights"])
    streams = _streams(given)
    if way == "detector":
        names = _read_names(given["labels"]) if "labels" in given else None
        return load_detector(
            given["detector"], given["weights"], streams=streams, labels=names
        )
    if read_config(pathlib.Path(given["workdir"])).objective == "localization":
        return load_trained_detector(
            given["workdir"],
            streams=streams,
            features_weights=given.get("features_weights"),
        )
    surplus = sorted(given.keys() & set(_FEATURES))
    if surplus:
        raise ValueError(
            f"{given['workdir']} holds a recognition model, and no detector: it does "
            f"not take {', '.join(surplus)}."
        )
    return load_trained_recognizer(given["workdir"])


def _way(given: Mapping[str, str]) -> str:
    """Which of the ways the arguments say; raises if it is not one."""
    chosen = [way for way in _WAYS if way in given]
    if len(chosen) != 1:
        raise ValueError(
            "Say one of: model and weights; the workdir of a run; detector and weights."
            + (f" Got {' and '.join(chosen)}." if chosen else "")
        )
    (way,) = chosen
    needed, optional = _WAYS[way]
    missing = [name for name in needed if name not in given]
    surplus = sorted(given.keys() - {way, *needed, *optional})
    problems = [f"needs {name}" for name in missing]
    problems += [f"does not take {name}" for name in surplus]
    if problems:
        raise ValueError(f"Localizing by {way} {' and '.join(problems)}.")
    return way


def _streams(given: Mapping[str, str]) -> tuple[Stream, ...] | None:
    """The networks of features, as far as the arguments say them."""
    model, weights = given.get("features_model"), given.get("features_weights")
    name = given.get("features_preset")
    if name is not None:
        if model or weights:
            raise ValueError("features_preset already says the models of features.")
        if name not in PRESETS:
            raise ValueError(
                f"No published features {name!r}; there are: {', '.join(PRESETS)}."
            )
        return PRESETS[name].streams
    if model is None:
        return None
    if weights is None:
        raise ValueError(f"features_model {model} needs features_weights.")
    return (Stream(model, weights),)


def _read_names(path: str) -> list[str]:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no text file of labels: {error}.") from error
