"""`vidjax prepare`: raw videos in, shards of frames out."""

import shlex
import time
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich import console, progress

from vidjax.tasks import untrimmed as untrimmed_task
from vidjax.tasks.prepare import Prepared, PrepareSettings, check_prepared, prepare
from vidjax.tasks.untrimmed import UntrimmedSettings

_PLAIN_SECONDS = 10.0  # Between two lines where there is no terminal.
_UNTRIMMED = UntrimmedSettings()


def run(argv: Sequence[str]) -> int:
    """Prepares a data set, or checks one.

    Args:
        argv: Arguments after `vidjax prepare`.

    Returns:
        The exit code; 1 if a set that is checked is not whole.

    Raises:
        ValueError: If the data set or its lists are wrong.
        OSError: If the disk is full, or a shard cannot be written.
    """
    return tyro.cli(
        _prepare,
        args=list(argv),
        prog="vidjax prepare",
        description="Decodes and resizes every video of a data set once, and writes "
        "TFRecord shards of JPEG frames in DMVR's layout. Killed and started again, it "
        "goes on where it was; a bad video is one line in report.json.\n\nexample: "
        "vidjax prepare ucf101 --videos UCF-101 --annotations ucfTrainTestlist --out "
        "ucf101-records\nand then: vidjax train CONFIG --data.source "
        "records:ucf101-records",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _prepare(
    dataset: Annotated[str, tyro.conf.Positional],
    *,
    out: str,
    videos: str | None = None,
    annotations: str | None = None,
    fold: int = 1,
    short_side: int = 320,
    fps: float = 0.0,
    quality: int = 95,
    shards: int = 0,
    workers: int | None = None,
    check: bool = False,
    beam: bool = False,
    beam_options: str = "",
    untrimmed: UntrimmedSettings = _UNTRIMMED,
) -> int:
    """Prepares.

    Args:
        dataset: "folder", "csv", or the name of a published set such as kinetics400,
            ucf101, hmdb51, ssv2, diving48, thumos14 or activitynet; or
            synthetic_untrimmed, which draws videos to localize actions in.
        out: Folder of the shards, or of the videos that are drawn.
        videos: Folder of the videos, or the CSV file.
        annotations: Folder of the official lists; by default where the videos are.
        fold: Which of three splits, for ucf101 and hmdb51.
        short_side: Pixels of the short side; smaller videos, and 0, keep their size.
        fps: Frames per second; 0 keeps the video's own.
        quality: Of the JPEGs, in [1, 100].
        shards: Files of a split; 0 makes one for each 500 videos.
        workers: Threads; by default one a core.
        check: Verify a finished set instead.
        beam: Run as an Apache Beam pipeline; --out must be a place that its workers
            see.
        beam_options: Options of Beam in one string, such as
            --beam-options="--runner=DataflowRunner --project=P --region=R".
        untrimmed: Which videos synthetic_untrimmed draws.
    """
    if check:
        return _check(out)
    if dataset == untrimmed_task.NAME:
        with _Bar() as bar:
            print(untrimmed_task.write_untrimmed(out, untrimmed, on_video=bar.update))
        return 0
    if videos is None:
        raise ValueError("--videos is missing: the folder of the videos, or a list.")
    with _Bar() as bar:
        result = prepare(
            dataset,
            videos=videos,
            out=out,
            annotations=annotations,
            fold=fold,
            settings=PrepareSettings(short_side, fps, quality, shards),
            workers=workers,
            on_video=bar.update,
            beam_options=shlex.split(beam_options) if beam or beam_options else None,
        )
    _show(result)
    return 0


class _Bar:
    """Videos per second and the time that is left; plain lines without a terminal."""

    def __init__(self) -> None:
        self._console = console.Console(stderr=True)
        self._bar = progress.Progress(
            progress.TextColumn("videos"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("videos", total=None, rate="")
        self._start = self._told = time.monotonic()
        self._first: int | None = None

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Shows progress.

        Args:
            done: Videos that are done, those of a run before included.
            total: All videos.
        """
        now = time.monotonic()
        self._first = done if self._first is None else self._first
        rate = (done - self._first) / max(now - self._start, 1e-9)
        self._bar.update(
            self._task, completed=done, total=total, rate=f"{rate:.1f} videos/s"
        )
        if not self._console.is_terminal and now - self._told > _PLAIN_SECONDS:
            left = (total - done) / rate / 60 if rate else float("inf")
            self._told = now
            self._console.print(
                f"{done}/{total} videos, {rate:.1f} videos/s, {left:.0f} min left",
                highlight=False,
            )


def _show(result: Prepared) -> None:
    print(f"{result.videos} videos in {result.shards} shards; {result.folder}")
    if result.bad:
        file, reason = result.bad[0]
        print(f"{len(result.bad)} could not be read, such as {file}: {reason}")
    if result.missing:
        print(f"{len(result.missing)} of the lists are not there; see report.json")


def _check(out: str) -> int:
    problems = check_prepared(out)
    print(
        "\n".join(problems) if problems else f"{out}: every shard is as it was written"
    )
    return 1 if problems else 0
