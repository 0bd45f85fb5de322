"""Raw videos to shards of JPEG frames: each video is decoded and resized once.

A shard is written beside its place and renamed when it is whole, with an index and a
checksum; a run that is killed and started again goes on behind the last whole shard and
ends with the same bytes.
"""

import concurrent.futures
import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vidjax.config import DataConfig
from vidjax.data.buckets import PART, AnyPath, StrPath, as_path, replacing
from vidjax.data.lists import Example, Split, VideoList
from vidjax.data.prepared import encode_video, write_shard
from vidjax.data.shards import LABELS
from vidjax.data.sources import list_videos

REPORT = "report.json"
SETTINGS = "prepare.json"
_SPLITS: tuple[Split, Split] = ("train", "eval")
_AHEAD = 2  # Videos that wait, for each worker: memory stays flat.


@dataclasses.dataclass(frozen=True)
class PrepareSettings:
    """How videos become frames; all of it is part of the result.

    Attributes:
        short_side: Pixels of the short side; smaller videos keep their size, and 0
            keeps all.
        fps: Frames per second; 0 keeps the video's own.
        quality: Of the JPEGs, in [1, 100].
        shards: Files of a split; 0 makes one for each 500 videos.
    """

    short_side: int = 320
    fps: float = 0.0
    quality: int = 95
    shards: int = 0


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

    Returns:
        What was written; report.json says it as well.

    Raises:
        ValueError: If the lists are wrong, settings are out of range, or `out` holds
            shards that were made otherwise.
        OSError: If a shard cannot be written; whole shards stay, and nothing else.
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
    plan = [
        (split, number, count, part)
        for split in _SPLITS
        for number, count, part in _shares(lists[split].examples, settings)
    ]
    total, done = sum(len(part) for *_, part in plan), 0
    bad: list[tuple[str, str]] = []
    tell = on_video or (lambda done, total: None)
    with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for split, number, count, part in plan:
            path = folder / f"{split}-{number:05d}-of-{count:05d}.tfrecord"
            before = done
            facts = _read_facts(path)
            if facts is None:
                encoded = _encode(pool, part, names, settings, workers)
                facts = _write(
                    path, _told(encoded, lambda n, b=before: tell(b + n, total))
                )
            done = before + len(part)
            tell(done, total)
            bad += [(file, reason) for file, reason in facts["bad"]]
    missing = tuple(name for each in lists.values() for name in each.missing)
    result = Prepared(folder, total - len(bad), len(plan), tuple(bad), missing)
    _write_json(
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
            facts = _read_facts(path)
            if facts is None:
                problems.append(f"{path} is missing.")
            elif _digest(path) != facts["sha256"]:
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
    _write_json(path, facts)
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


Encoded = tuple[Example, bytes | None, str]


def _encode(
    pool: concurrent.futures.Executor,
    part: Sequence[Example],
    label_names: tuple[str, ...],
    settings: PrepareSettings,
    workers: int | None,
) -> Iterator[Encoded]:
    """Encodes videos in their order, a few ahead of the one that is written."""
    waiting = iter(part)
    ahead = _AHEAD * (workers or os.cpu_count() or 1)

    def submit(example: Example) -> concurrent.futures.Future[Encoded]:
        return pool.submit(
            encode_video,
            example,
            label_names[example.label],
            short_side=settings.short_side or None,
            fps=settings.fps or None,
            quality=settings.quality,
        )

    futures = [submit(example) for example in itertools.islice(waiting, ahead)]
    while futures:
        yield futures.pop(0).result()
        futures += [submit(example) for example in itertools.islice(waiting, 1)]


def _told(encoded: Iterator[Encoded], tell: Callable[[int], None]) -> Iterator[Encoded]:
    for number, item in enumerate(encoded, 1):
        yield item
        tell(number)


def _write(path: AnyPath, encoded: Iterator[Encoded]) -> dict[str, Any]:
    """Writes a shard, its index and its facts, which say that it is whole."""
    bad: list[tuple[str, str]] = []
    write_shard(path, _good(encoded, bad))
    facts = {"sha256": _digest(path), "bytes": path.stat().st_size, "bad": bad}
    _write_json(_facts_path(path), facts)
    return facts


def _good(encoded: Iterator[Encoded], bad: list[tuple[str, str]]) -> Iterator[bytes]:
    for example, record, reason in encoded:
        if record is None:
            bad.append((example.path, reason))
        else:
            yield record


def _facts_path(path: AnyPath) -> AnyPath:
    return path.with_name(path.name + ".json")


def _read_facts(path: AnyPath) -> dict[str, Any] | None:
    """What is known of a whole shard, or None if it is not there."""
    facts = _facts_path(path)
    if not (facts.is_file() and path.is_file()):
        return None
    return json.loads(facts.read_text(encoding="utf-8"))


def _family(path: AnyPath) -> tuple[str, int]:
    """The split and the number of shards in train-00003-of-00008.tfrecord."""
    split, _, _, count = path.stem.rsplit("-", 3)
    return split, int(count)


def _digest(path: AnyPath) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: AnyPath, value: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes((json.dumps(value, indent=2) + "\n").encode())
