"""Sources: what turns the index of an example into a clip."""

import difflib
import logging
import os
from typing import Protocol, runtime_checkable

import numpy as np

from vidjax.config import DataConfig
from vidjax.data.clips import ONE_VIEW
from vidjax.data.lists import Split, VideoList, read_csv, read_folder
from vidjax.data.official import READERS as OFFICIAL
from vidjax.data.official import read_official
from vidjax.data.shards import open_shards
from vidjax.data.synthetic import CLASSES, TWO_STREAM_CLASSES
from vidjax.data.synthetic_source import SceneSource, SyntheticSource
from vidjax.data.tfds_sets import open_tfds
from vidjax.data.video_source import FileSet, VideoSource
from vidjax.typing import ClipSpec, Views

_SYNTHETIC = {
    "synthetic_motion": CLASSES,
    "synthetic_two_stream": TWO_STREAM_CLASSES,
}
_SOURCES = (*_SYNTHETIC, "scenes", "folder:DIR", "csv:FILE", "records:DIR", "tfds:NAME")
_READERS = {"folder": read_folder, "csv": read_csv}
_LOG = logging.getLogger("vidjax.data")


@runtime_checkable
class Source(Protocol):
    """Labelled clips by index."""

    @property
    def spec(self) -> ClipSpec:
        """The clip that it gives."""
        ...

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """Class of each example in [0, K), int32 [N]."""
        ...

    @property
    def paths(self) -> tuple[str, ...]:
        """Where each example comes from, for people, [N]."""
        ...

    @property
    def num_examples(self) -> int:
        """Examples N."""
        ...

    def test_shape(self, views: Views) -> tuple[int, ...]:
        """Returns the shape [T, H, W, C] of a clip at test time.

        Args:
            views: The views at test time.

        Returns:
            The shape.
        """
        ...

    def clip(self, index: int, *, view: int = 0, views: Views = ONE_VIEW) -> np.ndarray:
        """Returns one view for a test.

        Args:
            index: Which example, in [0, N).
            view: Which view, in [0, views.num_views): crops of the first clip come
                first.
            views: The protocol.

        Returns:
            The clip, uint8 [T, H, W, C], of the shape `test_shape(views)`.
        """
        ...

    def draw(self, index: int, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Returns a random clip for training.

        Args:
            index: Which example, in [0, N).
            rng: Where randomness comes from.

        Returns:
            The clip, uint8 of the shape `spec.pixels_shape`, and its class, which a
            flip may have changed.
        """
        ...


def make_source(
    config: DataConfig, spec: ClipSpec, *, split: Split = "train"
) -> Source:
    """Opens the training or the held-out part of a data set.

    Args:
        config: Which data; see `DataConfig.source`.
        spec: The clip that the model wants.
        split: "train" or "eval".

    Returns:
        The source.

    Raises:
        ValueError: If the source is unknown (a near name is suggested), what it names
            is wrong (see `read_folder` and `read_csv`), or a setting does not fit the
            clip.

    Example:
        >>> source = make_source(DataConfig(), ClipSpec(num_frames=8, size=32))
        >>> source.num_examples, len(source.label_names)
        (4096, 10)
    """
    if spec.reads_flow:
        _check_flow_files(config)
    if config.source in _SYNTHETIC:
        classes = _SYNTHETIC[config.source]
        return SyntheticSource(spec, config.synthetic, split, classes, config.source)
    if config.source == "scenes":
        return SceneSource(config.synthetic, split)
    kind, _, where = config.source.partition(":")
    if where and kind in ("records", "tfds", *_READERS, *OFFICIAL):
        _check_augmentation(config, spec)
        if kind == "records":
            videos = open_shards(where, split=split)
        elif kind == "tfds":
            videos = open_tfds(
                where,
                split=split,
                data_dir=config.tfds_dir,
                splits=config.tfds_splits,
            )
        else:
            videos = FileSet(
                list_videos(config, split=split),
                where if os.path.isdir(where) else os.path.dirname(where),
                config.flow_files if spec.reads_flow else None,
            )
        return VideoSource(spec, videos, config)
    known = [*_SOURCES, *(f"{name}:DIR" for name in OFFICIAL)]
    near = difflib.get_close_matches(config.source, known, n=1, cutoff=0.3)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"Unknown data.source {config.source!r}: expected one of {', '.join(known)}."
        f"{hint}"
    )


def list_videos(config: DataConfig, *, split: Split) -> VideoList:
    """Lists the videos of a data set of files.

    Args:
        config: Which data; its source is a folder, a CSV file or a published data set.
        split: "train" or "eval".

    Returns:
        The videos. Those that an official list has and the disk has not are counted in
        the log.

    Raises:
        ValueError: If what the source names is wrong; see `read_folder`, `read_csv` and
            `read_official`.
    """
    kind, _, where = config.source.partition(":")
    if kind in _READERS:
        return _READERS[kind](where, split=split, eval_fraction=config.eval_fraction)
    videos = read_official(
        kind, where, annotations=config.annotations, split=split, fold=config.fold
    )
    if videos.missing:
        _LOG.warning(
            "%s: %d of %d videos of the %s list are not there, such as %s.",
            config.source,
            len(videos.missing),
            len(videos.missing) + len(videos.examples),
            split,
            videos.missing[0],
        )
    return videos


def _check_flow_files(config: DataConfig) -> None:
    kind = config.source.partition(":")[0]
    if kind not in (*_READERS, *OFFICIAL):
        raise ValueError(
            "data.flow_files is for videos in files, such as folder:DIR, got "
            f"data.source {config.source!r}."
        )
    if not os.path.isdir(config.flow_files or ""):
        raise ValueError(
            f"data.flow_files {config.flow_files!r} is no folder; vidjax flow DIR "
            "--out FOLDER makes it."
        )


def _check_augmentation(config: DataConfig, spec: ClipSpec) -> None:
    """Says all that is wrong in one message."""
    augment = config.augment
    low, high = config.short_side or (spec.short_side, spec.short_side)
    problems = []
    if augment.crop == "random" and not spec.size <= low <= high:
        problems.append(
            "data.short_side must be two rising lengths of at least the clip's size, "
            f"{spec.size} pixels, got {config.short_side}"
        )
    if not 0 < augment.area[0] <= augment.area[1] <= 1:
        problems.append(f"data.augment.area must rise in (0, 1], got {augment.area}")
    if not 0 < augment.aspect[0] <= augment.aspect[1]:
        problems.append(f"data.augment.aspect must rise, got {augment.aspect}")
    if not augment.scales or not all(0 < scale <= 1 for scale in augment.scales):
        problems.append(f"data.augment.scales must be in (0, 1], got {augment.scales}")
    ends = {"hue": 0.5}
    for name in ("brightness", "contrast", "saturation", "hue"):
        if not 0 <= getattr(augment, name) <= ends.get(name, 1.0):
            problems.append(
                f"data.augment.{name} must be in [0, {ends.get(name, 1):g}], got "
                f"{getattr(augment, name)}"
            )
    rates = {
        "data.flip_rate": config.flip_rate,
        "data.augment.gray_rate": augment.gray_rate,
        "data.augment.erase_rate": augment.erase_rate,
        "data.bad_share": config.bad_share,
    }
    problems += [
        f"{name} must be in [0, 1], got {rate}"
        for name, rate in rates.items()
        if not 0 <= rate <= 1
    ]
    layers, magnitude = augment.rand_augment or (0, 0.0)
    if layers < 0 or not 0 <= magnitude <= 10:
        problems.append(
            "data.augment.rand_augment must be a number of operations and a magnitude "
            f"in [0, 10], got {augment.rand_augment}"
        )
    if layers and spec.reads_flow:
        problems.append(
            "data.augment.rand_augment turns and shifts frames, and flow from "
            "data.flow_files cannot follow them"
        )
    if config.repeats < 1:
        problems.append(f"data.repeats must be positive, got {config.repeats}")
    if problems:
        raise ValueError("; ".join(problems) + ".")
