"""Shards of JPEG frames: TFRecord files in DMVR's layout, and an index beside each.

A record is a `tf.train.SequenceExample` with one video:

    context   clip/label/index (int64), clip/label/text, video/filename (bytes),
              clip/start/timestamp, clip/end/timestamp (int64, microseconds),
              video/frame_rate (float)
    lists     image/encoded (one JPEG a frame)

which Scenic and DMVR read. The index, SHARD.index.npz, has where each frame lies in the
shard, how many bytes it has and their CRC-32: only frames that a clip needs are read,
in any order, and damage is noticed. Shards of others have none; it is made when they
are first opened.
"""

import contextlib
import dataclasses
import functools
import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.data.backends import import_tensorflow
from vidjax.data.buckets import as_path, is_remote, replacing
from vidjax.data.timeline import VideoError
from vidjax.data.wire import Span, parse_context, span_frames

INDEX_SUFFIX = ".index.npz"
_HEADER = 12  # Bytes before a record: its length, and the CRC of that.
_FOOTER = 4  # Bytes after it: its CRC.
_RATE = 25.0  # Ours: frames per second of shards that do not say it.


@dataclasses.dataclass(frozen=True)
class Record:
    """One video of a shard.

    Attributes:
        name: File that it comes from.
        label: Class in [0, K).
        label_name: Name of the class, or "" where the shard has none.
        fps: Frames per second.
        frames: Where each JPEG begins in the shard, its bytes and their CRC-32, int64
            [N, 3].
    """

    name: str
    label: int
    label_name: str
    fps: float
    frames: np.ndarray


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """What lies where in a shard.

    Attributes:
        path: The shard.
        size: Its bytes when the index was made.
        names: File of each record, R of them.
        labels: Class of each, int32 [R].
        label_names: Name of the class of each, R of them.
        rates: Frames per second of each, float64 [R].
        starts: Where the frames of each begin in `frames`, int64 [R + 1].
        frames: See `Record`, int64 [F, 3].
    """

    path: str
    size: int
    names: tuple[str, ...]
    labels: np.ndarray
    label_names: tuple[str, ...]
    rates: np.ndarray
    starts: np.ndarray
    frames: np.ndarray

    def __len__(self) -> int:
        """Records R."""
        return len(self.names)

    def record(self, number: int) -> Record:
        """Returns one record.

        Args:
            number: In [0, R).

        Returns:
            The record.
        """
        part = slice(*self.starts[number : number + 2])
        return Record(
            self.names[number],
            int(self.labels[number]),
            self.label_names[number],
            float(self.rates[number]),
            self.frames[part],
        )


def make_record(
    jpegs: Sequence[bytes],
    *,
    name: str,
    label: int,
    label_name: str,
    fps: float,
    start_sec: float = 0.0,
) -> bytes:
    """Returns a video as bytes of a `tf.train.SequenceExample` in DMVR's layout.

    Args:
        jpegs: Its frames.
        name: File that it comes from.
        label: Class in [0, K).
        label_name: Name of the class.
        fps: Frames per second.
        start_sec: Where it begins in the file, in seconds.

    Returns:
        The bytes, the same for the same arguments.

    Raises:
        ImportError: If TensorFlow is missing.
    """
    train = import_tensorflow().train

    def texts(*values: bytes) -> Any:
        return train.Feature(bytes_list=train.BytesList(value=values))

    def numbers(*values: int) -> Any:
        return train.Feature(int64_list=train.Int64List(value=values))

    start = round(start_sec * 1e6)
    context = {
        "clip/label/index": numbers(label),
        "clip/label/text": texts(label_name.encode()),
        "clip/start/timestamp": numbers(start),
        "clip/end/timestamp": numbers(start + round(len(jpegs) / fps * 1e6)),
        "video/filename": texts(name.encode()),
        "video/frame_rate": train.Feature(float_list=train.FloatList(value=[fps])),
    }
    frames = train.FeatureList(feature=[texts(jpeg) for jpeg in jpegs])
    example = train.SequenceExample(
        context=train.Features(feature=context),
        feature_lists=train.FeatureLists(feature_list={"image/encoded": frames}),
    )
    return example.SerializeToString(deterministic=True)


def open_shard(
    path: str | os.PathLike[str],
    *,
    suffix: str = INDEX_SUFFIX,
    make: Callable[[str, Iterator[bytes]], ShardIndex] | None = None,
) -> ShardIndex:
    """Returns the index of a shard; makes and, if it can, keeps one that is missing.

    Args:
        path: A TFRecord file.
        suffix: What the name of the index has behind that of the shard.
        make: Makes the index from the path and the records; None is `index_records`,
            for DMVR's layout.

    Returns:
        The index.

    Raises:
        VideoError: If the shard is missing, or damaged, or is not what its index says.
        ImportError: If it has no index and TensorFlow is missing.
    """
    path = os.fspath(path)
    if not as_path(path).is_file():
        raise VideoError(f"The shard {path} does not exist.")
    size = as_path(path).stat().st_size
    kept = as_path(path + suffix)
    if not kept.exists():
        index = (make or index_records)(path, _read_records(path))
        with contextlib.suppress(OSError):  # Folders that may only be read.
            save_index(index, suffix=suffix)
        return index
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            index = ShardIndex(
                path,
                int(archive["size"]),
                _names(archive["names"], len(archive["labels"])),
                archive["labels"],
                _names(archive["label_names"], len(archive["labels"])),
                archive["rates"],
                archive["starts"],
                archive["frames"],
            )
    except (OSError, ValueError, KeyError) as error:
        raise VideoError(f"The index {kept} is damaged; remove it.") from error
    if index.size != size:
        raise VideoError(
            f"The shard {path} has {size} bytes, and its index says {index.size}."
        )
    return index


def save_index(index: ShardIndex, *, suffix: str = INDEX_SUFFIX) -> None:
    """Writes an index beside its shard, all of it or nothing.

    Args:
        index: The index.
        suffix: What its name has behind that of the shard.

    Raises:
        OSError: If it cannot be written.
    """
    arrays = {
        "size": np.int64(index.size),
        "names": _text(index.names),
        "label_names": _text(index.label_names),
        "labels": index.labels,
        "rates": index.rates,
        "starts": index.starts,
        "frames": index.frames,
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    with replacing(as_path(index.path + suffix)) as temporary:
        temporary.write_bytes(content.getvalue())


Parse = Callable[[bytes], tuple[Mapping[str, list[Any]], list[Span]]]
"""From a record to its context in DMVR's names, and where its frames lie."""


def _parse_sequence(record: bytes) -> tuple[Mapping[str, list[Any]], list[Span]]:
    spans = span_frames(record)
    if not spans:
        raise KeyError("image/encoded")
    return parse_context(record), spans


def index_records(
    path: str, records: Iterator[bytes], *, parse: Parse = _parse_sequence
) -> ShardIndex:
    """Makes the index of a shard from its records, in their order.

    Args:
        path: The shard.
        records: The bytes of its records.
        parse: What reads a record; by default it is in DMVR's layout.

    Returns:
        The index.

    Raises:
        VideoError: If a record is not in DMVR's layout.
    """
    names, labels, label_names, rates = [], [], [], []
    frames: list[np.ndarray] = []
    start = 0
    for number, record in enumerate(records):
        try:
            context, spans = parse(record)
        except KeyError as error:
            raise VideoError(
                f"Record {number} of {path} has no list {error.args[0]}."
            ) from error
        except (ValueError, IndexError) as error:
            raise VideoError(f"Record {number} of {path} is damaged.") from error
        names.append(_first(context, "video/filename", f"{path}#{number}"))
        labels.append(_first(context, "clip/label/index", 0))
        label_names.append(_first(context, "clip/label/text", ""))
        rates.append(_first(context, "video/frame_rate", _RATE))
        rows = [
            (start + _HEADER + low, high - low, zlib.crc32(record[low:high]))
            for low, high in spans
        ]
        frames.append(np.array(rows, np.int64).reshape(-1, 3))
        start += _HEADER + len(record) + _FOOTER
    counts = [0, *(len(rows) for rows in frames)]
    return ShardIndex(
        path,
        start,
        tuple(names),
        np.array(labels, np.int32),
        tuple(label_names),
        np.array(rates, np.float64),
        np.cumsum(counts).astype(np.int64),
        np.concatenate(frames) if frames else np.zeros((0, 3), np.int64),
    )


def read_jpegs(path: str, record: Record, indices: Sequence[int]) -> list[bytes]:
    """Reads some frames of a video, and checks them.

    Args:
        path: The shard.
        record: The video.
        indices: Which frames, each in [0, N).

    Returns:
        The bytes of their JPEGs.

    Raises:
        VideoError: If the shard is missing or shorter than it was, or bytes of a frame
            are not those that were written.
    """
    found = {}
    try:
        with _open_to_read(path) as read:
            for index in sorted(set(indices)):
                start, count, crc = (int(value) for value in record.frames[index])
                found[index] = read(count, start)
                if len(found[index]) != count or zlib.crc32(found[index]) != crc:
                    raise VideoError(
                        f"{record.name} in {path} is damaged: frame {index} is not "
                        "what was written (CRC)."
                    )
    except OSError as error:
        raise VideoError(f"The shard {path} cannot be read ({error}).") from error
    return [found[index] for index in indices]


@contextlib.contextmanager
def _open_to_read(path: str) -> Iterator[Callable[[int, int], bytes]]:
    """Gives a function that reads a number of bytes at a place."""
    if not is_remote(path):
        with open(path, "rb", buffering=0) as file:
            yield functools.partial(os.pread, file.fileno())
        return
    with as_path(path).open("rb") as file:

        def read(count: int, start: int) -> bytes:
            file.seek(start)
            return file.read(count)

        yield read


def _read_records(path: str) -> Iterator[bytes]:
    """Reads a shard of others; TensorFlow checks the CRC-32C of each record."""
    tf = import_tensorflow()
    try:
        yield from tf.data.TFRecordDataset(path).as_numpy_iterator()
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise VideoError(f"The shard {path} is damaged or cut short (CRC).") from error


def _first(context: Mapping[str, list[Any]], name: str, default: Any) -> Any:
    values = context.get(name) or [default]
    value = values[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _names(text: np.ndarray, count: int) -> tuple[str, ...]:
    return tuple(text.tobytes().decode().split("\0")) if count else ()


def _text(names: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\0".join(names).encode(), np.uint8)
