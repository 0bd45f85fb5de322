"""Joins labelled and unlabelled clips to long videos, and says what is found in them.

    python benchmarks/localize_joined.py CLIPS clips.csv --out joined --orders 3

clips.csv has the columns "file", below the folder CLIPS, and "label", as the model
names it, empty for a clip that shows none of its classes. Each order is another
permutation, with other lengths of the clips, drawn from its number. Prints a line for
each labelled clip: what is found there first, its score and its overlap (tIoU); then
the segments that lie on no labelled clip of their class. Videos, timelines and
pages are left in the folder.
"""

import csv
import dataclasses
import itertools
import pathlib
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Any

import av
import numpy as np
import tyro

from vidjax.data.decode import iterate_frames
from vidjax.data.timeline import frame_positions, read_timeline
from vidjax.localization import Segment
from vidjax.tasks.localize_outputs import plot_segments, write_page
from vidjax.tasks.localize_scan import localize_by
from vidjax.tasks.predict import load_recognizer

FPS, WIDTH, HEIGHT = 25, 340, 256  # As Kinetics-400 is usually stored.


@dataclasses.dataclass(frozen=True)
class Part:
    """A clip in a joined video.

    Attributes:
        file: The clip.
        label: What it shows, or "".
        start_sec: Where it starts in the joined video.
        end_sec: Where it ends.
    """

    file: str
    label: str
    start_sec: float
    end_sec: float


def main(
    clips: Annotated[tyro.conf.Positional[pathlib.Path], tyro.MISSING],
    table: Annotated[tyro.conf.Positional[pathlib.Path], tyro.MISSING],
    *,
    out: pathlib.Path,
    orders: int = 3,
    first: int = 0,
    seconds: tuple[float, float] = (3.0, 10.0),
    model: str = "i3d_rgb",
    weights: str = "kinetics400",
) -> None:
    """Joins, localizes and prints.

    Args:
        clips: Folder of the clips.
        table: CSV with "file" and "label".
        out: Folder for the videos, their timelines and pages.
        orders: Joined videos.
        first: Number of the first order.
        seconds: Shortest and longest part of a clip; shorter clips are taken whole.
        model: Name of a recognition model.
        weights: A tag of its card, or a file.
    """
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    out.mkdir(parents=True, exist_ok=True)
    recognizer = load_recognizer(model, weights)
    for number in range(first, first + orders):
        video = out / f"order_{number}.mp4"
        parts = join(video, _drawn(clips, rows, seconds, number))
        began = time.perf_counter()
        found = localize_by(recognizer, video)
        took = time.perf_counter() - began
        print(f"{video.name}: {parts[-1].end_sec:.1f} s of video in {took:.1f} s")
        report(parts, found)
        plot_segments(video, found, video.with_suffix(".png"))
        write_page(video, found, video.with_suffix(".html"), by=f"{model}, {weights}")


def join(
    path: pathlib.Path, drawn: Sequence[tuple[pathlib.Path, str, float]]
) -> list[Part]:
    """Writes parts of clips one after the other.

    Args:
        path: The video to write.
        drawn: File, label and length in seconds of each.

    Returns:
        Where they are.
    """
    parts, frames = [], 0
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=FPS, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for clip, label, length in drawn:
            begin = frames
            for image in itertools.islice(_frames(clip), round(length * FPS)):
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = frames, Fraction(1, FPS)
                file.mux(stream.encode(frame))
                frames += 1
            parts.append(Part(clip.name, label, begin / FPS, frames / FPS))
        file.mux(stream.encode(None))
    return parts


def report(parts: Sequence[Part], found: Sequence[Segment]) -> None:
    """Prints what is found in each labelled part, and what else is found.

    Args:
        parts: Of the joined video.
        found: Segments, the best first.
    """
    used = set()
    for part in parts:
        row = f"  {part.start_sec:6.2f} {part.end_sec:6.2f}  {part.label or '-':24}"
        over = [(tiou(part, s), s) for s in found]
        inside = [(t, s) for t, s in over if t >= 0.1]
        if part.label and inside:
            overlap, first = inside[0]
            used.add(first)
            good = first.label == part.label and overlap >= 0.5
            told = f"{first.start_sec:.2f} {first.end_sec:.2f} {first.label}"
            row += f"{told}, {first.score:.3f}, tIoU {overlap:.2f} "
            row += "" if good else "WRONG"
        elif part.label:
            row += "MISSED"
        print(row)
    for s in found:
        if s not in used:
            print(f"  also: {s.start_sec:.2f} {s.end_sec:.2f} {s.label}, {s.score:.3f}")


def tiou(part: Part, segment: Segment) -> float:
    """Returns the overlap in time over what both cover."""
    start = max(part.start_sec, segment.start_sec)
    end = min(part.end_sec, segment.end_sec)
    lengths = part.end_sec - part.start_sec + segment.end_sec - segment.start_sec
    inside = max(0.0, end - start)
    return inside / (lengths - inside)


def _drawn(
    folder: pathlib.Path,
    rows: Sequence[dict[str, Any]],
    seconds: tuple[float, float],
    number: int,
) -> list[tuple[pathlib.Path, str, float]]:
    rng = np.random.default_rng(number)
    lengths = rng.uniform(*seconds, len(rows))
    order = rng.permutation(len(rows))
    chosen = [(folder / rows[i]["file"], rows[i]["label"], lengths[i]) for i in order]
    return [(path, label or "", float(length)) for path, label, length in chosen]


def _frames(path: pathlib.Path) -> Iterator[np.ndarray]:
    """The frames of a clip at the rate and the size of the joined video."""
    line = read_timeline(path)
    shown = frame_positions(path, line, fps=FPS, start_sec=0.0, end_sec=None)
    return iterate_frames(path, shown, resize=lambda height, width: (HEIGHT, WIDTH))


if __name__ == "__main__":
    tyro.cli(main)
