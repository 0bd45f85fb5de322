"""`synthetic_untrimmed` as files: videos, and annotations in ActivityNet's JSON."""

import fractions
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vidjax.data.lists import Split
from vidjax.data.timeline import import_av
from vidjax.data.untrimmed import Action, check_untrimmed, draw_untrimmed
from vidjax.data.untrimmed import UntrimmedSettings as UntrimmedSettings
from vidjax.train.log import write_json

NAME = "synthetic_untrimmed"
ANNOTATIONS = "annotations.json"
VIDEOS = "videos"

_SUBSETS: dict[Split, str] = {"train": "training", "eval": "validation"}
_CRF = "12"  # Constant quality of H.264: 0 loses nothing, 51 is the worst. Ours.


def write_untrimmed(
    out: str | pathlib.Path,
    settings: UntrimmedSettings | None = None,
    *,
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> pathlib.Path:
    """Draws the videos of `synthetic_untrimmed` and writes them, as H.264 in MP4.

    Called again, it goes on where it stopped.

    Args:
        out: Folder; made if it is not there.
        settings: Which videos; None takes the defaults.
        on_video: Called with the number of videos done and the number of all.

    Returns:
        The annotations, annotations.json: subsets "training" and "validation". The
        videos are beside them, videos/training_0000.mp4 and so on.

    Raises:
        ValueError: If a setting is out of range, or the folder holds something else or
            videos that were drawn otherwise.
        ImportError: If PyAV is missing.
    """
    settings = settings or UntrimmedSettings()
    check_untrimmed(settings)
    folder = pathlib.Path(out)
    counts: dict[Split, int] = {"train": settings.num_train, "eval": settings.num_eval}
    plan: list[tuple[Split, int]] = [
        (split, index) for split, count in counts.items() for index in range(count)
    ]
    drawn = {
        _name(*v): draw_untrimmed(v[1], split=v[0], settings=settings) for v in plan
    }
    entries = {
        name: _entry(_SUBSETS[split], actions, settings)
        for (split, _), (name, (actions, _)) in zip(plan, drawn.items(), strict=True)
    }
    path = folder / ANNOTATIONS
    _claim(path, {"version": NAME, "database": entries, "taxonomy": []})
    (folder / VIDEOS).mkdir(exist_ok=True)
    for done, (name, (_, frames)) in enumerate(drawn.items(), start=1):
        video = folder / VIDEOS / f"{name}.mp4"
        if not video.exists():
            _write_video(video, frames, settings)
        on_video(done, len(drawn))
    return path


def _name(split: Split, index: int) -> str:
    return f"{_SUBSETS[split]}_{index:04d}"


def _entry(
    subset: str, actions: list[Action], settings: UntrimmedSettings
) -> dict[str, Any]:
    """What ActivityNet's JSON says of a video."""
    fps = settings.fps
    rows = [
        {
            "label": action.label,
            "label_id": settings.classes.index(action.label),
            "segment": [action.first / fps, action.end / fps],
        }
        for action in actions
    ]
    return {
        "subset": subset,
        "duration": settings.num_frames / fps,
        "fps": fps,
        "annotations": rows,
    }


def _claim(path: pathlib.Path, annotations: dict[str, Any]) -> None:
    """Writes the annotations, unless the folder is for something else."""
    folder = path.parent
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != annotations:
            raise ValueError(
                f"{folder} holds other annotations. Give another folder, or remove it."
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something else. Give another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, annotations)


def _write_video(
    path: pathlib.Path, frames: Iterator[np.ndarray], settings: UntrimmedSettings
) -> None:
    """Writes a video that is whole or not there."""
    av = import_av()
    partial = path.with_name(f".{path.name}")
    rate = fractions.Fraction(settings.fps).limit_denominator(1001)
    with av.open(str(partial), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate, {"crf": _CRF})
        stream.height = stream.width = settings.size
        stream.pix_fmt = "yuv420p"
        for part in frames:
            for pixels in part:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    partial.replace(path)
