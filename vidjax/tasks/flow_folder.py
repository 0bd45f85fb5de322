"""Optical flow of all videos of a folder, in the tree that `data.flow_files` reads."""

import dataclasses
import json
import pathlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from vidjax.data.lists import EXTENSIONS
from vidjax.tasks.flow import FlowOptions, StrPath, make_compute, write_video_flow

REPORT = "report.json"
"""Of the tree: which videos have no flow, and why."""


@dataclasses.dataclass(frozen=True)
class FolderResult:
    """What was written.

    Attributes:
        out: The tree.
        videos: Videos whose flow is there.
        computed: Flows computed by this call; the others were there already.
        bad: Why a video has none, by its path in the folder.
    """

    out: pathlib.Path
    videos: int
    computed: int
    bad: dict[str, str]


def compute_folder_flow(
    folder: StrPath,
    out: StrPath,
    *,
    options: FlowOptions | None = None,
    batch: int = 8,
    arrays: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FolderResult:
    """Computes the flow of every video of a folder, as `compute_flow` does for one.

    Flow lies in the tree where its video lies in the folder, without its ending. A run
    that was stopped goes on when it is called again. A video that cannot be read is a
    line in report.json, and the rest goes on.

    Args:
        folder: Folder of videos, which may lie deeper in it.
        out: The tree that is written.
        options: Method, sizes and rates; None takes the defaults.
        batch: Pairs of frames that are computed at once.
        arrays: Whether a video becomes NAME.npz, and not a folder of JPEG images.
        progress: Called with the number of videos that are done and their total.

    Returns:
        What was written.

    Raises:
        ValueError: If there is no video, two differ in nothing but their endings, or
            the method or an option is not usable.
        OSError: If nothing can be written there.
        ImportError: If PyAV is missing.

    Example:
        vidjax flow ucf101 --method tvl1_cuda --resize 340x256 --out ucf101_flow
        vidjax train tsn.py --data.source ucf101:ucf101 --data.flow-files ucf101_flow
    """
    options = options or FlowOptions()
    root, tree = pathlib.Path(folder), pathlib.Path(out)
    videos = _list_videos(root)
    compute = make_compute(options, batch)
    kind = ".npz" if arrays else ""
    computed, bad = 0, {}
    for number, video in enumerate(videos):
        progress(number, len(videos))
        place = tree / video.relative_to(root).with_suffix("")
        place = place.with_name(f"{place.name}{kind}")
        try:
            result = write_video_flow(
                *(video, place, compute), options=options, batch=batch, kind=kind
            )
        except ValueError as error:
            bad[video.relative_to(root).as_posix()] = str(error)
        else:
            computed += result.computed
    progress(len(videos), len(videos))
    _write_report(tree, bad)
    return FolderResult(tree, len(videos) - len(bad), computed, bad)


def _list_videos(root: pathlib.Path) -> Sequence[pathlib.Path]:
    videos = [p for p in sorted(root.rglob("*")) if p.suffix.lower() in EXTENSIONS]
    if not videos:
        raise ValueError(
            f"{root} has no videos; they end with {', '.join(EXTENSIONS)}."
        )
    alike = defaultdict(list)
    for video in videos:
        alike[video.with_suffix("")].append(video.name)
    several = [names for names in alike.values() if len(names) > 1]
    if several:
        raise ValueError(
            f"{root} has {len(several)} sets of videos that differ in their endings "
            f"alone, such as {' and '.join(several[0])}: their flow would have one "
            "name."
        )
    return videos


def _write_report(tree: pathlib.Path, bad: dict[str, str]) -> None:
    tree.mkdir(parents=True, exist_ok=True)
    hidden = tree / f"partial-{REPORT}"
    hidden.write_text(json.dumps({"bad": bad}, indent=2), encoding="utf-8")
    hidden.replace(tree / REPORT)
