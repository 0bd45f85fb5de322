"""Sources: what turns the index of an example into a clip."""

import dataclasses
import difflib
import functools
import logging
from typing import Protocol, runtime_checkable

import numpy as np

from vidjax.config import DataConfig, SyntheticConfig
from vidjax.data.clips import ONE_VIEW
from vidjax.data.lists import Split, VideoList, read_csv, read_folder
from vidjax.data.official import READERS as OFFICIAL
from vidjax.data.official import read_official
from vidjax.data.shards import open_shards
from vidjax.data.synthetic import CLASSES, draw_clip
from vidjax.data.video_source import FileSet, VideoSource, check_index
from vidjax.typing import ClipSpec, Views

_SOURCES = ("synthetic_motion", "folder:DIR", "csv:FILE", "records:DIR")
_READERS = {"folder": read_folder, "csv": read_csv}
_LOG = logging.getLogger("vidjax.data")
_KEEP_BYTES = 2**28  # Drawn clips are kept if all of a split fit into this.


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
            The clip, uint8 [T, H, W, C] as `spec` says, and its class, which a flip may
            have changed.
        """
        ...


@dataclasses.dataclass(frozen=True)
class SyntheticSource:
    """The clips of `synthetic_motion`, drawn when they are first wanted.

    Labels go round, so that classes are balanced. There is one view, and no crop or
    flip: left and right are labels.

    Attributes:
        spec: The clip; its frames and size matter.
        config: How many clips, and the seed.
        split: "train" or "eval"; no clip is in both.
        label_names: Names of the classes.
    """

    spec: ClipSpec
    config: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)
    split: Split = "train"
    label_names: tuple[str, ...] = CLASSES

    @property
    def num_examples(self) -> int:
        """Examples N."""
        config = self.config
        return config.num_train if self.split == "train" else config.num_eval

    @property
    def labels(self) -> np.ndarray:
        """Class of each example in [0, K), int32 [N]."""
        return np.arange(self.num_examples, dtype=np.int32) % len(self.label_names)

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the examples, [N]."""
        return tuple(
            f"synthetic_motion/{self.split}/{self.label_names[label]}/{index:06d}"
            for index, label in enumerate(self.labels)
        )

    def test_shape(self, views: Views) -> tuple[int, ...]:
        """Returns the shape [T, H, W, C] of a clip, which is that of training.

        Args:
            views: Has no meaning here.

        Returns:
            The shape.
        """
        del views
        return self.spec.shape

    def clip(self, index: int, *, view: int = 0, views: Views = ONE_VIEW) -> np.ndarray:
        """Returns one clip: a function of the seed, the split and the index alone.

        Args:
            index: Which example, in [0, N).
            view: Has no meaning here.
            views: Has no meaning here.

        Returns:
            The clip, uint8 [T, H, W, 3].

        Raises:
            ValueError: If there is no such example.

        Example:
            >>> source = SyntheticSource(ClipSpec(num_frames=4, size=16))
            >>> source.clip(2).shape
            (4, 16, 16, 3)
        """
        del view, views
        check_index(index, self.num_examples)
        spec = self.spec
        return _drawing(
            self.config.seed, self.split, self.num_examples, spec.num_frames, spec.size
        ).clip(index)

    def draw(self, index: int, *, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """Returns the same clip, and its class: nothing varies in training.

        Args:
            index: Which example, in [0, N).
            rng: Has no meaning here.

        Returns:
            The clip, uint8 [T, H, W, 3], and its class.

        Raises:
            ValueError: If there is no such example.
        """
        del rng
        return self.clip(index), index % len(self.label_names)


class _Drawing:
    """Draws the clips of a split, and keeps them if they all fit into memory."""

    def __init__(
        self, seed: int, split: Split, count: int, num_frames: int, size: int
    ) -> None:
        self._seed = (seed, 0 if split == "train" else 1)
        self._num_frames, self._size = num_frames, size
        shape = (count, num_frames, size, size, 3)
        fits = np.prod(shape, dtype=np.int64) <= _KEEP_BYTES
        self._kept = np.empty(shape, np.uint8) if fits else None
        self._drawn = np.zeros(count, bool)

    def clip(self, index: int) -> np.ndarray:
        """Returns a clip, uint8 [T, H, W, 3], which the caller owns."""
        if self._kept is not None and self._drawn[index]:
            return self._kept[index].copy()
        clip = draw_clip(
            index % len(CLASSES),
            num_frames=self._num_frames,
            size=self._size,
            seed=(*self._seed, index),
        )
        if self._kept is not None:
            # Threads that draw the same clip at once write the same bytes.
            self._kept[index] = clip
            self._drawn[index] = True
        return clip


# The models that a config compares see the same clips: they are drawn once.
_drawing = functools.lru_cache(maxsize=2)(_Drawing)


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
    if spec.channels != 3:
        raise ValueError(
            f"data.source={config.source!r} has 3 channels (RGB), and the model wants "
            f"{spec.channels}."
        )
    if config.source == "synthetic_motion":
        return SyntheticSource(spec, config.synthetic, split)
    kind, _, where = config.source.partition(":")
    if where and kind in ("records", *_READERS, *OFFICIAL):
        _check_augmentation(config, spec)
        if kind == "records":
            videos = open_shards(where, split=split)
        else:
            videos = FileSet(list_videos(config, split=split))
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
    if config.repeats < 1:
        problems.append(f"data.repeats must be positive, got {config.repeats}")
    if problems:
        raise ValueError("; ".join(problems) + ".")
