"""How features are made: networks, windows and rate, as files and runs say it.

`vidjax features` writes it beside every file of features, as NAME.json. A detector that
is trained on such files keeps it in its run, so that those of a new video can be made
alike:

    trained = load_workdir("runs/detector")
    extract_features(["new.mp4"], out, options=trained.features)
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Stream:
    """A network and its weights.

    Attributes:
        model: Registered name; one for two channels sees optical flow.
        weights: A tag of its card, the path of a file, or the folder of a run.
        weights_sha256: What they must be, see `vidjax.tasks.feature_files.digest_of`;
            None takes any.
    """

    model: str
    weights: str
    weights_sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """What decides the features of a video.

    Attributes:
        streams: Networks, whose features stand side by side.
        window: Frames that a feature sees, at least 1.
        stride: Frames from one feature to the next, at least 1.
        fps: Rate in frames per second at which videos are read; None is their own.
        flow_method: How flow is computed for networks that see it; see `vidjax flow`.
    """

    streams: tuple[Stream, ...]
    window: int = 16
    stride: int = 4
    fps: float | None = None
    flow_method: str = "tvl1"

    def to_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON; `options_from` undoes it."""
        return dataclasses.asdict(self)


# The features of THUMOS14 that ActionFormer was published with: I3D on colours and on
# flow, 1,024 channels each, colours first (happyharrycn/actionformer_release#60).
PRESETS = {
    "thumos14_i3d": FeatureOptions(
        (Stream("i3d_rgb", "kinetics400"), Stream("i3d_flow", "kinetics400"))
    )
}


def options_from(values: Mapping[str, Any]) -> FeatureOptions:
    """Undoes `FeatureOptions.to_dict`.

    Args:
        values: What it returned; more than that is left aside.

    Returns:
        The options.

    Example:
        >>> options_from(PRESETS["thumos14_i3d"].to_dict()) == PRESETS["thumos14_i3d"]
        True
    """
    names = [field.name for field in dataclasses.fields(FeatureOptions)]
    streams = tuple(Stream(**stream) for stream in values["streams"])
    return FeatureOptions(**{**{n: values[n] for n in names}, "streams": streams})


class Sidecar(NamedTuple):
    """What stands beside features.

    Attributes:
        options: How they were made.
        fps: Rate in frames per second at which the video was read.
        duration: Of the video, in seconds.
    """

    options: FeatureOptions
    fps: float
    duration: float

    def to_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON: the options, with the rate of the video."""
        return {
            **self.options.to_dict(),
            "fps": self.fps,
            "resampled": self.options.fps is not None,
            "duration": self.duration,
        }


def read_sidecar(features: pathlib.Path) -> Sidecar | None:
    """Reads what `vidjax features` wrote beside features.

    Args:
        features: Their file, NAME.npy.

    Returns:
        What NAME.json says; None if it is not there.

    Raises:
        ValueError: If the file beside them is another's.
    """
    path = features.with_suffix(".json")
    if features.suffix != ".npy" or not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        own = options_from(
            {**found, "fps": found["fps"] if found["resampled"] else None}
        )
        return Sidecar(own, float(found["fps"]), float(found["duration"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not what `vidjax features` writes beside features "
            f"({type(error).__name__}: {error})."
        ) from error


def shared_options(sidecars: Mapping[str, Sidecar | None]) -> FeatureOptions | None:
    """Returns how the features of all videos were made.

    Args:
        sidecars: What stands beside those of each video, by its name.

    Returns:
        The options; None if nothing is said of any.

    Raises:
        ValueError: If the features of two videos were made otherwise.
    """
    first: tuple[str, FeatureOptions | None] | None = None
    for name, sidecar in sidecars.items():
        options = sidecar and sidecar.options
        first = first or (name, options)
        if options != first[1]:
            raise ValueError(
                f"The features of {first[0]} and {name} were not made alike: "
                f"{first[1]} and {options}."
            )
    return first and first[1]
