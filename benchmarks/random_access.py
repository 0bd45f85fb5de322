"""Random access to the frames of clips: shards with an index against ArrayRecord.

    python benchmarks/data.py                 # makes shards
    python benchmarks/random_access.py FOLDER  # a folder of shards, written by prepare

reads the bytes of 16 frames, 4 apart, from random places of random videos, three ways:
our TFRecord shards by their index; ArrayRecord with a video a record, as TFDS writes
it, of which a reader gets all frames; and ArrayRecord with a frame a record. Files are
in the memory of the operating system, so that formats are compared and not disks.
"""

import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from vidjax.data.records import read_jpegs
from vidjax.data.shards import ShardSet, open_shards
from vidjax.data.wire import span_frames

FRAMES, STRIDE, CLIPS = 16, 4, 200
OPTIONS = "group_size:1"  # Every record can be read by itself.


def main() -> None:
    """Prints a line for each way."""
    shards = open_shards(sys.argv[1], split="train")
    with tempfile.TemporaryDirectory() as folder:
        videos, frames = convert(shards, pathlib.Path(folder))
        whole, single = (
            ArrayRecordReader(str(path), "readahead_buffer_size:0")
            for path in (videos, frames)
        )
        first = np.cumsum(
            [0, *(len(shards.video(i).record.frames) for i in size(shards))]
        )

        def by_index(video: int, wanted: list[int]) -> list[bytes]:
            chosen = shards.video(video)
            return read_jpegs(chosen.path, chosen.record, wanted)

        def by_video(video: int, wanted: list[int]) -> list[bytes]:
            record = whole.read([video])[0]
            spans = span_frames(record)
            return [record[slice(*spans[i])] for i in wanted]

        def by_frame(video: int, wanted: list[int]) -> list[bytes]:
            return single.read([int(first[video]) + i for i in wanted])

        print("TFRecord and index      ", measure(by_index, shards))
        print(
            "ArrayRecord, whole video", measure(by_video, shards), room(videos, shards)
        )
        print(
            "ArrayRecord, frames     ", measure(by_frame, shards), room(frames, shards)
        )
        assert by_index(3, [5, 9]) == by_video(3, [5, 9]) == by_frame(3, [5, 9])


def size(shards: ShardSet) -> range:
    """Numbers of the videos."""
    return range(len(shards.labels))


def convert(
    shards: ShardSet, folder: pathlib.Path
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes the same videos as ArrayRecord, a video and a frame a record."""
    import tensorflow as tf

    videos, frames = folder / "videos", folder / "frames"
    whole, single = (ArrayRecordWriter(str(path), OPTIONS) for path in (videos, frames))
    for shard in shards.shards:
        for record in tf.data.TFRecordDataset(shard.path).as_numpy_iterator():
            whole.write(record)
            for span in span_frames(record):
                single.write(record[slice(*span)])
    whole.close()
    single.close()
    return videos, frames


def measure(read: Callable[[int, list[int]], list[bytes]], shards: ShardSet) -> str:
    """Times one way."""
    rng = np.random.default_rng(0)
    start, spent = time.perf_counter(), time.process_time()
    for _ in range(CLIPS):
        video = int(rng.integers(len(shards.labels)))
        room = len(shards.video(video).record.frames) - (FRAMES - 1) * STRIDE
        begin = int(rng.integers(room))
        read(video, [begin + STRIDE * i for i in range(FRAMES)])
    wall = 1000 * (time.perf_counter() - start) / CLIPS
    return f"{1000 * (time.process_time() - spent) / CLIPS:6.2f} CPU ms, {wall:6.2f} ms"


def room(path: pathlib.Path, shards: ShardSet) -> str:
    """The size of a file as a share of that of the shards."""
    ours = sum(shard.size for shard in shards.shards)
    return f"{path.stat().st_size / ours:.3f} of the shards' bytes"


if __name__ == "__main__":
    main()
