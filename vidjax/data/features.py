"""Features of untrimmed videos as training examples and as batches, through tf.data.

As in `vidjax.data.pipeline`, order and crops are functions of (seed, epoch, index).

Reference:
    Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with Transformers",
    ECCV 2022, https://arxiv.org/abs/2202.07925; libs/datasets of its code.
"""

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vidjax.data.feature_crops import (
    Example,
    pad_example,
    random_crop,
    resize_steps,
)
from vidjax.data.pipeline import import_tensorflow
from vidjax.typing import FeatureGrid, FeatureSpec

Batch = dict[str, Any]

_END = 2**40  # Videos in an endless run.
_LOG = logging.getLogger("vidjax.data")


@dataclasses.dataclass(frozen=True)
class FeatureVideo:
    """What is known of a video beside its features.

    Attributes:
        name: By which its features are found.
        fps: Frames a second.
        duration: Seconds.
        segments: Start and end of its actions in seconds, [N, 2] float32.
        labels: Their classes, [N] int32.
    """

    name: str
    fps: float
    duration: float
    segments: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class FeatureSource:
    """Videos by index, as features.

    Attributes:
        videos: The videos.
        label_names: Names of the K classes.
        read: Gives the features of a video, by name: [T, C] float32.
        spec: What the detector wants.
        stride: Frames between two steps.
        window: Frames that a step sees.
        resize: Whether features are resized to `spec.length` steps.
        spans_video: Whether the steps lie evenly over the whole video, whatever
            `stride`, `window` and its rate.
        crop: Share of a video that a training example has, from and to; None takes all.
        min_inside: Share of an action that a crop has to hold, or it is left out.
        empty_classes: Classes in [0, K) that no annotation has.
    """

    videos: tuple[FeatureVideo, ...]
    label_names: tuple[str, ...]
    read: Callable[[str], np.ndarray]
    spec: FeatureSpec
    stride: float
    window: float
    resize: bool = False
    spans_video: bool = False
    crop: tuple[float, float] | None = (0.9, 1.0)
    min_inside: float = 0.5
    empty_classes: tuple[int, ...] = ()

    @property
    def num_examples(self) -> int:
        """Videos N."""
        return len(self.videos)

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the videos, [N]."""
        return tuple(video.name for video in self.videos)

    @property
    def rows(self) -> tuple[str, ...]:
        """What is known of each video as text, by which data is told apart, [N]."""
        return tuple(
            f"{v.name}\t{v.fps}\t{v.duration}\t{v.segments.tolist()}"
            f"\t{v.labels.tolist()}"
            for v in self.videos
        )

    @property
    def most_actions(self) -> int:
        """Actions of the video that has most."""
        return max((len(v.labels) for v in self.videos), default=0)

    def example(self, index: int) -> Example:
        """Returns a whole video.

        Args:
            index: Which, in [0, N).

        Returns:
            Its features.

        Raises:
            ValueError: If the features have another number of channels.
        """
        video = self.videos[index]
        features = self.read(video.name)
        if features.ndim != 2 or features.shape[1] != self.spec.channels:
            raise ValueError(
                f"Expected features [T, {self.spec.channels}] of {video.name}, got "
                f"shape {features.shape}."
            )
        grid = FeatureGrid(self.stride, self.window, video.fps)
        if self.spans_video:
            share = video.duration / len(features)
            grid = FeatureGrid(share, share, 1.0)
        if self.resize:
            grid = grid.resized(len(features), self.spec.length)
            features = resize_steps(features, self.spec.length)
        segments = grid.to_steps(video.segments).astype(np.float32)
        return Example(features, segments, video.labels, grid)

    def crop_of(self, index: int, rng: np.random.Generator) -> Example:
        """Returns a part of a video, for training.

        Args:
            index: Which, in [0, N).
            rng: Where the part is.

        Returns:
            At most `spec.length` steps, with an action in them where that can be.

        Raises:
            ValueError: As `example`.
        """
        return random_crop(
            self.example(index),
            length=self.spec.length,
            share=self.crop,
            min_inside=self.min_inside,
            rng=rng,
        )


def train_feature_batches(
    source: FeatureSource,
    *,
    batch_size: int,
    seed: int,
    max_actions: int,
    start_step: int = 0,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Returns the batches of training, without end.

    Args:
        source: Videos, N of them.
        batch_size: Videos in a batch, B.
        seed: Seed of order and crops, not negative.
        max_actions: Actions G for which each video has room.
        start_step: Step of the first batch: how many batches came before it.
        workers: Threads that read; None takes one a core.

    Returns:
        An iterator over dicts: "clip", features [B, T, C] float32 and which steps there
        are [B, T] bool; "label", segments in steps [B, G, 2] float32, classes [B, G]
        int32 and which there are [B, G] bool; "mask" [B] bool, all True.

    Raises:
        ValueError: If the source is empty, or the batch size not positive.
        ImportError: If TensorFlow is missing.
    """
    if source.num_examples < 1 or batch_size < 1:
        raise ValueError(
            f"Expected videos and a positive batch size, got {source.num_examples} and "
            f"{batch_size}."
        )
    tf = import_tensorflow()
    count, steps = source.num_examples, source.spec.length

    def choose(position: Any) -> tuple[Any, Any]:
        epoch = position // count
        shuffled = tf.random.experimental.index_shuffle(
            position % count,
            seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
            max_index=count - 1,
        )
        return epoch, shuffled

    failure: list[BaseException] = []

    def load(epoch: np.int64, index: np.int64) -> tuple[np.ndarray, ...]:
        try:
            crop = _readable_crop(source, seed, int(epoch), int(index))
            return pad_example(crop, steps, max_actions)
        except BaseException as error:
            failure.append(error)  # TensorFlow keeps only its text.
            raise

    shapes = ((steps, source.spec.channels), (steps,), (max_actions, 2))
    shapes = (*shapes, (max_actions,), (max_actions,))
    kinds = (np.float32, np.bool_, np.float32, np.int32, np.bool_)

    @tf.autograph.experimental.do_not_convert
    def fill(position: Any) -> tuple[Any, ...]:
        values = tf.numpy_function(load, choose(position), kinds, stateful=False)
        for value, shape in zip(values, shapes, strict=True):
            value.set_shape(shape)
        return tuple(values)

    options = tf.data.Options()
    options.threading.private_threadpool_size = workers or os.cpu_count() or 1
    dataset = tf.data.Dataset.range(start_step * batch_size, _END).map(
        fill, num_parallel_calls=workers or os.cpu_count() or 1, deterministic=True
    )
    dataset = dataset.batch(batch_size, drop_remainder=True).prefetch(2)
    dataset = dataset.with_options(options)

    def batches() -> Iterator[Batch]:
        try:
            for features, there, *actions in dataset.as_numpy_iterator():
                yield {
                    "clip": (features, there),
                    "label": tuple(actions),
                    "mask": np.ones(batch_size, bool),
                }
        except Exception:
            if failure:
                raise failure[0] from None
            raise

    return batches()


def _readable_crop(source: FeatureSource, seed: int, epoch: int, index: int) -> Example:
    """Takes the next video in place of one that cannot be read; raises if none can."""
    last = None
    for offset in range(source.num_examples):
        place = (index + offset) % source.num_examples
        try:
            return source.crop_of(place, np.random.default_rng((seed, epoch, place)))
        except ValueError as error:
            _LOG.warning("%s Another video takes its place.", error)
            last = error
    raise ValueError(f"No video of the source can be read. The last one: {last}")


def eval_feature_batches(
    source: FeatureSource, *, batch_size: int
) -> Iterator[tuple[list[tuple[int, FeatureGrid]], Batch]]:
    """Returns every video exactly once, those of like length together.

    Args:
        source: Videos, N of them.
        batch_size: Videos in a batch, B.

    Returns:
        An iterator over the indices and grids of a batch's videos, at most B, and the
        batch: "clip", features [B, T, C] float32 and which steps there are [B, T] bool,
        T as `FeatureSpec.padded` says. Rows behind the last video are zeros. A video
        that cannot be read is left out, with one line in the log.
    """
    waiting: dict[int, list[tuple[int, Example]]] = {}
    for index in range(source.num_examples):
        try:
            example = source.example(index)
        except ValueError as error:
            _LOG.warning("%s It is not counted.", error)
            continue
        steps = source.spec.padded(len(example.features))
        rows = waiting.setdefault(steps, [])
        rows.append((index, example))
        if len(rows) == batch_size:
            yield _stack(rows, steps, batch_size)
            rows.clear()
    for steps, rows in sorted(waiting.items()):
        if rows:
            yield _stack(rows, steps, batch_size)


def _stack(
    rows: Sequence[tuple[int, Example]], steps: int, batch_size: int
) -> tuple[list[tuple[int, FeatureGrid]], Batch]:
    channels = rows[0][1].features.shape[1]
    features = np.zeros((batch_size, steps, channels), np.float32)
    there = np.zeros((batch_size, steps), bool)
    for row, (_, example) in enumerate(rows):
        count = len(example.features)
        features[row, :count] = example.features
        there[row, :count] = True
    grids = [(index, example.grid) for index, example in rows]
    return grids, {"clip": (features, there)}
