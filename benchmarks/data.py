"""How fast clips come: vidjax and PyTorch's loaders against the bare decoders.

    python benchmarks/data.py --media FOLDER --torch-python /torch/bin/python

makes H.264 files of 340 x 256 pixels and 10 s in a folder, prepares shards of them, and
times 16 frames, 4 apart, cropped to 224 of a short side of 256, with one and with two
workers. The pictures are those of the videos in `--media`, cut, mirrored and coded anew
as x264 does by default; without it they are drawn. Every row runs in a process of its
own, so that peak memory is its own. `share` is of the bare decoder with as many
threads, which decodes every frame from the keyframe on and does nothing else.

`--torch-python` is a command that starts a Python with PyTorch, PyAV, decord2 and
torchcodec; the last needs FFmpeg's shared libraries, which may be those of PyAV:
"env LD_LIBRARY_PATH=LIBRARIES /torch/bin/python".
"""

import argparse
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

FRAMES, STRIDE, SIZE, SHORT_SIDE = 16, 4, 224, 256
HEIGHT, WIDTH, LENGTH = 256, 340, 300
BATCH = 8
TFDS = "tfds/vidjax_folder/frames/1.0.0"
LIMITS = {
    "bare PyAV": "decoding of H.264 from the keyframe to the last frame",
    "files": "the same, without frames that no other needs",
    "torch PyAV": "as the bare loop, and copies between processes",
    "torch decord2": "decoding, and opening of files",
    "torch torchcodec": "decoding, and copies between processes",
    "bare decode_jpeg": "libjpeg-turbo, whole frames",
    "records": "the same, and copies into the clip and the batch",
    "tfds": "the same",
}
ON_JPEGS = ("bare decode_jpeg", "records", "tfds")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=96)
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--media", type=pathlib.Path)
    parser.add_argument("--torch-python")
    parser.add_argument("--rows", nargs="+", default=list(LIMITS))
    parser.add_argument("--row", nargs=2)
    arguments = parser.parse_args()
    folder = arguments.folder or pathlib.Path(tempfile.gettempdir()) / "vidjax-data"
    folder = folder / str(arguments.videos)
    if arguments.row:
        name, workers = arguments.row
        print(json.dumps(run(name, int(workers), arguments.clips, folder)))
        return
    make(folder, arguments.videos, arguments.media)
    print(f"{'':18} workers  clips/s  share  CPU ms/clip  peak MiB  limited by")
    for workers in arguments.workers:
        rates: dict[str, float] = {}
        for name in arguments.rows:
            if not name.startswith("torch"):
                flags = ["--row", name, workers, "--videos", arguments.videos]
                flags += ["--clips", arguments.clips, "--folder", folder.parent]
                found = measure([sys.executable, __file__, *flags])
            elif arguments.torch_python:
                script = pathlib.Path(__file__).with_name("data_torch.py")
                flags = [script, name.split()[1], workers, arguments.clips]
                command = shlex.split(arguments.torch_python)
                found = measure([*command, *flags, folder / "files"])
            else:
                continue
            rates[name] = found["rate"]
            bare = "bare decode_jpeg" if name in ON_JPEGS else "bare PyAV"
            share = found["rate"] / rates.get(bare, np.nan)
            print(
                f"{name:18} {workers:7} {found['rate']:8.1f} {share:6.0%} "
                f"{found['cpu']:12.1f} {found['peak']:9.0f}  {LIMITS[name]}",
                flush=True,
            )


def measure(command: list) -> dict:
    """Runs one row in a process of its own."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


def make(folder: pathlib.Path, videos: int, media: pathlib.Path | None) -> None:
    """Makes the files and the shards, where they are not there yet."""
    import tensorflow_datasets as tfds

    import vidjax.data.tfds_builders  # noqa: F401, brings vidjax_folder.
    from vidjax.tasks.prepare import PrepareSettings, prepare

    for number in range(videos):
        path = folder / "files" / f"class {number % 2}" / f"{number:04d}.mp4"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(".part.mp4")
            write(part, footage(media, number) if media else drawing(number))
            part.rename(path)
    prepare(
        "folder",
        videos=str(folder / "files"),
        out=folder / "records",
        settings=PrepareSettings(short_side=SHORT_SIDE),
    )
    if not (folder / TFDS).exists():
        how = tfds.download.DownloadConfig(manual_dir=str(folder / "files"))
        builder = tfds.builder("vidjax_folder", data_dir=str(folder / "tfds"))
        builder.download_and_prepare(download_config=how)


def write(path: pathlib.Path, frames: Iterator[np.ndarray]) -> None:
    """Codes frames as x264 does by default: three B-frames, 250 between keyframes."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "23"})
        stream.width, stream.height, stream.gop_size = WIDTH, HEIGHT, 250
        stream.pix_fmt = "yuv420p"
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def drawing(number: int) -> Iterator[np.ndarray]:
    """Textured shapes that move, with grain as a camera has it."""
    from vidjax.data.synthetic import CLASSES, draw_clip

    clip = draw_clip(number % len(CLASSES), num_frames=50, size=WIDTH, seed=number)
    rng = np.random.default_rng(number)
    for i in range(LENGTH):
        grain = rng.integers(-6, 7, size=(HEIGHT, WIDTH, 1))
        yield np.clip(clip[i % 50, :HEIGHT] + grain, 0, 255).astype(np.uint8)


def footage(media: pathlib.Path, number: int) -> Iterator[np.ndarray]:
    """A part of the picture of a real video, to and fro from somewhere in it."""
    from vidjax.data.decode import probe, read_frames
    from vidjax.data.transforms import Box

    sources = []
    for path in sorted(media.iterdir()):
        if path.suffix in (".mp4", ".avi") and path.is_file():
            info = probe(path)
            if info.num_frames >= 60 and min(info.height, info.width) >= 240:
                sources.append((path, info.num_frames))
    path, count = sources[number % len(sources)]
    rng = np.random.default_rng(number)
    zoom, down, right = 1 + 0.3 * rng.random(), *rng.random(2)

    def cover(height: int, width: int) -> tuple[tuple[int, int], Box]:
        scale = zoom * max(HEIGHT / height, WIDTH / width)
        high, wide = round(height * scale + 0.5), round(width * scale + 0.5)
        top, left = int(down * (high - HEIGHT)), int(right * (wide - WIDTH))
        return (high, wide), Box(top, left, HEIGHT, WIDTH)

    frames = read_frames(path, range(count), geometry=cover)
    if rng.random() < 0.5:
        frames = frames[:, :, ::-1]
    turns = (int(rng.integers(count)) + np.arange(LENGTH)) % (2 * count - 2)
    for i in np.minimum(turns, 2 * count - 2 - turns):
        yield np.ascontiguousarray(frames[i])


def run(name: str, workers: int, clips: int, folder: pathlib.Path) -> dict:
    """Times one row."""
    from vidjax.config import DataConfig
    from vidjax.data.pipeline import train_batches
    from vidjax.data.sources import make_source
    from vidjax.typing import ClipSpec

    on_files = name not in ON_JPEGS
    where = f"folder:{folder}/files" if on_files else f"records:{folder}/records"
    where = f"tfds:{folder / TFDS}" if name == "tfds" else where
    source = make_source(DataConfig(source=where), ClipSpec(FRAMES, STRIDE, size=SIZE))
    if not name.startswith("bare"):
        batches = train_batches(source, batch_size=BATCH, seed=0, workers=workers)
        next(batches)
        start, spent = time.perf_counter(), time.process_time()
        for _ in range(clips // BATCH):
            next(batches)
        seconds, done = time.perf_counter() - start, clips // BATCH * BATCH
    else:
        decode = bare_files if on_files else bare_jpegs
        jobs = [(source, i % source.num_examples, i) for i in range(clips)]
        decode(jobs[0])
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            start, spent = time.perf_counter(), time.process_time()
            done = len(list(pool.map(decode, jobs)))
            seconds = time.perf_counter() - start
    # Not `ru_maxrss`, which begins with that of the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    cpu = 1000 * (time.process_time() - spent) / done
    return {"rate": done / seconds, "peak": peak, "cpu": cpu}


def _wanted(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    start = int(rng.integers(count - (FRAMES - 1) * STRIDE))
    return start + STRIDE * np.arange(FRAMES)


def bare_files(job: tuple) -> None:
    """PyAV: seek to the keyframe, decode up to the last frame, convert 16 of them."""
    import av

    source, index, seed = job
    with av.open(source.paths[index]) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        wanted = _wanted(stream.frames, seed)
        tick = int(1 / (30 * stream.time_base))
        container.seek(int(wanted[0]) * tick, stream=stream)
        left = set(wanted.tolist())
        for frame in container.decode(stream):
            number = frame.pts // tick
            if number in left:
                left.remove(number)
                frame.to_ndarray(format="rgb24")
            if number >= wanted[-1]:
                break


def bare_jpegs(job: tuple) -> None:
    """decode_jpeg of 16 frames; their bytes are read as well."""
    import tensorflow as tf

    from vidjax.data.records import read_jpegs

    source, index, seed = job
    video = source.videos.video(index)
    frames = _wanted(video.num_frames, seed).tolist()
    for jpeg in read_jpegs(video.path, video.record, frames):
        tf.io.decode_jpeg(jpeg, channels=3).numpy()


if __name__ == "__main__":
    main()
