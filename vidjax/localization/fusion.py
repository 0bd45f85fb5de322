"""Names for proposals: scores of whole videos, joined with those of segments.

References:
    happyharrycn/actionformer_release, libs/utils/postprocessing.py.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidjax.localization.annotations import Path, Segments, load_json, make_segments
from vidjax.localization.detect import Segment


def read_video_scores(path: Path | Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Reads the scores that a classifier gives whole videos.

    Args:
        path: JSON, a path or what is in it: {"results": {video: [score, ...]}}, as the
            published scores for ActivityNet are, or the inner part of it.

    Returns:
        Scores of each video, [K] float64.

    Raises:
        ValueError: If there is no such file, it is not such JSON, or videos have
            different numbers of scores.

    Example:
        >>> read_video_scores({"results": {"v": [0.1, 0.9]}})["v"].tolist()
        [0.1, 0.9]
    """
    data = load_json(path)
    try:
        rows = dict(data.get("results", data))
        scores = {name: np.array(row, np.float64) for name, row in rows.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected a list of scores for each video, but {error}."
        ) from error
    shapes = {row.shape for row in scores.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(
            f"Expected as many scores for each video, got shapes {sorted(shapes)}."
        )
    return scores


def read_score_labels(path: Path | Mapping[str, Any]) -> tuple[str, ...] | None:
    """Reads which classes the scores of whole videos are of.

    Args:
        path: As for `read_video_scores`; published files have {"class": [name, ...]}.

    Returns:
        Names of the K classes; None if the file does not say them.

    Raises:
        ValueError: If there is no such file, or it is not such JSON.

    Example:
        >>> read_score_labels({"class": ["run", "jump"], "results": {}})
        ('run', 'jump')
    """
    names = load_json(path).get("class")
    if names is not None and not isinstance(names, list):
        raise ValueError(f'Expected "class" to list names, got {names!r}.')
    return None if names is None else tuple(map(str, names))


def fuse_predictions(
    predictions: Segments,
    scores: Mapping[str, np.ndarray],
    label_names: Sequence[str],
    *,
    top: int = 2,
    max_segments: int = 100,
) -> Segments:
    """Names the proposals of many videos, each as `fuse_scores` does.

    Args:
        predictions: Proposals; their labels mean nothing.
        scores: Of each video, [K].
        label_names: Names of the K classes.
        top: Classes that are given to each proposal.
        max_segments: Proposals of a video that are kept, the best.

    Returns:
        The named segments.

    Raises:
        ValueError: If a video has no scores, or not as many as there are names.
    """
    videos: dict[str, list[Segment]] = {}
    rows = zip(
        predictions.videos.tolist(),
        predictions.start.tolist(),
        predictions.end.tolist(),
        predictions.scores.tolist(),
        strict=True,
    )
    for video, start, end, score in rows:
        videos.setdefault(video, []).append(Segment(start, end, "", score))
    missing = sorted(videos.keys() - scores.keys())
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(videos)} videos have no scores, such as "
            f"{missing[0]}."
        )
    return make_segments(
        (video, s.start_sec, s.end_sec, s.label, s.score)
        for video, found in videos.items()
        for s in fuse_scores(
            found, scores[video], label_names, top=top, max_segments=max_segments
        )
    )


def fuse_scores(
    segments: Sequence[Segment],
    scores: np.ndarray,
    label_names: Sequence[str],
    *,
    top: int = 2,
    max_segments: int = 100,
) -> list[Segment]:
    """Names proposals by what a classifier says of the whole video.

    Args:
        segments: Proposals of a video; their labels mean nothing.
        scores: Probability of each class in the video, [K]; numbers outside [0, 1] are
            put through softmax first, as published.
        label_names: Names of the K classes.
        top: Classes that are given to each proposal.
        max_segments: Proposals that are kept, the best; ActivityNet's published result
            keeps as many as its suppression leaves, 100 or 200.

    Returns:
        Segments whose score is the square root of the class's times the proposal's, the
        best class first.

    Raises:
        ValueError: If there are not as many scores as names.
    """
    if scores.shape != (len(label_names),):
        raise ValueError(
            f"Expected a score for each of {len(label_names)} classes, got shape "
            f"{scores.shape}."
        )
    if scores.min() < 0 or scores.max() > 1:
        scores = np.exp(scores - scores.max())
        scores = scores / scores.sum()
    best = sorted(segments, key=lambda s: -s.score)[:max_segments]
    return [
        dataclasses.replace(
            segment,
            label=label_names[k],
            score=float(np.sqrt(scores[k] * segment.score)),
        )
        for k in np.argsort(-scores, kind="stable")[:top]
        for segment in best
    ]
