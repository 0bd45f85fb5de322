"""A source of shards: videos as JPEG frames, of which only those of a clip are read."""

import dataclasses
import difflib
import functools
import os
import re
import struct
from collections.abc import Sequence

import numpy as np

from vidjax.data.ahead import map_ahead
from vidjax.data.backends import import_tensorflow
from vidjax.data.buckets import as_path, find
from vidjax.data.decode import Resizer
from vidjax.data.geometry import Geometry
from vidjax.data.lists import Split
from vidjax.data.plan import shown_frames
from vidjax.data.records import Record, ShardIndex, open_shard, read_jpegs
from vidjax.data.timeline import VideoError
from vidjax.data.transforms import Box, empty_clip
from vidjax.typing import Interpolation

LABELS = "labels.txt"
"""Names of the classes, a line each, beside shards."""

OPENED = 16  # Ours: shards opened at once; those in a bucket wait for answers.
_PNG = b"\x89PNG\r\n\x1a\n"
_CROP_PAYS = 0.5  # Boxes of a smaller share of a frame are faster to decode; measured.
_NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.tfrecord)?$")


@dataclasses.dataclass(frozen=True)
class RecordVideo:
    """A video in a shard.

    Attributes:
        path: The shard.
        record: Where its frames are.
    """

    path: str
    record: Record

    @property
    def name(self) -> str:
        """The file that it comes from, and the shard."""
        return f"{self.record.name} in {self.path}"

    @property
    def num_frames(self) -> int:
        """Frames N."""
        return len(self.record.frames)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.record.fps

    def shown(self, fps: float | None) -> np.ndarray:
        """Returns the frame on the screen at each tick of a rate.

        Args:
            fps: Ticks per second; None takes every frame once.

        Returns:
            Indices in [0, N), not falling, int64 [M].
        """
        return shown_frames(self.num_frames, self.fps, fps)

    def read(
        self, indices: np.ndarray, geometry: Geometry, interpolation: Interpolation
    ) -> np.ndarray:
        """Reads a part of some frames; only their bytes are read.

        Args:
            indices: Which frames, [T], each in [0, N).
            geometry: To which size they are resized, and what is cut out of that.
            interpolation: How they are resized.

        Returns:
            Pixels, uint8 RGB [T, box.height, box.width, 3].

        Raises:
            VideoError: If the shard is missing or damaged.
        """
        unique, inverse = np.unique(indices, return_inverse=True)
        jpegs = read_jpegs(self.path, self.record, unique.tolist())
        tf = import_tensorflow()
        try:
            stored = _stored_size(jpegs[0])
            size, box = geometry(*stored)
            decode = _FrameDecoder(stored, size, box, interpolation)
            clip = empty_clip((len(inverse), box.height, box.width, 3))
            for i, jpeg in enumerate(jpegs):
                part = decode(jpeg)
                if part.shape != clip.shape[1:]:
                    raise VideoError(f"Frames of {self.name} differ in size.")
                clip[inverse == i] = part
        except tf.errors.InvalidArgumentError as error:
            raise VideoError(f"A frame of {self.name} is no JPEG or PNG.") from error
        return clip


def _stored_size(frame: bytes) -> tuple[int, int]:
    """Height and width of a frame, from its header."""
    if frame.startswith(_PNG):  # https://www.w3.org/TR/png, 11.2.1.
        width, height = struct.unpack(">II", frame[16:24])
        return height, width
    height, width, _ = import_tensorflow().io.extract_jpeg_shape(frame).numpy().tolist()
    return height, width


class _FrameDecoder:
    """Decodes a box of each frame; of a JPEG not the rest, where that is faster."""

    def __init__(
        self,
        stored: tuple[int, int],
        size: tuple[int, int],
        box: Box,
        interpolation: Interpolation,
    ) -> None:
        self._image = import_tensorflow().image
        self._window = (box.top, box.left, box.height, box.width)
        self._part = (
            slice(box.top, box.top + box.height),
            slice(box.left, box.left + box.width),
        )
        self._resize = None if size == stored else Resizer(size, interpolation)
        share = box.height * box.width / (stored[0] * stored[1])
        self._crops = self._resize is None and share < _CROP_PAYS

    def __call__(self, frame: bytes) -> np.ndarray:
        """Returns the box of a frame, uint8 RGB [box.height, box.width, 3]."""
        if frame.startswith(_PNG):
            whole = self._image.decode_png(frame, channels=3)
        elif self._crops:
            part = self._image.decode_and_crop_jpeg(frame, self._window, channels=3)
            return np.asarray(memoryview(part))
        else:
            whole = self._image.decode_jpeg(frame, channels=3)
        pixels = np.asarray(memoryview(whole))  # `numpy()` would copy.
        if self._resize is not None:
            pixels = self._resize(pixels)
        return pixels[self._part]


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """The videos of a split, over all its shards.

    Attributes:
        shards: Their indices.
        label_names: Names of the K classes.
        first: Example with which each shard begins, int64 [S + 1].
    """

    shards: tuple[ShardIndex, ...]
    label_names: tuple[str, ...]
    first: np.ndarray

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class of each example, int32 [N]."""
        return np.concatenate([shard.labels for shard in self.shards])

    @functools.cached_property
    def paths(self) -> tuple[str, ...]:
        """File that each example comes from, [N]."""
        return tuple(name for shard in self.shards for name in shard.names)

    def video(self, index: int) -> RecordVideo:
        """Returns an example.

        Args:
            index: Which, in [0, N).

        Returns:
            The video.

        Raises:
            VideoError: If it has no frames.
        """
        shard = int(np.searchsorted(self.first, index, side="right")) - 1
        chosen = self.shards[shard]
        record = chosen.record(index - int(self.first[shard]))
        if not len(record.frames):
            raise VideoError(f"{record.name} in {chosen.path} has no frames.")
        return RecordVideo(chosen.path, record)


def open_shards(where: str, *, split: Split) -> ShardSet:
    """Opens the shards of a split.

    Args:
        where: A folder with SPLIT-00000-of-00008.tfrecord and so on, or a pattern with
            "*" for such files, in which "{split}" stands for train and eval.
        split: "train" or "eval".

    Returns:
        The shards, in the order of their names. Names of classes are the lines of
        labels.txt beside them, or otherwise those that the records have.

    Raises:
        ValueError: If there is no shard, one is missing, damaged or empty, or labels
            have several names.
    """
    pattern = where if "*" in where or "{split}" in where else ""
    pattern = pattern or os.path.join(where, "{split}-*.tfrecord")
    found = [
        path
        for path in find(pattern.replace("{split}", split))
        if not path.endswith(".npz")
    ]
    if not found:
        raise ValueError(
            f"There are no shards {pattern.replace('{split}', split)}.{_near(pattern)}"
        )
    _check_complete(found)
    shards = tuple(map_ahead(open_shard, found, workers=OPENED))
    counts = [0, *(len(shard) for shard in shards)]
    if not sum(counts):
        raise ValueError(f"The shards {pattern} have no videos.")
    names = _listed_labels(found[0]) or _label_names(shards, where)
    outside = max(int(shard.labels.max(initial=0)) for shard in shards)
    if outside >= len(names):
        raise ValueError(
            f"The shards {where} have the label {outside}, and labels.txt beside them "
            f"has {len(names)} names."
        )
    return ShardSet(shards, names, np.cumsum(counts))


def _near(pattern: str) -> str:
    folder = as_path(os.path.dirname(pattern) or ".")
    names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    close = difflib.get_close_matches(os.path.basename(pattern), names, n=1, cutoff=0.2)
    return f" {folder} has {close[0]}." if close else ""


def _check_complete(paths: Sequence[str]) -> None:
    """Names such as x-00003-of-00008 say how many shards there should be."""
    numbered = [match for path in paths if (match := _NUMBERED.match(path))]
    for stem, count in sorted({(match[1], match[3]) for match in numbered}):
        here = {int(m[2]) for m in numbered if (m[1], m[3]) == (stem, count)}
        missing = sorted(set(range(int(count))) - here)
        if missing:
            raise ValueError(
                f"{len(missing)} of the {int(count)} shards {stem}-* are missing, such "
                f"as number {missing[0]}."
            )


def _listed_labels(shard: str) -> tuple[str, ...]:
    path = as_path(shard).with_name(LABELS)
    if not path.is_file():
        return ()
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _label_names(shards: Sequence[ShardIndex], where: str) -> tuple[str, ...]:
    names: dict[int, str] = {}
    for shard in shards:
        for label, name in zip(shard.labels.tolist(), shard.label_names, strict=True):
            if names.setdefault(label, name) != name:
                raise ValueError(
                    f"The shards {where} call label {label} {names[label]!r} and "
                    f"{name!r}."
                )
    if min(names) < 0:
        raise ValueError(f"The shards {where} have the label {min(names)}.")
    return tuple(names.get(k) or f"class {k}" for k in range(max(names) + 1))
