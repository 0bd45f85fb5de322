"""Sets of TensorFlow Datasets as shards: of their videos only wanted frames are read.

TFDS stores a video (`tfds.features.Video`) as a list of JPEG or PNG frames in a
`tf.train.Example`. Where each frame lies in its TFRecord file is noted once, in an
index beside the file as for our own shards, so that an example is read by its number
and only the frames of a clip are read and decoded: what `SkipDecoding` is for, in any
order. https://www.tensorflow.org/datasets/external_tfrecord.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.data.ahead import map_ahead
from vidjax.data.backends import import_tensorflow_datasets
from vidjax.data.lists import EVAL_NAMES, Split
from vidjax.data.records import ShardIndex, index_records, open_shard
from vidjax.data.shards import OPENED, ShardSet
from vidjax.data.wire import Span, parse_example

_NAMES = ("name", "filename", "video_name", "video_id", "id")  # Ours: texts that name.
_RATES = ("fps", "frame_rate")  # Ours: numbers that are frames per second.
_LOG = logging.getLogger("vidjax.data")


@dataclasses.dataclass(frozen=True)
class _Keys:
    """Which features of an example are what; "" where there is none."""

    video: str
    label: str
    name: str
    rate: str


def open_tfds(
    name: str,
    *,
    split: Split,
    data_dir: str | None = None,
    splits: tuple[str, str] | None = None,
) -> ShardSet:
    """Opens a set that TensorFlow Datasets prepared.

    Args:
        name: As in `tfds.load`, such as "ucf101", or "ucf101/ucf101_1:2.0.0"; or the
            folder of a version, which has dataset_info.json.
        split: "train" or "eval".
        data_dir: Where sets are; None is where TFDS puts them.
        splits: Names of the two in the set, such as ("train[:90%]", "train[90%:]");
            None takes "train", and the first of "val", "validation", "eval" and "test"
            that is there.

    Returns:
        The videos of the split, in the order of the files.

    Raises:
        ValueError: If the set was not prepared, or not as TFRecord files, it has no
            such split, or not one video and one label an example, or a file is damaged.
        ImportError: If TensorFlow Datasets is missing.
    """
    info = _find_builder(name, data_dir).info
    keys = _find_keys(name, info.features)
    wanted = _split_name(name, tuple(info.splits), split, splits)
    try:
        instructions = info.splits[wanted].file_instructions
    except (ValueError, KeyError, AssertionError) as error:
        raise ValueError(
            f"tfds:{name} has no split {wanted!r}, but {', '.join(info.splits)}."
        ) from error

    def open_part(each: Any) -> ShardIndex:
        index = _open_file(os.fspath(each.filename), keys)
        return _part(index, each.skip, each.take)

    shards = tuple(map_ahead(open_part, instructions, workers=OPENED))
    counts = [0, *(len(shard) for shard in shards)]
    labels = tuple(_flatten(info.features)[keys.label].names)
    _check(name, wanted, shards, len(labels))
    return ShardSet(shards, labels, np.cumsum(counts))


def _find_builder(name: str, data_dir: str | None) -> Any:
    """What is on the disk or in the bucket; nothing is downloaded."""
    tfds = import_tensorflow_datasets()
    try:
        if os.sep in name and data_dir is None:
            try:
                return tfds.builder_from_directory(name)
            except FileNotFoundError:
                pass
        kwargs = {} if data_dir is None else {"data_dir": data_dir}
        builder = tfds.core.read_only_builder.builder_from_files(name, **kwargs)
    except ValueError as error:
        place = f"data_dir={data_dir!r}" if data_dir else ""
        comma = ", " if place else ""
        raise ValueError(
            f"tfds:{name} is not prepared in {data_dir or 'the usual place of TFDS'}. "
            f"This prepares it: tfds.builder({name!r}{comma}{place})"
            ".download_and_prepare()"
        ) from error
    if builder.info.file_format is not tfds.core.FileFormat.TFRECORD:
        raise ValueError(
            f"tfds:{name} was prepared as {builder.info.file_format.value}; frames are "
            'read from TFRecord files (file_format="tfrecord").'
        )
    return builder


def _flatten(features: Any, prefix: str = "") -> dict[str, Any]:
    """Features by the names that they have in the bytes of an example."""
    tfds = import_tensorflow_datasets()
    found: dict[str, Any] = {}
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            found |= _flatten(feature, f"{prefix}{key}/")
        else:
            found[f"{prefix}{key}"] = feature
    return found


def _find_keys(name: str, features: Any) -> _Keys:
    kinds = import_tensorflow_datasets().features
    flat = _flatten(features)
    videos = [key for key in sorted(flat) if _is_video(flat[key])]
    labels = [k for k in sorted(flat) if isinstance(flat[k], kinds.ClassLabel)]
    video, label = _choose(videos, "video"), _choose(labels, "label")
    if video is None or label is None:
        raise ValueError(
            f"tfds:{name} must have one video and one class label an example, or one "
            f'called "video" and one called "label"; it has the videos {videos} and '
            f"the labels {labels}, of the features {sorted(flat)}."
        )
    names = [k for k in _NAMES if isinstance(flat.get(k), kinds.Text)]
    rates = [k for k in _RATES if k in flat and flat[k].shape == ()]
    return _Keys(video, label, (names or [""])[0], (rates or [""])[0])


def _is_video(feature: Any) -> bool:
    kinds = import_tensorflow_datasets().features
    inner = getattr(feature, "feature", None)
    return isinstance(feature, kinds.Sequence) and isinstance(inner, kinds.Image)


def _choose(keys: Sequence[str], name: str) -> str | None:
    if name in keys:
        return name
    return keys[0] if len(keys) == 1 else None


def _split_name(
    name: str, there: Sequence[str], split: Split, given: tuple[str, str] | None
) -> str:
    if given is not None:
        return given[split == "eval"]
    names = ("train",) if split == "train" else EVAL_NAMES
    for each in names:
        if each in there:
            return each
    raise ValueError(
        f"tfds:{name} has the splits {', '.join(there)}, and none of "
        f"{', '.join(names)}; data.tfds_splits names two, such as train[:90%] and "
        "train[90%:]."
    )


def _open_file(path: str, keys: _Keys) -> ShardIndex:
    suffix = f".{keys.video.replace('/', '.')}.index.npz"
    return open_shard(
        path, suffix=suffix, make=functools.partial(_index_file, keys=keys)
    )


def _index_file(path: str, records: Iterator[bytes], *, keys: _Keys) -> ShardIndex:
    _LOG.info("Noting where frames are in %s; this is done once.", path)
    return index_records(path, records, parse=functools.partial(_parse, keys=keys))


def _parse(record: bytes, *, keys: _Keys) -> tuple[Mapping[str, list], list[Span]]:
    """What our own shards say of a video, from an example of TFDS."""
    values, frames = parse_example(record, frames=keys.video)
    renamed = {
        "clip/label/index": values.get(keys.label),
        "video/filename": values.get(keys.name),
        "video/frame_rate": values.get(keys.rate),
    }
    return {key: value for key, value in renamed.items() if value}, frames


def _part(index: ShardIndex, skip: int, take: int) -> ShardIndex:
    """The records [skip, skip + take) of a file."""
    rows = slice(skip, skip + take)
    return dataclasses.replace(
        index,
        names=index.names[rows],
        labels=index.labels[rows],
        label_names=index.label_names[rows],
        rates=index.rates[rows],
        starts=index.starts[skip : skip + take + 1],
    )


def _check(
    name: str, split: str, shards: Sequence[ShardIndex], num_classes: int
) -> None:
    if not sum(len(shard) for shard in shards):
        raise ValueError(f"The split {split!r} of tfds:{name} has no videos.")
    labels = np.concatenate([shard.labels for shard in shards])
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"The split {split!r} of tfds:{name} has labels from {labels.min()} to "
            f"{labels.max()}, and there are {num_classes} classes; a split without "
            "labels can be neither trained on nor tested."
        )
