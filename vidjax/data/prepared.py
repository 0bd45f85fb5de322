"""A video to the bytes of a record, and records to a shard."""

import functools
import os
from collections.abc import Iterator

from vidjax.data.backends import import_tensorflow
from vidjax.data.buckets import AnyPath, replacing
from vidjax.data.clips import FileVideo
from vidjax.data.decode import iterate_frames
from vidjax.data.lists import Example
from vidjax.data.records import INDEX_SUFFIX, index_records, make_record, save_index
from vidjax.data.timeline import VideoError
from vidjax.data.transforms import short_side_size


def encode_video(
    example: Example,
    label_name: str,
    *,
    short_side: int | None,
    fps: float | None,
    quality: int,
) -> tuple[Example, bytes | None, str]:
    """Decodes a video, resizes it, and encodes its frames.

    Args:
        example: The video, or the part of one.
        label_name: Name of its class.
        short_side: Pixels of the short side; smaller videos, and None, keep their size.
        fps: Frames per second; None keeps the video's own.
        quality: Of the JPEGs, in [1, 100].

    Returns:
        The example; the bytes of a `tf.train.SequenceExample`, or None if the video
        cannot be read; and why.

    Raises:
        ImportError: If PyAV or TensorFlow is missing.
    """
    try:
        jpegs, rate = encode_frames(
            example, short_side=short_side, fps=fps, quality=quality
        )
    except VideoError as error:
        return example, None, str(error)
    record = make_record(
        jpegs,
        name=os.path.basename(example.path),
        label=example.label,
        label_name=label_name,
        fps=rate,
        start_sec=example.start_sec,
    )
    return example, record, ""


def encode_frames(
    example: Example, *, short_side: int | None, fps: float | None, quality: int
) -> tuple[list[bytes], float]:
    """Decodes a video, resizes it, and encodes its frames.

    Args:
        example: The video, or the part of one.
        short_side: Pixels of the short side; smaller videos, and None, keep their size.
        fps: Frames per second; None keeps the video's own.
        quality: Of the JPEGs, in [1, 100].

    Returns:
        A JPEG a frame, and frames per second.

    Raises:
        VideoError: If the video cannot be read.
        ImportError: If PyAV or TensorFlow is missing.
    """
    encode = import_tensorflow().io.encode_jpeg
    video = FileVideo(example.path, example.start_sec, example.end_sec)
    frames = iterate_frames(
        example.path,
        video.shown(fps),
        start_sec=example.start_sec,
        end_sec=example.end_sec,
        resize=functools.partial(_shrink, short_side=short_side),
    )
    # Chroma as in the video: H.264 has it at half the size.
    jpegs = [encode(frame, quality=quality).numpy() for frame in frames]
    return jpegs, float(fps or video.fps)


def write_shard(path: AnyPath, records: Iterator[bytes]) -> None:
    """Writes records to a shard with its index, which is there when it is whole.

    Args:
        path: The shard.
        records: The bytes of the records.

    Raises:
        OSError: If there is no room, or it cannot be written.
        ImportError: If TensorFlow is missing.
    """
    tf = import_tensorflow()

    def written(temporary: str) -> Iterator[bytes]:
        with tf.io.TFRecordWriter(temporary) as writer:
            for record in records:
                writer.write(record)
                yield record

    with replacing(path) as temporary:
        try:
            index = index_records(str(path), written(str(temporary)))
        except tf.errors.OpError as error:
            raise OSError(f"{path} cannot be written: {error.message}") from error
        if temporary.stat().st_size != index.size:
            raise OSError(f"{path} cannot be written: the disk is full.")
        path.with_name(path.name + INDEX_SUFFIX).unlink(missing_ok=True)
    save_index(index)


def _shrink(height: int, width: int, *, short_side: int | None) -> tuple[int, int]:
    if short_side is None or min(height, width) <= short_side:
        return height, width
    return short_side_size(height, width, short_side)
