"""Writes drawn clips as video files, for what starts from a folder of videos.

    python benchmarks/synthetic_videos.py --out runs/videos

OUT/SET/train/CLASS/000000.mkv and OUT/SET/val/..., the first frames of the clips that
`data.source` SET draws, without loss (FFV1).
"""

import dataclasses
import pathlib
from typing import Any

import av
import numpy as np
import tyro

from vidjax.config import SyntheticConfig
from vidjax.data.lists import Split
from vidjax.data.sources import SyntheticSource
from vidjax.data.synthetic import CLASSES, TWO_STREAM_CLASSES
from vidjax.typing import ClipSpec

SETS = {"synthetic_motion": CLASSES, "synthetic_two_stream": TWO_STREAM_CLASSES}
FOLDERS: dict[Split, str] = {"train": "train", "eval": "val"}


@dataclasses.dataclass(frozen=True)
class Videos:
    """What is written.

    Attributes:
        out: Folder of the sets.
        num_train: Training videos of a set.
        num_eval: Held-out videos of a set.
        num_frames: Frames of a video.
        size: Height and width in pixels.
    """

    out: pathlib.Path
    num_train: int = 6144
    num_eval: int = 512
    num_frames: int = 7
    size: int = 48


def main(videos: Videos) -> None:
    """Writes all videos of both sets."""
    spec = ClipSpec(num_frames=videos.num_frames, size=videos.size)
    config = SyntheticConfig(num_train=videos.num_train, num_eval=videos.num_eval)
    for name, classes in SETS.items():
        for split, folder in FOLDERS.items():
            source = SyntheticSource(spec, config, split, classes, name)
            for index, label in enumerate(source.labels):
                place = videos.out / name / folder / classes[label]
                place.mkdir(parents=True, exist_ok=True)
                _write(place / f"{index:06d}.mkv", source.clip(index))
        print(f"{videos.out / name}: {config.num_train + config.num_eval} videos")


def _write(path: pathlib.Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    main(tyro.cli(Videos, description=__doc__))
