"""The official lists of published data sets, as their authors ship them.

Each reader takes the folder of the videos, in any arrangement of folders, and the
folder of the lists. Copies of these sets differ: a video that a list has and the disk
has not is left out and named in `VideoList.missing`.
"""

import csv
import io
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from vidjax.data.buckets import AnyPath, StrPath, as_path, walk
from vidjax.data.lists import EXTENSIONS, Example, Split, VideoList, raise_all

_SECONDS = re.compile(r"^(\S+)\s+([\d.]+)\s+([\d.]+)\s*$")


class _Entry(NamedTuple):
    """A line of an official list."""

    names: tuple[str, ...]  # File names without ending by which copies know it.
    label: str
    start_sec: float = 0.0
    end_sec: float | None = None


class _Lists(NamedTuple):
    """What is read from the lists of a split."""

    entries: list[_Entry]
    label_names: tuple[str, ...]


Reader = Callable[[AnyPath, Split, int], _Lists]


def read_official(
    name: str,
    videos: StrPath,
    *,
    annotations: StrPath | None = None,
    split: Split,
    fold: int = 1,
) -> VideoList:
    """Lists the videos of a published data set by its official files.

    | name | lists, anywhere in `annotations` | videos |
    |---|---|---|
    | kinetics400, kinetics600, kinetics700 | train.csv, val.csv (or validate.csv) | ID_000012_000022 (ID and seconds), or ID |
    | ucf101 | classInd.txt, trainlist01.txt, testlist01.txt (folds 1 to 3) | v_ApplyEyeMakeup_g01_c01 |
    | hmdb51 | CLASS_test_split1.txt (folds 1 to 3) | as listed |
    | ssv2 | labels.json, train.json, validation.json (with any beginning) | the number |
    | diving48 | *vocab.json, *train.json, *test.json | vid_name |
    | thumos14 | CLASS_val.txt (training) and CLASS_test.txt: an example an action | video_validation_0000051 |
    | activitynet | *.json with "database": an example an action | v_ID, or ID |

    Args:
        name: Of the data set.
        videos: Folder of the video files; folders inside it are searched.
        annotations: Folder of the lists, or a list; None takes that of the videos.
        split: "train" or "eval".
        fold: Which of three splits, for ucf101 and hmdb51.

    Returns:
        The videos that are there, in the order of the lists.

    Raises:
        ValueError: If a folder or a list is missing or is not in its format, there is
            no such fold, or no video is there.
    """  # noqa: E501
    if name not in READERS:
        raise ValueError(f"There is no list {name!r}: known are {', '.join(READERS)}.")
    if fold not in (1, 2, 3):
        raise ValueError(f"The folds are 1, 2 and 3, got {fold}.")
    root = as_path(videos)
    where = as_path(annotations) if annotations else root
    for path in (root, where):
        if not path.exists():
            raise ValueError(f"{path} does not exist.")
    try:
        lists = READERS[name](where, split, fold)
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"A list of {name} in {where} is not in its format "
            f"({type(error).__name__}: {error})."
        ) from error
    return _find(name, root, lists)


def _find(name: str, root: AnyPath, lists: _Lists) -> VideoList:
    """Joins a list with the files that are there."""
    files = _index(root)
    numbers = {label: number for number, label in enumerate(lists.label_names)}
    examples, missing = [], []
    raise_all(
        name,
        [
            f"{label!r} is no class of its list of classes"
            for label in sorted({entry.label for entry in lists.entries} - {*numbers})
        ],
    )
    for names, label, start, end in lists.entries:
        path = next((files[stem] for stem in names if stem in files), None)
        if path is None:
            missing.append(names[0])
        else:
            examples.append(Example(path, numbers[label], start, end))
    if not examples:
        raise ValueError(
            f"None of the {len(lists.entries)} videos in the list of {name} is in "
            f"{root}, such as {missing[0] if missing else 'any'}; file names without "
            "their ending are compared."
        )
    return VideoList(tuple(examples), lists.label_names, tuple(missing))


def _index(root: AnyPath) -> dict[str, str]:
    """Files by their names without ending; the first in order of paths counts."""
    found: dict[str, str] = {}
    for folder, _, files in walk(root):
        for file in files:
            stem, ending = os.path.splitext(file)
            if ending.lower() in EXTENSIONS:
                found.setdefault(stem, os.path.join(folder, file))
    return found


def _list_files(where: AnyPath, pattern: str) -> list[AnyPath]:
    """Files whose names match, however deep; an error if there is none."""
    if where.is_file():
        return [where]
    matching = re.compile(pattern, re.IGNORECASE)
    found = sorted(path for path in where.rglob("*") if matching.fullmatch(path.name))
    if not found:
        raise ValueError(f"There is no list in {where} whose name is {pattern}.")
    return found


def _one_file(where: AnyPath, pattern: str) -> AnyPath:
    found = _list_files(where, pattern)
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(where)) for path in found[:4])
        raise ValueError(f"{where} has several lists of the same kind: {names}.")
    return found[0]


def _lines(path: AnyPath) -> list[str]:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _kinetics(where: AnyPath, split: Split, fold: int) -> _Lists:
    """DeepMind's CSV: label, youtube_id, time_start, time_end, split."""
    del fold
    parts = {"train": r".*train\.csv", "eval": r".*val(idate|idation)?\.csv"}
    entries = {part: _kinetics_file(_one_file(where, parts[part])) for part in parts}
    labels = sorted({entry.label for entry in entries["train"]})
    return _Lists(entries[split], tuple(labels))


def _kinetics_file(path: AnyPath) -> list[_Entry]:
    entries, problems = [], []
    for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))):
        try:
            start, end = (round(float(row[f"time_{n}"])) for n in ("start", "end"))
        except (TypeError, ValueError):
            problems.append(f"{row['youtube_id']} has no times")
            continue
        if not row["label"]:
            problems.append(f"{row['youtube_id']} has no label")
        name = row["youtube_id"]
        names = (f"{name}_{start:06d}_{end:06d}", name)
        # Copies hold the ten seconds, whatever the name.
        entries.append(_Entry(names, row["label"]))
    raise_all(str(path), problems if entries or problems else ["it has no rows"])
    return entries


def _ucf101(where: AnyPath, split: Split, fold: int) -> _Lists:
    names = [line.split() for line in _lines(_one_file(where, r"classInd\.txt"))]
    labels = tuple(name for _, name in sorted(names, key=lambda row: int(row[0])))
    part = "train" if split == "train" else "test"
    lines = _lines(_one_file(where, rf"{part}list0{fold}\.txt"))
    files = [pathlib.PurePosixPath(line.split()[0]) for line in lines]
    return _Lists([_Entry((f.stem,), f.parent.name) for f in files], labels)


def _hmdb51(where: AnyPath, split: Split, fold: int) -> _Lists:
    wanted = "1" if split == "train" else "2"  # 0 is in neither.
    ending = f"_test_split{fold}.txt"
    entries, labels = [], []
    for path in _list_files(where, rf".+{re.escape(ending)}"):
        labels.append(path.name.removesuffix(ending))
        for line in _lines(path):
            file, part = line.rsplit(maxsplit=1)
            if part == wanted:
                entries.append(_Entry((os.path.splitext(file)[0],), labels[-1]))
    return _Lists(entries, tuple(labels))


def _ssv2(where: AnyPath, split: Split, fold: int) -> _Lists:
    del fold
    numbers = _json(_one_file(where, r".*labels\.json"))
    part = r".*train\.json" if split == "train" else r".*validation\.json"
    entries = [
        _Entry((str(row["id"]),), re.sub(r"[\[\]]", "", row["template"]))
        for row in _json(_one_file(where, part))
    ]
    return _Lists(entries, tuple(sorted(numbers, key=lambda name: int(numbers[name]))))


def _diving48(where: AnyPath, split: Split, fold: int) -> _Lists:
    del fold
    names = _json(_one_file(where, r".*vocab\.json"))
    labels = tuple(
        name if isinstance(name, str) else ", ".join(part for part in name if part)
        for name in names
    )
    part = r".*train\.json" if split == "train" else r".*test\.json"
    rows = _json(_one_file(where, part))
    entries = [_Entry((row["vid_name"],), labels[row["label"]]) for row in rows]
    return _Lists(entries, labels)


def _thumos14(where: AnyPath, split: Split, fold: int) -> _Lists:
    """The validation set is trained on, as everybody does; the test set tests."""
    del fold
    ending = "_val.txt" if split == "train" else "_test.txt"
    entries, labels, problems = [], set(), []
    for path in _list_files(where, rf".+{re.escape(ending)}"):
        label = path.name.removesuffix(ending)
        if label == "Ambiguous":
            continue
        labels.add(label)
        for line in _lines(path):
            match = _SECONDS.match(line)
            if match is None:
                problems.append(f"{path.name}: {line!r} is no name and two times")
            elif float(match[2]) < float(match[3]):  # A few last no time at all.
                entries.append(
                    _Entry((match[1],), label, float(match[2]), float(match[3]))
                )
    raise_all(str(where), problems)
    return _Lists(entries, tuple(sorted(labels)))


def _activitynet(where: AnyPath, split: Split, fold: int) -> _Lists:
    del fold
    database: Mapping[str, Any] = _json(_one_file(where, r".*\.json"))["database"]
    wanted = "training" if split == "train" else "validation"
    labels = {note["label"] for row in database.values() for note in row["annotations"]}
    entries = [
        _Entry((f"v_{name}", name), note["label"], float(start), float(end))
        for name, row in database.items()
        if row["subset"] == wanted
        for note in row["annotations"]
        for start, end in [_inside(note["segment"], row["duration"])]
        if start < end
    ]
    return _Lists(entries, tuple(sorted(labels)))


def _inside(segment: Iterable[float], duration: float) -> tuple[float, float]:
    """Some annotations pass the end of their video."""
    start, end = segment
    return max(0.0, float(start)), min(float(end), float(duration))


def _json(path: AnyPath) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


READERS: dict[str, Reader] = {
    "kinetics400": _kinetics,
    "kinetics600": _kinetics,
    "kinetics700": _kinetics,
    "ucf101": _ucf101,
    "hmdb51": _hmdb51,
    "ssv2": _ssv2,
    "diving48": _diving48,
    "thumos14": _thumos14,
    "activitynet": _activitynet,
}
"""Readers of the lists of a split, by the name of the data set."""
