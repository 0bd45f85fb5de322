"""Measures the memory that localization takes for videos of different lengths.

    python benchmarks/localize_long.py --minutes 5 60

Videos are drawn: grey fields of 64 x 48 pixels whose brightness changes every few
seconds. Networks are tiny and have random weights: what matters is what grows with the
video. Each measurement is a process of its own. Prints one line of JSON for each: what
was run, seconds of the whole process, and the peak of resident memory in MiB.
"""

import dataclasses
import json
import multiprocessing
import pathlib
import resource
import tempfile
import time
from typing import Any

import av
import jax
import numpy as np
import tyro

from vidjax.convert import save_variables
from vidjax.localization.presets import preset
from vidjax.models.registry import clip_spec, create_model
from vidjax.tasks.feature_options import FeatureOptions, Stream
from vidjax.tasks.localize_detector import VideoDetector, detect_in_video
from vidjax.tasks.localize_scan import Scan, localize_by
from vidjax.tasks.predict import make_recognizer
from vidjax.typing import FeatureGrid, FeatureSpec

MODEL, DETECTOR = "i3d_tiny", "actionformer_tiny"
_SHOT_SEC = 7  # Seconds of one brightness.


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is measured.

    Attributes:
        minutes: Lengths of the videos.
        fps: Their rate.
        batch: Windows that are computed at once.
    """

    minutes: tuple[float, ...] = (5.0, 60.0)
    fps: int = 10
    batch: int = 32


def main(benchmark: Benchmark) -> None:
    """Measures each way to localize on a video of each length."""
    context = multiprocessing.get_context("spawn")
    for minutes in benchmark.minutes:
        with tempfile.TemporaryDirectory() as folder:
            video = pathlib.Path(folder) / "long.mp4"
            draw(video, seconds=60 * minutes, fps=benchmark.fps)
            for way in (by_model, by_detector):
                args = (way, video, benchmark.batch, minutes)
                process = context.Process(target=measure, args=args)
                process.start()
                process.join()


def draw(path: pathlib.Path, *, seconds: float, fps: int) -> None:
    """Writes a video.

    Args:
        path: File to write.
        seconds: Its length.
        fps: Its rate.
    """
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", fps, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for t in range(round(seconds * fps)):
            level = 60 + 80 * (t // (_SHOT_SEC * fps) % 3)
            image = np.full((48, 64, 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def measure(way: Any, video: pathlib.Path, batch: int, minutes: float) -> None:
    """Localizes in a video and prints what that took.

    Args:
        way: A function of the video and the batch, which returns segments.
        video: The video.
        batch: Windows that are computed at once.
        minutes: Its length, for the line.
    """
    began = time.perf_counter()
    found = way(video, batch)
    # Linux counts in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {
        "what": way.__name__,
        "minutes": minutes,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mib": round(peak),
        "segments": len(found),
    }
    print(json.dumps(line), flush=True)


def by_model(video: pathlib.Path, batch: int) -> list[Any]:
    """Localizes by a recognition model alone."""
    recognizer = make_recognizer(MODEL, _variables())
    return localize_by(recognizer, video, scan=Scan(batch=batch))


def by_detector(video: pathlib.Path, batch: int) -> list[Any]:
    """Localizes by a detector."""
    model, variables = create_model(DETECTOR), _variables()
    channels = variables["params"]["logits"]["kernel"].shape[0]
    spec = FeatureSpec(32, channels, multiple=4)
    shape = (1, *spec.shape)
    init = jax.jit(model.init)
    learned = init(jax.random.key(0), np.zeros(shape), np.ones(shape[:2], bool))
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder) / "weights.safetensors"
        save_variables(weights, variables)
        detector = VideoDetector(
            name=DETECTOR,
            model=model,
            variables=learned,
            spec=spec,
            settings=preset(DETECTOR),
            label_names=("a", "b", "c"),
            features=FeatureOptions((Stream(MODEL, str(weights)),), 8, 4),
            grid=FeatureGrid(4.0, 8.0, 10.0),
        )
        return detect_in_video(detector, video, batch=batch)


def _variables() -> Any:
    """Random weights, with scores large enough to be sure of something."""
    clip = np.zeros((1, *clip_spec(MODEL).shape), np.float32)
    variables = jax.jit(create_model(MODEL).init)(jax.random.key(0), clip)
    kernel = variables["params"]["logits"]["kernel"]
    variables["params"]["logits"]["kernel"] = 1000 * kernel
    return variables


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
