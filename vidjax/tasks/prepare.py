"""Raw videos to shards of JPEG frames: each video is decoded and resized once.

A shard is written beside its place and renamed when it is whole, with an index and a
checksum; a run that is killed and started again goes on behind the last whole shard and
ends with the same bytes.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vidjax.config import DataConfig
from vidjax.data.buckets import PART, AnyPath, StrPath, as_path, replacing
from vidjax.data.lists import Example, Split, VideoList
from vidjax.data.shards import LABELS
from vidjax.data.sources import list_videos
from vidjax.tasks.beam import run_on_beam
from vidjax.tasks.shard_job import (
    PrepareSettings,
    ShardJob,
    digest,
    job_from_dict,
    job_to_dict,
    read_facts,
    save_json,
    write_job,
)

REPORT = "report.json"
SETTINGS = "prepare.json"
_SPLITS: tuple[Split, Split] = ("train", "eval")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What was prepared.

    Attributes:
        folder: Where the shards are.
        videos: Videos in them.
        shards: How many there are.
        bad: File and reason of each video that could not be read.
        missing: Names of videos that the official lists have and the disk has not.
    """

    folder: AnyPath
    videos: int
    shards: int
    bad: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]


def prepare(
    dataset: str,
    *,
    videos: str,
    out: StrPath,
    annotations: str | None = None,
    fold: int = 1,
    settings: PrepareSettings | None = None,
    workers: int | None = None,
    on_video: Callable[[int, int], None] | None = None,
    beam_options: Sequence[str] | None = None,
) -> Prepared:
    """Writes the shards of both splits of a data set.

    Args:
        dataset: "folder", "csv", or the name of a published set (see
            `vidjax.data.official.read_official`).
        videos: Folder of the videos, or the CSV file.
        out: Folder of the shards; made if it is not there.
        annotations: Folder of the official lists; None looks where the videos are.
        fold: Which of three splits, for UCF101 and HMDB51.
        settings: How videos become frames.
        workers: Threads; None takes one a core. They change no byte.
        on_video: Called with the number of videos done and the number of all.
        beam_options: Those of Apache Beam, whose workers then write the shards; `out`
            must be a place that they see. None writes them here.

    Returns:
        What was written; report.json says it as well.

    Raises:
        ValueError: If the lists are wrong, settings are out of range, or `out` holds
            shards that were made otherwise.
        OSError: If a shard cannot be written; whole shards stay, and nothing else.
        ImportError: If a package is missing; Apache Beam is in the extra "beam".
    """
    settings = settings or PrepareSettings()
    _check(settings)
    config = DataConfig(
        source=f"{dataset}:{videos}", annotations=annotations, fold=fold
    )
    lists: dict[Split, VideoList] = {
        split: list_videos(config, split=split) for split in _SPLITS
    }
    folder = as_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, _describe(config, settings, lists))
    names = lists["train"].label_names
    with replacing(folder / LABELS) as temporary:
        temporary.write_bytes(("\n".join(names) + "\n").encode())
    jobs = [
        ShardJob(
            os.fspath(folder / f"{split}-{number:05d}-of-{count:05d}.tfrecord"),
            tuple(part),
            names,
            settings,
        )
        for split in _SPLITS
        for number, count, part in _shares(lists[split].examples, settings)
    ]
    total = sum(len(job.examples) for job in jobs)
    if beam_options is None:
        all_facts = _run(jobs, workers=workers, tell=on_video)
    else:
        rows = [job_to_dict(job) for job in jobs]
        all_facts = run_on_beam(_on_worker, rows, folder=folder, options=beam_options)
    bad = [(file, reason) for facts in all_facts for file, reason in facts["bad"]]
    missing = tuple(name for each in lists.values() for name in each.missing)
    result = Prepared(folder, total - len(bad), len(jobs), tuple(bad), missing)
    save_json(
        folder / REPORT,
        {
            "videos": result.videos,
            "shards": result.shards,
            "bad": [{"file": file, "reason": reason} for file, reason in bad],
            "missing": list(missing),
        },
    )
    return result


def check_prepared(folder: StrPath) -> list[str]:
    """Verifies a finished set: every shard is there, with the bytes that were written.

    Args:
        folder: What `prepare` wrote.

    Returns:
        A sentence for each problem; none if all is well.

    Raises:
        ValueError: If the folder holds no set.
    """
    folder = as_path(folder)
    shards = sorted(folder.glob("*.tfrecord"))
    if not (folder / SETTINGS).is_file():
        raise ValueError(f"{folder} holds no prepared set: it has no {SETTINGS}.")
    problems = [] if (folder / REPORT).is_file() else [f"{folder} is not finished."]
    for stem, count in sorted({_family(path) for path in shards}):
        for number in range(count):
            path = folder / f"{stem}-{number:05d}-of-{count:05d}.tfrecord"
            facts = read_facts(path)
            if facts is None:
                problems.append(f"{path} is missing.")
            elif digest(path) != facts["sha256"]:
                problems.append(f"{path} is not what was written (SHA-256).")
    return problems or ([] if shards else [f"{folder} has no shards."])


def _check(settings: PrepareSettings) -> None:
    wrong = []
    if settings.short_side < 0:
        wrong.append(f"short_side is {settings.short_side}")
    if settings.fps < 0:
        wrong.append(f"fps is {settings.fps:g}")
    if not 1 <= settings.quality <= 100:
        wrong.append(f"quality is {settings.quality}, not in [1, 100]")
    if settings.shards < 0:
        wrong.append(f"shards is {settings.shards}")
    if wrong:
        raise ValueError(f"Settings are out of range: {'; '.join(wrong)}.")


def _describe(
    config: DataConfig, settings: PrepareSettings, lists: dict[Split, VideoList]
) -> dict[str, Any]:
    """What the bytes of the shards follow from."""
    rows = [
        [split, os.path.basename(e.path), e.label, e.start_sec, e.end_sec]
        for split, listed in lists.items()
        for e in listed.examples
    ]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return {
        "dataset": config.source.partition(":")[0],
        "fold": config.fold,
        **dataclasses.asdict(settings),
        "label_names": list(lists["train"].label_names),
        "videos": digest,
    }


def _claim(folder: AnyPath, facts: dict[str, Any]) -> None:
    """A folder holds one set."""
    path = folder / SETTINGS
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = sorted(k for k in facts if before.get(k) != facts[k])
        if differing:
            raise ValueError(
                f"{folder} holds shards that were made otherwise (different: "
                f"{', '.join(differing)}). Give another folder, or remove it."
            )
    save_json(path, facts)
    for left in folder.glob(f"{PART}*"):  # Of a run that was killed.
        left.unlink()


def _shares(
    examples: Sequence[Example], settings: PrepareSettings
) -> Iterator[tuple[int, int, list[Example]]]:
    """Cuts a split into shards; classes are mixed, by the hash of the names."""
    ranked = sorted(
        examples,
        key=lambda e: hashlib.sha256(
            f"{os.path.basename(e.path)} {e.start_sec} {e.end_sec} {e.label}".encode()
        ).digest(),
    )
    count = settings.shards or -(-len(ranked) // 500)
    count = min(count, len(ranked))
    for number in range(count):
        first, last = (n * len(ranked) // count for n in (number, number + 1))
        yield number, count, ranked[first:last]


def _run(
    jobs: Sequence[ShardJob],
    *,
    workers: int | None,
    tell: Callable[[int, int], None] | None,
) -> Iterator[dict[str, Any]]:
    """Writes the shards here, one after the other, and yields their facts."""
    total, done = sum(len(job.examples) for job in jobs), 0
    tell = tell or (lambda done, total: None)
    for job in jobs:
        before = done
        yield write_job(
            job, workers=workers, tell=lambda n, b=before: tell(b + n, total)
        )
        done = before + len(job.examples)
        tell(done, total)


def _on_worker(values: dict[str, Any]) -> dict[str, Any]:
    return write_job(job_from_dict(values))


def _family(path: AnyPath) -> tuple[str, int]:
    """The split and the number of shards in train-00003-of-00008.tfrecord."""
    split, _, _, count = path.stem.rsplit("-", 3)
    return split, int(count)
