"""PyTorch's loaders for `benchmarks/data.py`, in an environment of their own.

    python benchmarks/data_torch.py PyAV|decord2|torchcodec WORKERS CLIPS FOLDER

prints one line of JSON. Each decodes 16 frames, 4 apart, from a random place, with one
thread a worker, and cuts 224 x 224 pixels out of them. Needs no part of vidjax.
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np
import torch

FRAMES, STRIDE, SIZE, BATCH = 16, 4, 224, 8


def read_pyav(path: str, rng: np.random.Generator) -> torch.Tensor:
    """Seeks to the keyframe, and decodes up to the last frame."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = draw(stream.frames, rng)
        tick = int(1 / (stream.average_rate * stream.time_base))
        container.seek(wanted[0] * tick, stream=stream)
        left, images = set(wanted), []
        for frame in container.decode(stream):
            number = frame.pts // tick
            if number in left:
                images.append(frame.to_ndarray(format="rgb24"))
            if number >= wanted[-1]:
                break
    return torch.from_numpy(np.stack(images))


def read_decord2(path: str, rng: np.random.Generator) -> torch.Tensor:
    """Its reader, which counts frames when it opens a file."""
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    return torch.from_numpy(reader.get_batch(draw(len(reader), rng)).asnumpy())


def read_torchcodec(path: str, rng: np.random.Generator) -> torch.Tensor:
    """Its decoder, which trusts the header."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(
        path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate"
    )
    return decoder.get_frames_at(draw(len(decoder), rng)).data


def draw(count: int, rng: np.random.Generator) -> list[int]:
    """Frames of a clip."""
    start = int(rng.integers(count - (FRAMES - 1) * STRIDE))
    return [start + STRIDE * i for i in range(FRAMES)]


class Clips(torch.utils.data.Dataset):
    """A random clip of a video for every index."""

    def __init__(self, paths: list[str], count: int, kind: str) -> None:
        self.paths, self.count, self.kind = paths, count, kind

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng(index)
        read = {"PyAV": read_pyav, "decord2": read_decord2}
        path = self.paths[index * 7919 % len(self.paths)]
        clip = read.get(self.kind, read_torchcodec)(path, rng)
        top, left = (int(rng.integers(n - SIZE + 1)) for n in clip.shape[1:3])
        return clip[:, top : top + SIZE, left : left + SIZE].contiguous()


def main() -> None:
    """Times one loader."""
    kind, workers, clips, folder = sys.argv[1:]
    paths = sorted(map(str, pathlib.Path(folder).rglob("*.mp4")))
    torch.set_num_threads(1)
    batches = iter(
        torch.utils.data.DataLoader(
            Clips(paths, int(clips) + BATCH, kind),
            batch_size=BATCH,
            num_workers=int(workers),
        )
    )
    next(batches)
    start = time.perf_counter()
    for _ in range(int(clips) // BATCH):
        next(batches)
    seconds, done = time.perf_counter() - start, int(clips) // BATCH * BATCH
    del batches  # Its processes end, and are counted.
    own, others = map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(use.ru_utime + use.ru_stime for use in (own, others))
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) + int(workers) * others.ru_maxrss
    peak /= 1024
    cpu = 1000 * (cpu - STARTED) / (done + BATCH)  # With the first batch, and imports.
    print(json.dumps({"rate": done / seconds, "peak": peak, "cpu": cpu}))


_own = resource.getrusage(resource.RUSAGE_SELF)
STARTED = _own.ru_utime + _own.ru_stime

if __name__ == "__main__":
    main()
