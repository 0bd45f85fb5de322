"""What is made of found actions: a picture, a page, and a file for each of them."""

import base64
import os
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from vidjax import data
from vidjax.data.cut import browsers_play, jpeg_bytes, write_clip
from vidjax.localization.detect import Segment

StrPath = str | os.PathLike[str]

_SHOWN = 12  # Frames of a picture and of a page. Ours.
_NAME = 60  # Letters of a label in the name of a file, at most. Ours.


def check_outputs(
    *,
    plot: pathlib.Path | None = None,
    page: pathlib.Path | None = None,
    clips: pathlib.Path | None = None,
) -> None:
    """Checks what can be said of outputs before anything is computed.

    Args:
        plot: Picture to write.
        page: Page to write.
        clips: Folder for clips.

    Raises:
        ValueError: If the page is no .html, the kind of picture is unknown, or the
            folder is a file or not empty; all of it in one message.
        ImportError: If a picture is wanted and matplotlib is missing.
    """
    problems = []
    if plot is not None:
        from vidjax.analysis.timeline import picture_kinds

        if plot.suffix.lower().lstrip(".") not in picture_kinds():
            problems.append(f"{plot} is no picture: known are {picture_kinds()}")
    if page is not None and page.suffix.lower() not in (".html", ".htm"):
        problems.append(f"the page {page} must end in .html")
    if clips is not None and clips.exists():
        if not clips.is_dir():
            problems.append(f"{clips} is a file, and no folder for clips")
        elif any(clips.iterdir()):
            problems.append(f"{clips} is not empty; give another folder for clips")
    if problems:
        raise ValueError(f"{'; '.join(problems)}.")


def plot_segments(video: StrPath, segments: Sequence[Segment], path: StrPath) -> None:
    """Draws some frames of a video, and below them its segments by class.

    Args:
        video: The video.
        segments: What was found in it.
        path: Picture to write; the ending says which kind.

    Raises:
        ValueError: If the video cannot be read, or the kind of picture is unknown.
        ImportError: If matplotlib is missing.
    """
    from vidjax.analysis.plots import save_figure
    from vidjax.analysis.timeline import timeline_figure

    figure = timeline_figure(
        _frames(video),
        _rows(segments),
        duration=data.probe(video).duration,
        title=pathlib.Path(video).name,
    )
    save_figure(figure, pathlib.Path(path))


def write_page(
    video: StrPath, segments: Sequence[Segment], path: StrPath, *, by: str = ""
) -> pathlib.Path:
    """Writes a page that plays a video above the timeline of its actions.

    Args:
        video: The video. If browsers play it as it is, the page links to it by its
            place from the page; else a copy in H.264, without sound, is written beside
            the page.
        segments: What was found in it.
        path: Page to write, NAME.html.
        by: What found it, for the reader.

    Returns:
        The video that the page plays.

    Raises:
        ValueError: If the video cannot be read.
    """
    from vidjax.analysis.player import render_player

    page, video = pathlib.Path(path), pathlib.Path(video)
    page.parent.mkdir(parents=True, exist_ok=True)
    if browsers_play(video):
        played, note = video, "It plays the video itself: keep both in their places."
    else:
        played = page.with_name(f"{page.stem}.mp4")
        if played.resolve() == video.resolve():
            played = page.with_name(f"{page.stem}-h264.mp4")
        write_clip(video, played)
        note = (
            f"Browsers do not play {video.name} as it is: the page plays "
            f"{played.name}, a copy in H.264 without sound."
        )
    count = len(segments)
    text = render_player(
        title=video.name,
        summary=f"{count} action{'' if count == 1 else 's'}{by and f', found by {by}'}",
        source=_address(played, page.parent),
        note=f"Times are in minutes and seconds. {note}",
        duration=data.probe(video).duration,
        segments=_rows(segments),
        frames=[_jpeg(frame) for frame in _frames(video)],
    )
    partial = page.with_name(f".{page.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)
    return played


def write_clips(
    video: StrPath,
    segments: Sequence[Segment],
    folder: StrPath,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[pathlib.Path]:
    """Cuts the found parts out of a video, each to a file without sound.

    A file has exactly the frames that begin in its segment, coded again in H.264 and
    turned as they are shown. Its name says which segment it is, by time, its label, and
    from when to when: 002_clean_and_jerk_0m32.24s-0m37.12s.mp4.

    Args:
        video: The video.
        segments: What was found in it.
        folder: Folder for the files, empty or new.
        progress: Called with the number of files that are written, and their total.

    Returns:
        The files, in the order of their times.

    Raises:
        ValueError: If the video cannot be read, or the folder is not empty.
    """
    check_outputs(clips=pathlib.Path(folder))
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    ordered = sorted(segments, key=lambda s: (s.start_sec, -s.score))
    files = []
    for number, segment in enumerate(ordered, start=1):
        path = pathlib.Path(folder) / clip_name(number, segment)
        write_clip(video, path, start_sec=segment.start_sec, end_sec=segment.end_sec)
        files.append(path)
        progress(number, len(ordered))
    return files


def clip_name(number: int, segment: Segment) -> str:
    """Returns the name of the file of a segment.

    Args:
        number: Of the segment, from 1.
        segment: The segment.

    Returns:
        The name; of its label, letters and digits are kept.

    Example:
        >>> clip_name(2, Segment(32.24, 97.12, "clean/jerk (men)", 0.9))
        '002_clean_jerk_men_0m32.24s-1m37.12s.mp4'
    """
    label = re.sub(r"\W+", "_", segment.label).strip("_")[:_NAME]
    times = (
        f"{round(s * 100) // 6000}m{round(s * 100) % 6000 / 100:05.2f}s"
        for s in (segment.start_sec, segment.end_sec)
    )
    return f"{number:03d}_{label or 'action'}_{'-'.join(times)}.mp4"


def _rows(segments: Sequence[Segment]) -> list[tuple[float, float, str, float]]:
    return [(s.start_sec, s.end_sec, s.label, s.score) for s in segments]


def _frames(video: StrPath) -> np.ndarray:
    """Some frames, evenly spread, uint8 [N, H, W, 3]."""
    total = data.probe(video).num_frames
    count = min(_SHOWN, total)
    shown = ((np.arange(count) + 0.5) * total / count).astype(int)
    return data.read_frames(video, shown, short_side=96)


def _jpeg(image: np.ndarray) -> str:
    """A picture as an address that holds it."""
    text = base64.b64encode(jpeg_bytes(image)).decode("ascii")
    return f"data:image/jpeg;base64,{text}"


def _address(file: pathlib.Path, folder: pathlib.Path) -> str:
    """Of a file, seen from a folder, with "/" between its parts."""
    relative = os.path.relpath(file.resolve(), folder.resolve())
    return pathlib.PurePath(relative).as_posix()
