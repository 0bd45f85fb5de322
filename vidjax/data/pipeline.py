"""Batches from a source, through tf.data: index-based, so that the position is a step.

Position p of a training run, counted over all processes, is example

    index_shuffle(p mod N) of epoch floor(p / N),

a permutation that depends on (seed, epoch) alone, and its augmentation is a function of
(seed, epoch, index). A run that starts at a step sees what it would have seen there,
whatever the number of processes.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vidjax.data.backends import import_tensorflow
from vidjax.data.sources import ONE_VIEW, Source
from vidjax.data.timeline import VideoError
from vidjax.typing import Views

Batch = dict[str, np.ndarray]

_BAD_SHARE = 0.1  # Ours: with more bad videos than this, training stops.
_END = 2**40  # Clips in an endless run: more than a century of them.
_LOG = logging.getLogger("vidjax.data")


def train_batches(
    source: Source,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    workers: int | None = None,
    repeats: int = 1,
    bad_share: float = _BAD_SHARE,
) -> Iterator[Batch]:
    """Returns the batches of training, without end.

    A video that cannot be read is replaced by the next example of the source that can
    be (after the last comes the first), whose label and index the batch then has, with
    one line in the log for each bad video. When more than a share of the examples turn
    out bad, and more than one, the run stops.

    Args:
        source: Labelled clips, N of them.
        batch_size: Clips in a global batch.
        seed: Seed of order and augmentation, not negative.
        start_step: Step of the first batch: how many batches came before it.
        process_index: Which process this is, in [0, process_count).
        process_count: Processes that share a global batch; each gets an equal run of
            it, b clips.
        workers: Threads that make clips; None takes one a core.
        repeats: Clips of an example that follow each other, each with other draws.
        bad_share: Share of the examples that may be bad.

    Returns:
        An iterator over this process's part of each batch: "clip" uint8 [b, T, H, W,
        C], "label" int32 [b], "mask" bool [b], all True, and "index" int64 [b], the
        example in the source. It raises a `VideoError` when too many videos are bad.

    Raises:
        ValueError: If the source is empty, the batch size is not a positive multiple of
            the number of processes, or `repeats` or `bad_share` is out of range.
        ImportError: If TensorFlow is missing.

    Example:
        >>> from vidjax.data.sources import SyntheticSource
        >>> from vidjax.typing import ClipSpec
        >>> source = SyntheticSource(ClipSpec(num_frames=4, size=16))
        >>> next(train_batches(source, batch_size=2, seed=0))["clip"].shape
        (2, 4, 16, 16, 3)
    """
    local = _share_batch(source, batch_size, process_index, process_count)
    if repeats < 1 or not 0 <= bad_share <= 1:
        raise ValueError(
            "Expected repeats of at least 1 and a share of bad videos in [0, 1], got "
            f"{repeats} and {bad_share:g}."
        )
    tf = import_tensorflow()
    count = source.num_examples
    loader = _TrainLoader(source, seed, bad_share)

    def choose(i: Any) -> tuple[Any, Any, Any]:
        step = start_step + i // local
        clip = step * batch_size + process_index * local + i % local
        position, repeat = clip // repeats, clip % repeats
        epoch = position // count
        shuffled = tf.random.experimental.index_shuffle(
            position % count,
            seed=tf.stack([tf.constant(seed, tf.int64), epoch]),
            max_index=count - 1,
        )
        return epoch, shuffled, repeat

    fields = {"clip": np.uint8, "label": np.int32, "index": np.int64}
    dataset = tf.data.Dataset.range(_END).map(
        tf.autograph.experimental.do_not_convert(choose)
    )
    return _iterate(dataset, loader, fields, source.spec.pixels_shape, local, workers)


def eval_batches(
    source: Source,
    *,
    batch_size: int,
    views: Views = ONE_VIEW,
    process_index: int = 0,
    process_count: int = 1,
    workers: int | None = None,
) -> Iterator[Batch]:
    """Returns every view of every example exactly once, in order.

    The last batch is filled with rows of zeros whose mask is False. The row of a video
    that cannot be read has a mask of False and a blank clip as well, but keeps its
    label, index and view; each such video is one line in the log.

    Args:
        source: Labelled clips, N of them.
        batch_size: Clips in a global batch.
        views: Which V views of an example are taken; the views
            of an example follow each other.
        process_index: Which process this is, in [0, process_count).
        process_count: Processes that share a global batch; each gets an equal run of
            it, b clips, and all get the same number of batches.
        workers: Threads that make clips; None takes one a core.

    Returns:
        An iterator over this process's part of each of the ceil(N * V / batch_size)
        batches: "clip" uint8 [b, T, H, W, C], "label" int32 [b], "mask" bool [b],
        "index" int64 [b], the example in the source, and "view" int32 [b].

    Raises:
        ValueError: If the source is empty, or the batch size is not a positive multiple
            of the number of processes.
        ImportError: If TensorFlow is missing.

    Example:
        >>> from vidjax.config import SyntheticConfig
        >>> from vidjax.data.sources import SyntheticSource
        >>> from vidjax.typing import ClipSpec
        >>> spec = ClipSpec(num_frames=4, size=16)
        >>> source = SyntheticSource(spec, SyntheticConfig(num_eval=3), "eval")
        >>> [b["mask"].tolist() for b in eval_batches(source, batch_size=2)]
        [[True, True], [True, False]]
    """
    local = _share_batch(source, batch_size, process_index, process_count)
    tf = import_tensorflow()
    num_views = views.num_views
    num_batches = -(-source.num_examples * num_views // batch_size)
    loader = _EvalLoader(source, views)

    def choose(i: Any) -> tuple[Any, Any]:
        position = i // local * batch_size + process_index * local + i % local
        return position // num_views, position % num_views

    fields = {
        "clip": np.uint8,
        "label": np.int32,
        "mask": np.bool_,
        "index": np.int64,
        "view": np.int32,
    }
    dataset = tf.data.Dataset.range(num_batches * local).map(
        tf.autograph.experimental.do_not_convert(choose)
    )
    return _iterate(dataset, loader, fields, source.test_shape(views), local, workers)


class _TrainLoader:
    """Makes a clip of an epoch; goes to the next example where a video is bad."""

    def __init__(self, source: Source, seed: int, bad_share: float) -> None:
        self._source, self._seed, self._bad_share = source, seed, bad_share
        self._bad: set[int] = set()
        self._lock = threading.Lock()

    def __call__(
        self, epoch: np.int64, index: np.int64, repeat: np.int64
    ) -> tuple[np.ndarray, np.int32, np.int64]:
        count = self._source.num_examples
        for offset in range(count):
            example = (int(index) + offset) % count
            if example in self._bad:
                continue
            rng = np.random.default_rng((self._seed, int(epoch), example, int(repeat)))
            try:
                clip, label = self._source.draw(example, rng=rng)
            except VideoError as error:
                self._report(example, error)
            else:
                return clip, np.int32(label), np.int64(example)
        raise VideoError("No video of the source can be read.")

    def _report(self, example: int, error: VideoError) -> None:
        with self._lock:
            if example in self._bad:
                return
            self._bad.add(example)
            count = self._source.num_examples
            _LOG.warning(
                "%s Another clip takes its place (%d of %d videos so far).",
                error,
                len(self._bad),
                count,
            )
            if len(self._bad) > max(1, self._bad_share * count):
                raise VideoError(
                    f"{len(self._bad)} of {count} videos cannot be read, more than a "
                    f"share of {self._bad_share:g}. The last one: {error}"
                )


class _EvalLoader:
    """Makes one view of an example; masks what is bad or past the end."""

    def __init__(self, source: Source, views: Views) -> None:
        self._source, self._views = source, views
        self._labels = source.labels
        self._blank = np.zeros(source.test_shape(views), np.uint8)
        self._bad: set[int] = set()
        self._lock = threading.Lock()

    def __call__(
        self, index: np.int64, view: np.int64
    ) -> tuple[np.ndarray, np.int32, np.bool_, np.int64, np.int32]:
        example = int(index)
        if example >= len(self._labels):
            return self._blank, np.int32(0), np.False_, np.int64(0), np.int32(0)
        try:
            clip = self._source.clip(example, view=int(view), views=self._views)
        except VideoError as error:
            self._report(example, error)
            clip, read = self._blank, np.False_
        else:
            read = np.True_
        return clip, np.int32(self._labels[example]), read, index, np.int32(view)

    def _report(self, example: int, error: VideoError) -> None:
        with self._lock:
            if example not in self._bad:
                self._bad.add(example)
                _LOG.warning("%s It is not counted.", error)


def _share_batch(
    source: Source, batch_size: int, process_index: int, process_count: int
) -> int:
    """Returns the clips that one process has of each batch."""
    if source.num_examples < 1:
        raise ValueError("The source has no examples.")
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index must be in [0, {process_count}), got {process_index}."
        )
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"batch_size must be a positive multiple of the {process_count} processes, "
            f"got {batch_size}."
        )
    return batch_size // process_count


def _iterate(
    dataset: Any,
    loader: Callable[..., tuple[Any, ...]],
    fields: dict[str, Any],
    shape: tuple[int, ...],
    local: int,
    workers: int | None,
) -> Iterator[Batch]:
    """Loads what a dataset of arguments names, and batches it, in order."""
    tf = import_tensorflow()
    threads = workers or os.cpu_count() or 1
    failure: list[BaseException] = []

    def load(*arguments: Any) -> tuple[Any, ...]:
        try:
            return loader(*arguments)
        except BaseException as error:
            failure.append(error)  # TensorFlow keeps only its text.
            raise

    @tf.autograph.experimental.do_not_convert
    def fill(*arguments: Any) -> dict[str, Any]:
        values = tf.numpy_function(
            load, arguments, list(fields.values()), stateful=False
        )
        row = dict(zip(fields, values, strict=True))
        for name, value in row.items():
            value.set_shape(shape if name == "clip" else ())
        return row

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.experimental_optimization.inject_prefetch = False
    dataset = dataset.map(fill, num_parallel_calls=threads, deterministic=True)
    dataset = (
        dataset.batch(local, drop_remainder=True).prefetch(2).with_options(options)
    )

    def batches() -> Iterator[Batch]:
        try:
            for batch in dataset.as_numpy_iterator():
                batch.setdefault("mask", np.ones(local, bool))
                yield batch
        except Exception:
            if failure:
                raise failure[0] from None
            raise

    return batches()
