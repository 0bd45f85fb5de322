"""Builders for TensorFlow Datasets: after one import, `tfds.load` has these sets.

    import tensorflow_datasets as tfds
    import vidjax.data.tfds_builders

    how = tfds.download.DownloadConfig(manual_dir="/data/kinetics400")
    builder = tfds.builder("vidjax_kinetics400", data_dir="/data/tfds")
    builder.download_and_prepare(download_config=how)
    tfds.load("vidjax_kinetics400", data_dir="/data/tfds", split="train")

Nothing is downloaded: `manual_dir`, or the folder in it that is called like the set
("kinetics400"), holds the videos and the official lists as `read_official` finds them.

Frames are stored as JPEGs in `tfds.features.Video`, and not the files themselves: so
TFDS gives pixels by itself, and with `SkipDecoding` the bytes of the frames, of which
only some need be decoded; TensorFlow has no decoder of video files. The frames are the
ones of `vidjax prepare`. The price is space: 6 to 43 times that of the files, measured
on eight real clips.
"""

import dataclasses
import logging
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from vidjax.config import DataConfig
from vidjax.data.ahead import map_ahead
from vidjax.data.buckets import as_path
from vidjax.data.lists import Example, Split
from vidjax.data.prepared import encode_frames
from vidjax.data.sources import list_videos
from vidjax.data.timeline import VideoError

_LOG = logging.getLogger("vidjax.data")


@dataclasses.dataclass(eq=False)
class FramesConfig(tfds.core.BuilderConfig):
    """How videos become frames.

    Attributes:
        fold: Which of three splits, for HMDB51.
        short_side: Pixels of the short side; smaller videos, and 0, keep their size.
        fps: Frames per second; 0 keeps the video's own.
        quality: Of the JPEGs, in [1, 100].
    """

    fold: int = 1
    short_side: int = 320
    fps: float = 0.0
    quality: int = 95


_VERSION = "1.0.0"
_WHOLE = [FramesConfig(name="frames", version=_VERSION)]


class _Videos(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A set whose lists and videos the user has."""

    VERSION = tfds.core.Version(_VERSION)
    BUILDER_CONFIGS: ClassVar[list[Any]] = _WHOLE
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "manual_dir, or the folder in it that is called like the set, must have the "
        "videos and the official lists; docs/data.md of vidjax says which."
    )
    SOURCE: ClassVar[str]  # As in `data.source`.
    HELD_OUT: ClassVar[str]  # The split that is not trained on.

    def _info(self) -> tfds.core.DatasetInfo:
        video = tfds.features.Video(shape=(None, None, None, 3), encoding_format="jpeg")
        features = {
            "video": video,
            "label": tfds.features.ClassLabel(),  # Names come with the lists.
            "name": tfds.features.Text(),
            "fps": np.float32,
            "start_sec": np.float32,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("video", "label"),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        settings: Any = self.builder_config
        root = as_path(dl_manager.manual_dir)
        inside = root / self.SOURCE
        config = DataConfig(
            source=f"{self.SOURCE}:{inside if inside.is_dir() else root}",
            fold=settings.fold,
        )
        splits: dict[str, Split] = {"train": "train", self.HELD_OUT: "eval"}
        lists = {
            name: list_videos(config, split=split) for name, split in splits.items()
        }
        features: Any = self.info.features
        features["label"].names = lists["train"].label_names
        return {
            name: self._generate_examples(listed.examples)
            for name, listed in lists.items()
        }

    def _generate_examples(
        self, examples: tuple[Example, ...]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Leaves out videos that cannot be read, with a line in the log."""
        for number, (example, found) in enumerate(map_ahead(self._encode, examples)):
            if isinstance(found, VideoError):
                _LOG.warning("%s It is left out.", found)
                continue
            jpegs, fps = found
            name = os.path.basename(example.path)
            yield (
                f"{number:08d} {name}",
                {
                    "video": jpegs,
                    "label": example.label,
                    "name": name,
                    "fps": fps,
                    "start_sec": example.start_sec,
                },
            )

    def _encode(
        self, example: Example
    ) -> tuple[Example, tuple[list[bytes], float] | VideoError]:
        config: Any = self.builder_config
        try:
            return example, encode_frames(
                example,
                short_side=config.short_side or None,
                fps=config.fps or None,
                quality=config.quality,
            )
        except VideoError as error:
            return example, error


class VidjaxKinetics400(_Videos):
    """Kinetics-400: train.csv, val.csv, and clips of ten seconds."""

    SOURCE, HELD_OUT = "kinetics400", "validation"


class VidjaxKinetics600(_Videos):
    """Kinetics-600: train.csv, val.csv, and clips of ten seconds."""

    SOURCE, HELD_OUT = "kinetics600", "validation"


class VidjaxKinetics700(_Videos):
    """Kinetics-700: train.csv, val.csv, and clips of ten seconds."""

    SOURCE, HELD_OUT = "kinetics700", "validation"


class VidjaxHmdb51(_Videos):
    """HMDB51: CLASS_test_split1.txt; the config says which of three splits."""

    SOURCE, HELD_OUT = "hmdb51", "test"
    BUILDER_CONFIGS: ClassVar[list[Any]] = [
        FramesConfig(name=f"split{fold}", version=_VERSION, fold=fold)
        for fold in (1, 2, 3)
    ]


class VidjaxSsv2(_Videos):
    """Something-Something V2: labels.json, train.json, validation.json."""

    SOURCE, HELD_OUT = "ssv2", "validation"


class VidjaxDiving48(_Videos):
    """Diving48: vocab.json, train.json, test.json."""

    SOURCE, HELD_OUT = "diving48", "test"


class VidjaxThumos14(_Videos):
    """THUMOS14, an example an action: CLASS_val.txt to train, CLASS_test.txt."""

    SOURCE, HELD_OUT = "thumos14", "test"


class VidjaxActivitynet(_Videos):
    """ActivityNet, an example an action: the JSON file with "database"."""

    SOURCE, HELD_OUT = "activitynet", "validation"


class VidjaxFolder(_Videos):
    """A folder with a folder a class, or with "train" and "val" of such folders."""

    SOURCE, HELD_OUT = "folder", "validation"
