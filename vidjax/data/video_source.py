"""Labelled videos of files or shards as a source of clips."""

import dataclasses
import functools
import pathlib

import numpy as np

from vidjax.config import DataConfig
from vidjax.data.clips import ONE_VIEW, FileVideo, random_clip, view_clip
from vidjax.data.flips import flip_labels
from vidjax.data.flow_video import FlowVideo
from vidjax.data.lists import VideoList
from vidjax.data.plan import test_clip
from vidjax.data.shards import ShardSet
from vidjax.typing import ClipSpec, Views


@dataclasses.dataclass(frozen=True)
class FileSet:
    """Labelled video files.

    Attributes:
        listed: The files, their labels and the names of the classes.
        root: Folder of the data set.
        flow_files: Folder with the flow of the videos, each where the video is in
            `root`, or by its name alone; None if flow is not read.
    """

    listed: VideoList
    root: str = ""
    flow_files: str | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.listed.label_names

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class of each video in [0, K), int32 [N]."""
        return np.array([video.label for video in self.listed.examples], np.int32)

    @functools.cached_property
    def paths(self) -> tuple[str, ...]:
        """The files, [N]."""
        return tuple(video.path for video in self.listed.examples)

    def video(self, index: int) -> FileVideo | FlowVideo:
        """Returns one video.

        Args:
            index: Which, in [0, N).

        Returns:
            The file, or the part of it that is labelled; or the file and its flow.
        """
        example = self.listed.examples[index]
        video = FileVideo(example.path, example.start_sec, example.end_sec)
        if self.flow_files is None:
            return video
        path = pathlib.Path(example.path).with_suffix("")
        folder = pathlib.Path(self.flow_files)
        inside = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        places = dict.fromkeys((folder / inside, folder / path.name))
        return FlowVideo(video, tuple(places))


Videos = FileSet | ShardSet
"""Labelled videos by index."""


@dataclasses.dataclass(frozen=True)
class VideoSource:
    """Clips of labelled videos.

    Attributes:
        spec: The clip.
        videos: The videos.
        config: How training clips vary.
    """

    spec: ClipSpec
    videos: Videos
    config: DataConfig

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.videos.label_names

    @property
    def num_examples(self) -> int:
        """Examples N."""
        return len(self.videos.labels)

    @property
    def labels(self) -> np.ndarray:
        """Class of each example in [0, K), int32 [N]."""
        return self.videos.labels

    @property
    def paths(self) -> tuple[str, ...]:
        """Files of the examples, [N]."""
        return self.videos.paths

    @functools.cached_property
    def flipped_labels(self) -> np.ndarray:
        """Class that each class becomes when it is flipped, or -1, int32 [K]."""
        return flip_labels(self.label_names)

    def test_shape(self, views: Views) -> tuple[int, ...]:
        """Returns the shape [T, H, W, C] of a clip at test time.

        Args:
            views: The protocol.

        Returns:
            The shape.
        """
        return test_clip(self.spec, views).pixels_shape

    def clip(self, index: int, *, view: int = 0, views: Views = ONE_VIEW) -> np.ndarray:
        """Returns one view for a test; see `vidjax.data.clips.view_clip`.

        Args:
            index: Which example, in [0, N).
            view: Which view, in [0, views.num_views).
            views: The protocol.

        Returns:
            The clip, uint8, of the shape `test_shape(views)`.

        Raises:
            VideoError: If the video cannot be read.
            ValueError: If there is no such example or view.
        """
        check_index(index, self.num_examples)
        return view_clip(self.videos.video(index), self.spec, view=view, views=views)

    def draw(self, index: int, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Returns a random clip for training; see `vidjax.data.clips.random_clip`.

        Args:
            index: Which example, in [0, N).
            rng: Where randomness comes from.

        Returns:
            The clip, uint8 of the shape `spec.pixels_shape`, and its class, which a
            flip may have changed.

        Raises:
            VideoError: If the video cannot be read.
            ValueError: If there is no such example.
        """
        check_index(index, self.num_examples)
        config, label = self.config, int(self.labels[index])
        other = int(self.flipped_labels[label])
        clip, flipped = random_clip(
            self.videos.video(index),
            self.spec,
            rng=rng,
            short_side=config.short_side,
            flip_rate=config.flip_rate if other >= 0 else 0.0,
            augment=config.augment,
            loop=config.short_videos == "loop",
        )
        return clip, other if flipped else label


def check_index(index: int, count: int) -> None:
    """Checks that an example exists.

    Args:
        index: Which example.
        count: How many there are.

    Raises:
        ValueError: If `index` is outside [0, count).
    """
    if not 0 <= index < count:
        raise ValueError(f"Example must be in [0, {count}), got {index}.")
