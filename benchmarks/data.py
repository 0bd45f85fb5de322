"""How fast clips come: files and shards against the bare decoders, in one table.

    python benchmarks/data.py --videos 64 --clips 128 --workers 1 2

makes H.264 files of 340 x 256 pixels and 10 s in a folder, prepares shards of them, and
times 16 frames, 4 apart, cropped to 224 of a short side of 256. Every row runs in a
process of its own, so that peak memory is its own. `share` is of the bare decoder with
as many threads, which is the limit: it decodes the same frames and does nothing else.
CPU ms/clip is what counts where other programs run on the machine.
"""

import argparse
import concurrent.futures
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

FRAMES, STRIDE, SIZE, SHORT_SIDE = 16, 4, 224, 256
ROWS = ("bare PyAV", "files", "bare decode_jpeg", "records")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--row", nargs=2)
    arguments = parser.parse_args()
    folder = arguments.folder or pathlib.Path(tempfile.gettempdir()) / "vidjax-data"
    if arguments.row:
        name, workers = arguments.row
        print(json.dumps(run(name, int(workers), arguments.clips, folder)))
        return
    make(folder, arguments.videos)
    print(f"{'':18} workers  clips/s  share  CPU ms/clip  peak MiB  limited by")
    for workers in arguments.workers:
        limits: dict[str, float] = {}
        for name in ROWS:
            found = measure(name, workers, arguments.clips, folder)
            limits[name] = found["rate"]
            bare = {"files": "bare PyAV", "records": "bare decode_jpeg"}.get(name, name)
            print(
                f"{name:18} {workers:7} {found['rate']:8.1f} "
                f"{found['rate'] / limits[bare]:6.0%} {found['cpu']:12.1f} "
                f"{found['peak']:9.0f}  "
                f"{LIMITS[name]}",
                flush=True,
            )


LIMITS = {
    "bare PyAV": "H.264 from the keyframe to the last frame of a clip",
    "files": "the same, and resizing of 16 frames",
    "bare decode_jpeg": "libjpeg-turbo",
    "records": "the same, and reading, CRC-32 and calls of TensorFlow",
}


def make(folder: pathlib.Path, videos: int) -> None:
    """Makes the files and the shards, where they are not there yet."""
    import av

    from vidjax.data.synthetic import CLASSES, draw_clip
    from vidjax.tasks.prepare import PrepareSettings, prepare

    root = folder / f"files-{videos}"
    for number in range(videos):
        path = root / f"class {number % 2}" / f"{number:04d}.mp4"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        clip = draw_clip(number % len(CLASSES), num_frames=50, size=340, seed=number)
        # Grain as a camera has it: H.264 of drawings alone decodes too fast.
        rng = np.random.default_rng(number)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast"})
            stream.width, stream.height, stream.gop_size = 340, 256, 48
            stream.pix_fmt = "yuv420p"
            for i in range(300):
                grain = rng.integers(-6, 7, size=(256, 340, 1))
                image = np.clip(clip[i % 50, :256] + grain, 0, 255).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    prepare(
        "folder",
        videos=str(root),
        out=folder / f"records-{videos}",
        settings=PrepareSettings(short_side=SHORT_SIDE),
    )
    (folder / "current.json").write_text(json.dumps(videos))


def measure(name: str, workers: int, clips: int, folder: pathlib.Path) -> dict:
    """Runs one row in a process of its own."""
    flags = ["--row", name, str(workers), "--clips", str(clips), "--folder", folder]
    command = [sys.executable, __file__, *map(str, flags)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(name: str, workers: int, clips: int, folder: pathlib.Path) -> dict:
    """Times one row."""
    from vidjax.config import DataConfig
    from vidjax.data.pipeline import train_batches
    from vidjax.data.sources import make_source
    from vidjax.typing import ClipSpec

    videos = json.loads((folder / "current.json").read_text())
    kind = "folder" if "PyAV" in name or name == "files" else "records"
    where = folder / f"{'files' if kind == 'folder' else kind}-{videos}"
    spec = ClipSpec(FRAMES, STRIDE, size=SIZE)
    source = make_source(DataConfig(source=f"{kind}:{where}"), spec)
    if name in ("files", "records"):
        batches = train_batches(source, batch_size=8, seed=0, workers=workers)
        next(batches)
        start, spent = time.perf_counter(), time.process_time()
        for _ in range(clips // 8):
            next(batches)
        seconds, done = time.perf_counter() - start, clips // 8 * 8
    else:
        decode = bare_files if kind == "folder" else bare_jpegs
        jobs = [(source, i % source.num_examples, i) for i in range(clips)]
        decode(jobs[0])
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            start, spent = time.perf_counter(), time.process_time()
            done = len(list(pool.map(decode, jobs)))
            seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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
