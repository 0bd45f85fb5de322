"""Which videos a data set has: a folder of classes, or a CSV file."""

import csv
import dataclasses
import difflib
import hashlib
import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from vidjax.data.buckets import AnyPath, StrPath, as_path, is_remote, join, make_is_file

Split = Literal["train", "eval"]
T = TypeVar("T")

EXTENSIONS = (
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Names that videos in a folder end with; other files there are not looked at."""

EVAL_NAMES = ("val", "validation", "eval", "test")
"""What the held-out part is called, in folders and in the column "split"."""

_SHOWN = 10  # Problems that one message lists.


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """A labelled video, or a part of one.

    Attributes:
        path: The video file.
        label: Index of its class in [0, K).
        start_sec: Where it starts in the file, in seconds.
        end_sec: Where it ends; None is the end of the file.
    """

    path: str
    label: int
    start_sec: float = 0.0
    end_sec: float | None = None


@dataclasses.dataclass(frozen=True)
class VideoList:
    """The examples of a split.

    Attributes:
        examples: The examples, in a fixed order.
        label_names: Names of the K classes, those of the training split.
        missing: Names of videos that an official list has and the disk has not.
    """

    examples: tuple[Example, ...]
    label_names: tuple[str, ...]
    missing: tuple[str, ...] = ()


def read_folder(
    folder: StrPath, *, split: Split, eval_fraction: float = 0.2
) -> VideoList:
    """Lists the videos of a folder that has one folder a class.

    Where the folder has the folders "train" and one of "val", "validation", "eval" and
    "test", each with a folder a class, those are the two splits. Otherwise a share of
    each class is held out: the videos whose paths inside the folder have the smallest
    SHA-256, at least one and never all.

    Args:
        folder: The folder. Videos may lie deeper inside the folder of a class.
        split: "train" or "eval".
        eval_fraction: Share of each class that is held out, in (0, 1).

    Returns:
        The videos, sorted by class and path.

    Raises:
        ValueError: If the folder is missing, a class has no video, a class has too few
            to hold one out, or the held-out part has a class that training lacks; all
            classes that are wrong are named.
    """
    root = as_path(folder)
    if not root.is_dir():
        raise ValueError(f"The data folder {root} does not exist, or is no folder.")
    parts = {path.name: path for path in sorted(root.iterdir()) if path.is_dir()}
    held_out = next((parts[name] for name in EVAL_NAMES if name in parts), None)
    if "train" in parts and held_out is not None:
        train, test = _list_classes(parts["train"]), _list_classes(held_out)
        extra = sorted(test.keys() - train.keys())
        if extra:
            raise ValueError(f"{held_out} has classes that training lacks: {extra}.")
        names = sorted(train)
        chosen = train if split == "train" else test
    else:
        videos = _list_classes(root)
        names = sorted(videos)
        parted = _hold_out(
            {
                name: [(path.relative_to(root).as_posix(), path) for path in paths]
                for name, paths in videos.items()
            },
            eval_fraction,
            str(root),
        )
        chosen = {name: both[split == "eval"] for name, both in parted.items()}
    return VideoList(
        tuple(
            Example(str(path), label)
            for label, name in enumerate(names)
            for path in sorted(chosen.get(name, ()))
        ),
        tuple(names),
    )


def read_csv(file: StrPath, *, split: Split, eval_fraction: float = 0.2) -> VideoList:
    """Lists the videos of a CSV file with a header.

    Columns are path (relative to the folder of the CSV file, or absolute) and label;
    and optionally split ("train", or "val", "validation", "eval" or "test"), start and
    end (seconds, may be empty). Without a column split a share of each class is held
    out, by the SHA-256 of path, start and end.

    Args:
        file: The CSV file, UTF-8.
        split: "train" or "eval".
        eval_fraction: Share of each class that is held out, in (0, 1).

    Returns:
        The videos, in the order of the file. Classes are sorted, by number if all
        labels are whole numbers.

    Raises:
        ValueError: If the file is missing or not UTF-8, a column is missing or unknown,
            or rows are wrong (no label, no such video, bad split or times, twice the
            same): up to ten are listed with their lines; or if a class has too few
            videos to hold one out, a split is empty, or held-out classes are missing in
            training.
    """
    path = as_path(file)
    rows = _read_rows(path)
    labels = {row.label for row in rows}
    whole = all(label.isdecimal() for label in labels)
    if rows[0].split is None:
        by_label: dict[str, list[tuple[str, _Row]]] = defaultdict(list)
        for row in rows:
            by_label[row.label].append((f"{row.text} {row.start} {row.end}", row))
        parted = _hold_out(by_label, eval_fraction, str(path))
        held_out = {id(row) for both in parted.values() for row in both[1]}
        parts = ["eval" if id(row) in held_out else "train" for row in rows]
    else:
        parts = [row.split for row in rows]
        trained = {row.label for row in rows if row.split == "train"}
        problems = [
            f'no row has split "{part}"'
            for part in ("train", "eval")
            if part not in parts
        ]
        if not problems and labels - trained:
            problems.append(
                f"held-out classes lack training: {sorted(labels - trained)}"
            )
        raise_all(str(path), problems)
    names = sorted(labels, key=int if whole else str)
    index = {name: label for label, name in enumerate(names)}
    return VideoList(
        tuple(
            Example(row.path, index[row.label], row.start, row.end)
            for row, part in zip(rows, parts, strict=True)
            if part == split
        ),
        tuple(names),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """A line of a CSV file, checked."""

    text: str  # The path as written.
    path: str  # The path from here.
    label: str
    split: str | None
    start: float
    end: float | None


_COLUMNS = ("path", "label", "split", "start", "end")


def _read_rows(path: AnyPath) -> list[_Row]:
    """Reads a CSV file; whatever is wrong in it is one error."""
    if not path.is_file():
        raise ValueError(f"The list {path} does not exist, or is no file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error.reason}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    _check_columns(path, reader.fieldnames or ())
    problems: list[str] = []
    rows: list[_Row] = []
    seen: dict[tuple[str, float, float | None], int] = {}
    folder, is_there = str(path.parent), make_is_file()
    for values in reader:
        row, wrong = _parse(values, folder, is_there)
        key = (row.text, row.start, row.end)
        if not wrong and key in seen:
            wrong = [f"{row.text} is there already, in line {seen[key]}"]
        seen.setdefault(key, reader.line_num)
        problems += [f"line {reader.line_num}: {text}" for text in wrong]
        rows.append(row)
    raise_all(str(path), problems if rows else ["it has no rows"])
    return rows


def _check_columns(path: AnyPath, columns: Sequence[str]) -> None:
    problems = []
    for name in ("path", "label"):
        if name not in columns:
            problems.append(f"column {name!r} is missing")
    for name in columns:
        if name not in _COLUMNS:
            near = difflib.get_close_matches(str(name), _COLUMNS, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            problems.append(f"column {name!r} is unknown{hint}")
    if problems:
        problems.append(f"the header has {list(columns)}, known are {list(_COLUMNS)}")
    raise_all(str(path), problems)


def _parse(
    values: Mapping[str | None, str | None],
    folder: str,
    is_file: Callable[[str], bool],
) -> tuple[_Row, list[str]]:
    """Checks one row; returns it with what is wrong in it."""
    wrong = []
    text, label = ((values.get(name) or "").strip() for name in ("path", "label"))
    path = join(folder, text)
    if not label:
        wrong.append("there is no label")
    if not text:
        wrong.append("there is no path")
    elif not is_file(path):
        wrong.append(f"there is no video {text}")
    if None in values:
        wrong.append("there are more values than columns; quote those with commas")
    split = values.get("split")
    if split is not None:
        split = split.strip().lower()
        if split not in ("train", *EVAL_NAMES):
            wrong.append(f'split is {split!r}, not "train" or one of {EVAL_NAMES}')
        split = "train" if split == "train" else "eval"
    start, end = _seconds(values, "start", wrong), _seconds(values, "end", wrong)
    if end is not None and end <= (start or 0.0):
        wrong.append(f"it ends at {end:g} s and starts at {start or 0:g} s")
    return _Row(text, path, label, split, start or 0.0, end), wrong


def _seconds(
    values: Mapping[str | None, str | None], name: str, wrong: list[str]
) -> float | None:
    text = (values.get(name) or "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        wrong.append(f"{name} is {text!r}, not a number of seconds")
        return None
    return seconds


def _list_classes(folder: AnyPath) -> dict[str, list[AnyPath]]:
    """Lists the videos of each class; a class is a folder."""
    classes, problems = {}, []
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        files = [
            file
            for file in sorted(path.rglob("*"))
            if not file.name.startswith(".") and (is_remote(file) or file.is_file())
        ]
        videos = [file for file in files if file.suffix.lower() in EXTENSIONS]
        classes[path.name] = videos
        if not videos:
            endings = Counter(file.suffix or file.name for file in files)
            has = f"only {', '.join(sorted(endings))}" if files else "nothing"
            problems.append(f"class {path.name!r} has no video, {has}")
    if not classes:
        problems = ["it has no folders; one folder of videos a class is expected"]
    elif problems:
        problems.append(f"videos end with {', '.join(EXTENSIONS)}")
    raise_all(str(folder), problems)
    return classes


def _hold_out(
    classes: Mapping[str, Sequence[tuple[str, T]]], fraction: float, where: str
) -> dict[str, tuple[list[T], list[T]]]:
    """Splits each class by the hash of a name, so that other videos change little.

    Args:
        classes: Pairs of a name and a video, by class.
        fraction: Share that is held out, in (0, 1).
        where: The data set, for messages.

    Returns:
        What is trained on and what is held out, by class.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"eval_fraction must be between 0 and 1, got {fraction}.")
    single = [name for name, videos in classes.items() if len(videos) < 2]
    raise_all(
        where,
        [
            f"class {name!r} has a single video, and one of each class is held out"
            for name in single
        ],
    )
    parted = {}
    for name, videos in classes.items():
        ranked = sorted(
            videos, key=lambda pair: hashlib.sha256(pair[0].encode()).digest()
        )
        count = min(max(1, round(fraction * len(ranked))), len(ranked) - 1)
        items = [video for _, video in ranked]
        parted[name] = (items[count:], items[:count])
    return parted


def raise_all(where: str, problems: Iterable[str]) -> None:
    """Raises one error with all problems, if there are any.

    Args:
        where: The file or folder that has them.
        problems: A clause for each; up to ten are shown.

    Raises:
        ValueError: If there is a problem.
    """
    problems = list(problems)
    if problems:
        shown = problems[:_SHOWN]
        if len(problems) > _SHOWN:
            shown.append(f"and {len(problems) - _SHOWN} more")
        raise ValueError(f"{where}: " + "; ".join(shown) + ".")
