"""Segments in tables: read from and written as ActivityNet's JSON."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

Policy = Literal["default", "official", "actionformer", "opentad"]
"""How files that are not as they should be are read:

| policy | ground truth that is left out | a predicted label without ground truth |
|---|---|---|
| default | shorter than 1 ms, or within 1 ms of one of the same label | is ignored |
| official | none | is an error |
| actionformer | as default | counts for the class of that number, if there is one |
| opentad | empty, or within 1 ms of one of the same label | is ignored |

"official" is activitynet/ActivityNet, Evaluation/eval_detection.py. What "actionformer"
does with labels is an error of libs/utils/metrics.py, which figures that were published
with it have in them.
"""

_TOLERANCE = 1e-3  # Seconds; remove_duplicate_annotations of ActionFormer.

Label = str | int
Path = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Segments:
    """Labelled segments of videos, as columns.

    Attributes:
        videos: Names, [N].
        start: Seconds, [N] float64.
        end: Seconds, [N] float64.
        labels: Names or numbers of classes, [N].
        scores: [N] float64; ones for ground truth.
    """

    videos: np.ndarray
    start: np.ndarray
    end: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.videos)


def make_segments(
    rows: Iterable[tuple[str, float, float, Label, float]],
) -> Segments:
    """Returns segments as columns.

    Args:
        rows: Video, start and end in seconds, label and score of each.

    Returns:
        The columns.

    Raises:
        ValueError: If a number is not finite, or a segment ends before it starts.
    """
    listed = list(rows)
    video, start, end, label, score = zip(*listed, strict=True) if listed else ((),) * 5
    labels = np.empty(len(listed), object)
    labels[:] = label
    found = Segments(
        np.array(video, dtype=object),
        np.array(start, np.float64),
        np.array(end, np.float64),
        labels,
        np.array(score, np.float64),
    )
    wrong = ~(np.isfinite(found.start) & np.isfinite(found.scores))
    wrong |= ~(found.start <= found.end) | ~np.isfinite(found.end)
    if wrong.any():
        raise ValueError(
            f"{wrong.sum()} of {len(found)} segments have numbers that are not finite, "
            f"or end before they start; the first is {listed[int(np.argmax(wrong))]}, "
            "read as (video, start, end, label, score)."
        )
    return found


def read_predictions(
    predictions: Path | Mapping[str, Any], *, blocked: Collection[str] = ()
) -> Segments:
    """Reads predicted segments.

    Args:
        predictions: ActivityNet's JSON, a path or what is in it: {"results": {video:
            [{"label": ..., "score": ..., "segment": [start, end]}]}}, or the inner part
            of it.
        blocked: Videos to leave out.

    Returns:
        The segments.

    Raises:
        ValueError: If there is no such file, or it is not such JSON.
    """
    data = load_json(predictions)
    results = data.get("results", data)
    return make_segments(
        (video, *_numbers(video, row, "segment"), _field(video, row, "label"), score)
        for video, rows in _items(results, "results")
        if video not in blocked
        for row in rows
        for score in (float(_field(video, row, "score")),)
    )


def read_videos(
    ground_truth: Path | Mapping[str, Any], *, subset: str | None = None
) -> dict[str, Any]:
    """Reads what is said of each video.

    Args:
        ground_truth: As for `read_ground_truth`.
        subset: As there.

    Returns:
        By name, such as {"subset": ..., "duration": ..., "annotations": [...]}.

    Raises:
        ValueError: If there is no such file, it is not such JSON, or it has no such
            subset.
    """
    data = load_json(ground_truth)
    videos = dict(_items(data.get("database", data), "database"))
    if subset is None:
        return videos
    found = {
        name: v
        for name, v in videos.items()
        if str(v.get("subset")).lower() == subset.lower()
    }
    if not found:
        names = sorted({str(v.get("subset")) for v in videos.values()})
        raise ValueError(f"There is no subset {subset!r}, only {', '.join(names)}.")
    return found


def read_ground_truth(
    ground_truth: Path | Mapping[str, Any],
    *,
    subset: str | None = None,
    policy: Policy = "default",
    label: Literal["label", "label_id"] = "label",
    blocked: Collection[str] = (),
) -> Segments:
    """Reads annotated segments.

    Args:
        ground_truth: ActivityNet's JSON, a path or what is in it: {"database": {video:
            {"subset": ..., "annotations": [{"label": ..., "segment": [start, end]}]}}}.
        subset: Videos that are read, whatever the case of letters; None reads all.
        policy: What is left out.
        label: Which field names the class.
        blocked: Videos to leave out.

    Returns:
        The segments; all scores are 1.

    Raises:
        ValueError: If there is no such file, it is not such JSON, it has no such
            subset, or the policy is unknown.
    """
    if policy not in get_args(Policy):
        known = ", ".join(map(repr, get_args(Policy)))
        raise ValueError(f"policy must be one of {known}, got {policy!r}.")
    videos = read_videos(ground_truth, subset=subset)
    return make_segments(
        (video, *segment, 1.0)
        for video, v in videos.items()
        if video not in blocked
        for segment in _kept(
            [
                (*_numbers(video, row, "segment"), _field(video, row, label))
                for row in v.get("annotations", ())
            ],
            policy,
        )
    )


def write_predictions(path: Path, predictions: Segments) -> None:
    """Writes ActivityNet's JSON, which `read_predictions` reads.

    Args:
        path: Replaced if it is there.
        predictions: Segments.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    for i, video in enumerate(predictions.videos):
        label = predictions.labels[i]
        row = {
            "label": label if isinstance(label, str) else int(label),
            "score": float(predictions.scores[i]),
            "segment": [float(predictions.start[i]), float(predictions.end[i])],
        }
        results.setdefault(str(video), []).append(row)
    text = json.dumps(
        {"version": "VERSION 1.3", "results": results, "external_data": {}}
    )
    path = pathlib.Path(path)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)  # A reader never sees half a file.


def _kept(
    rows: Sequence[tuple[float, float, Label]], policy: Policy
) -> list[tuple[float, float, Label]]:
    """Leaves out empty segments and repeated ones of a video."""
    if policy == "official":
        return list(rows)
    kept: list[tuple[float, float, Label]] = []
    for start, end, label in rows:
        length = end - start
        empty = length <= 0 if policy == "opentad" else length < _TOLERANCE
        repeated = any(
            abs(start - s) <= _TOLERANCE
            and abs(end - e) <= _TOLERANCE
            and label == other
            for s, e, other in kept
        )
        if not (empty or repeated):
            kept.append((start, end, label))
    return kept


def load_json(source: Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Reads a JSON object.

    Args:
        source: A path, or the object itself.

    Returns:
        The object.

    Raises:
        ValueError: If there is no such file, or it is not JSON of an object.
    """
    if isinstance(source, Mapping):
        return source
    path = pathlib.Path(source).expanduser()
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise ValueError(f"Expected an object in {path}, got a {type(data).__name__}.")
    return data


def _items(videos: Any, name: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(videos, Mapping):
        raise ValueError(
            f"Expected {name!r} to map videos to their segments, got a "
            f"{type(videos).__name__}."
        )
    return videos.items()


def _field(video: str, row: Any, name: str) -> Any:
    if not isinstance(row, Mapping) or name not in row:
        raise ValueError(f"A segment of {video} has no {name!r}: {row}.")
    return row[name]


def _numbers(video: str, row: Any, name: str) -> tuple[float, float]:
    values = _field(video, row, name)
    try:
        start, end = map(float, values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected [start, end] in seconds in {video}, got {values!r}."
        ) from error
    return start, end
