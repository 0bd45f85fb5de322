"""`synthetic_untrimmed`: videos in which motions of `synthetic_motion` begin and end.

A shape rests over a drifting background; now and then it moves as one of the classes
of `synthetic_motion` does, at the same pace, and rests again. Some actions overlap:
while the shape moves to the left, say, it begins to turn, and goes on turning when it
is in its place. Of what moves at the same time one is place along x or along y,
orientation or size, and the other is another of these. When the actions are is known to
the frame.

All numbers in this file are ours.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from vidjax.data.lists import Split
from vidjax.data.scenes import draw_scene
from vidjax.data.synthetic import (
    CLASSES,
    Displacement,
    displace,
    paint_parts,
    start_motion,
)

# What moves in each class: place along x or y, orientation, size.
_MOVES: dict[str, int] = dict(zip(CLASSES, (0, 0, 1, 1, 2, 2, 3, 3, 0, 1), strict=True))
_REST = (20, 50)  # Frames between actions.
_ACTION = (24, 64)  # Frames of an action.
_OVERLAP_RATE = 0.25  # Of actions that another one begins in.
_MIN_FRAMES, _MIN_SIZE = 100, 16


@dataclasses.dataclass(frozen=True)
class UntrimmedSettings:
    """Which videos are drawn.

    Attributes:
        num_train: Training videos.
        num_eval: Held-out videos.
        num_frames: Frames of a video, at least 100.
        fps: Frames a second.
        size: Height and width in pixels, even, at least 16.
        classes: Of `vidjax.data.synthetic.CLASSES`, in the order of their numbers.
        seed: Seed of the drawing.
    """

    num_train: int = 64
    num_eval: int = 24
    num_frames: int = 480
    fps: float = 24.0
    size: int = 32
    classes: tuple[str, ...] = CLASSES
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Action:
    """Something that happens in a video.

    Attributes:
        label: Name of its class.
        first: Its first frame.
        end: The frame behind its last.
    """

    label: str
    first: int
    end: int


def draw_actions(rng: np.random.Generator, settings: UntrimmedSettings) -> list[Action]:
    """Draws what happens in a video.

    Args:
        rng: Where randomness comes from.
        settings: Which videos are drawn.

    Returns:
        The actions in the order in which they begin; at most two at the same time.
    """
    names = settings.classes
    actions: list[Action] = []
    end = 0
    while True:
        first = end + int(rng.integers(*_REST, endpoint=True))
        end = first + int(rng.integers(*_ACTION, endpoint=True))
        label = names[rng.integers(len(names))]
        others = [name for name in names if _MOVES[name] != _MOVES[label]]
        found = [Action(label, first, end)]
        if others and rng.random() < _OVERLAP_RATE:
            inner = first + int(rng.uniform(0.3, 0.7) * (end - first))
            end = inner + int(rng.integers(*_ACTION, endpoint=True))
            found.append(Action(others[rng.integers(len(others))], inner, end))
        if max(action.end for action in found) > settings.num_frames - _REST[0]:
            return actions
        actions += found
        end = max(action.end for action in found)


def draw_untrimmed(
    index: int, *, split: Split, settings: UntrimmedSettings
) -> tuple[list[Action], Iterator[np.ndarray]]:
    """Draws a video.

    Args:
        index: Which, not negative.
        split: "train" or "eval"; no video is in both.
        settings: Which videos are drawn.

    Returns:
        What happens in it, and its frames, a few at once, uint8 RGB, [t, size, size,
        3].

    Raises:
        ValueError: If a setting is out of range.

    Example:
        >>> settings = UntrimmedSettings(num_frames=150, size=16)
        >>> actions, frames = draw_untrimmed(0, split="eval", settings=settings)
        >>> actions
        [Action(label='bounce', first=23, end=85)]
        >>> sum(len(part) for part in frames)
        150
    """
    check_untrimmed(settings)
    rng = np.random.default_rng((settings.seed, int(split == "eval"), index))
    scene, actions = draw_scene(rng), draw_actions(rng, settings)
    time = np.arange(settings.num_frames, dtype=np.float64)
    parts = [Displacement(np.zeros((len(time), 2)), 0 * time, 0 * time)]
    for action in actions:
        # The first frame that differs from the one before is that of the action.
        since = np.clip(time - action.first + 1, 0, action.end - action.first)
        parts.append(displace(action.label, since, rng))
    return actions, paint_parts(scene, start_motion(scene, time, parts), settings.size)


def check_untrimmed(settings: UntrimmedSettings) -> None:
    """Raises if videos cannot be drawn so.

    Args:
        settings: Which videos are drawn.

    Raises:
        ValueError: If a setting is out of range; all are told.
    """
    least = {
        "num_train": 1,
        "num_eval": 1,
        "num_frames": _MIN_FRAMES,
        "size": _MIN_SIZE,
        "seed": 0,
    }
    wrong = [
        f"{name} must be at least {low}, got {getattr(settings, name)}"
        for name, low in least.items()
        if getattr(settings, name) < low
    ]
    if settings.size % 2:
        wrong.append(f"size must be even, got {settings.size}")
    unknown = [name for name in settings.classes if name not in CLASSES]
    if unknown or not settings.classes:
        known = ", ".join(CLASSES)
        wrong.append(f"classes must be of {known}, got {unknown or 'none'}")
    if settings.fps <= 0:
        wrong.append(f"fps must be positive, got {settings.fps}")
    if wrong:
        raise ValueError(f"Untrimmed videos cannot be drawn so: {'; '.join(wrong)}.")
