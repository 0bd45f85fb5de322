"""Parts of the features of a video: cut, resized, filled up.

Reference:
    Zhang, Wu and Li, "ActionFormer: Localizing Moments of Actions with Transformers",
    ECCV 2022, https://arxiv.org/abs/2202.07925; libs/datasets of its code.
"""

from typing import NamedTuple

import numpy as np

from vidjax.typing import FeatureGrid

_TRIALS = 200  # Crops that are tried for one with an action; data_utils.py.


class Example(NamedTuple):
    """Features of a video and what happens in them.

    Attributes:
        features: [T, C] float32.
        segments: Start and end of actions in steps, [N, 2] float32.
        labels: Their classes, [N] int32.
        grid: When the steps are.
    """

    features: np.ndarray
    segments: np.ndarray
    labels: np.ndarray
    grid: FeatureGrid


def random_crop(
    example: Example,
    *,
    length: int,
    share: tuple[float, float] | None,
    min_inside: float,
    rng: np.random.Generator,
) -> Example:
    """Cuts a part out of a video that has an action in it.

    Args:
        example: The video, T steps.
        length: Steps of the part, where the video has more.
        share: Else, the part's share of the video, from and to; None keeps it whole.
        min_inside: Share of an action that has to be inside, half a window beyond the
            part included, or it is left out.
        rng: Where the part is.

    Returns:
        The part; actions end where it ends.
    """
    steps = len(example.features)
    if steps <= length:
        if share is None:
            return example
        low, high = (round(part * steps) for part in share)
        length = int(rng.integers(max(low, 1), min(high, steps) + 1))
        if length == steps:
            return example
    for _ in range(_TRIALS - 1):
        first = int(rng.integers(0, steps - length + 1))
        part = _cut(example, first, length, min_inside)
        if len(part.labels):
            return part
    return _cut(example, int(rng.integers(0, steps - length + 1)), length, min_inside)


def _cut(example: Example, first: int, length: int, min_inside: float) -> Example:
    beyond = 0.5 * example.grid.window / example.grid.stride
    start, end = example.segments[:, 0], example.segments[:, 1]
    left = np.maximum(first - beyond, start)
    right = np.minimum(first + length + beyond, end)
    inside = np.maximum(right - left, 0.0) >= min_inside * (end - start)
    segments = np.stack([left, right], axis=1)[inside] - first
    return Example(
        example.features[first : first + length],
        segments.astype(np.float32),
        example.labels[inside],
        example.grid,
    )


def resize_steps(features: np.ndarray, length: int) -> np.ndarray:
    """Resizes features along time: linearly, half-pixel centres, no smoothing.

    Args:
        features: [T, C] float32.
        length: Steps of the result.

    Returns:
        [length, C] float32.

    Example:
        >>> resize_steps(np.array([[0.0], [1.0]], np.float32), 4)[:, 0].tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    steps = len(features)
    place = (np.arange(length) + 0.5) * (steps / length) - 0.5
    place = np.clip(place, 0, steps - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, steps - 1)
    part = (place - low)[:, None].astype(np.float32)
    return (1 - part) * features[low] + part * features[high]


def pad_example(
    example: Example, steps: int, max_actions: int
) -> tuple[np.ndarray, ...]:
    """Fills up a video with zeros.

    Args:
        example: The video.
        steps: Steps T of the result.
        max_actions: Actions G of the result.

    Returns:
        Features [T, C], which steps there are [T], segments [G, 2], classes [G], which
        actions there are [G].
    """
    count, actions = len(example.features), len(example.labels)
    more = max_actions - actions
    return (
        np.pad(example.features, ((0, steps - count), (0, 0))).astype(np.float32),
        np.arange(steps) < count,
        np.pad(example.segments, ((0, more), (0, 0))).astype(np.float32),
        np.pad(example.labels, (0, more)).astype(np.int32),
        np.arange(max_actions) < actions,
    )
