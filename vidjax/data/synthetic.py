"""`synthetic_motion`: clips drawn from a seed, in which only motion tells the class.

A textured shape moves over a textured background that drifts on its own. Position,
orientation and size of the shape each live on a cycle: the frame wraps around, angles
do by themselves, and a shape that outgrows the largest size re-enters at the smallest.
All three start uniformly on their cycle and independently of the class, so they are
uniform at every frame, and so are the phases of the background:

    At each frame index, a single frame has the same distribution whatever the class.

A network that averages the scores of single frames therefore stays at chance. Its
score of class k has the same expectation whatever the label, so the expected score of
the true class is the mean over all classes, and by Jensen's inequality the expected
cross-entropy is at least log K, which the network that knows nothing reaches. Reversing
time turns "left" into "right", so even the unordered set of frames has the same
distribution for the two classes of such a pair.

`synthetic_two_stream` has classes of two kinds. Some are told by the motion of a shape
whose hue is always the same, the others by its hue, while its motion is one of those of
the first kind, all equally likely. Whoever sees single frames knows the second kind and
can only guess among the first; whoever sees motion alone does not know whether it is
the class or chance.

All numbers in this file are ours.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vidjax.data.scenes import Motion, Scene, draw_scene, paint

CLASSES = (
    "left",
    "right",
    "up",
    "down",
    "clockwise",
    "counterclockwise",
    "approach",
    "recede",
    "swing",
    "bounce",
)
"""Names of the classes, by label: "swing" goes left and right, "bounce" up and down."""

TWO_STREAM_CLASSES = ("left", "right", "clockwise", "red", "green", "cyan")
"""Names of the classes of `synthetic_two_stream`: three by motion, three by hue."""

_HUES = {"red": 0.0, "green": 0.25, "cyan": 0.5}  # Of the shape, in turns.
_MOVING_HUE = 0.75  # Of shapes whose motion is the class.

_MIN_SIZE = 8
_PACE_FRAMES = 8  # Longer clips show the motion of this many frames more finely.

# Per frame of a clip of `_PACE_FRAMES` frames.
_SPEED = (0.036, 0.064)  # Shares of the frame's side: 1.2 to 2 pixels of 32.
_TURN_DEG = (14.0, 24.0)
_GROWTH = (0.045, 0.07)  # Change of the logarithm of the size.
_PERIOD = (4.5, 6.5)  # Frames in which an oscillation comes back.

_RADIUS = (0.22, 0.5)  # Of the circle around the shape, in shares of the side.
_CHUNK_PIXELS = 2**16


def draw_clip(
    label: int,
    *,
    num_frames: int,
    size: int,
    seed: int | Sequence[int],
    classes: Sequence[str] = CLASSES,
) -> np.ndarray:
    """Draws one clip of `synthetic_motion`, or of other classes.

    With the same seed the first frame is the same for every label; what follows differs
    in motion alone. A clip of more than 8 frames shows the same motion more finely.

    Args:
        label: Index into `classes`.
        num_frames: Frames T, at least 1.
        size: Height and width in pixels, at least 8.
        seed: Seed, or several numbers that make one together; none negative.
        classes: `CLASSES`, or `TWO_STREAM_CLASSES`.

    Returns:
        The clip, uint8 RGB in [0, 255], [T, size, size, 3].

    Raises:
        ValueError: If `label` is no class, or `num_frames` or `size` is too small.

    Example:
        >>> draw_clip(0, num_frames=8, size=32, seed=1).shape
        (8, 32, 32, 3)
    """
    if size < _MIN_SIZE:
        raise ValueError(f"size must be at least {_MIN_SIZE} pixels, got {size}.")
    parts = list(paint_parts(*_plan(label, num_frames, seed, classes), size))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def paint_parts(scene: Scene, motion: Motion, size: int) -> Iterator[np.ndarray]:
    """Paints frames, a few at once, so that they stay in the cache.

    Args:
        scene: What is painted.
        motion: Where its shape is at each of T frames.
        size: Height and width in pixels.

    Yields:
        The frames, uint8 RGB in [0, 255], [t, size, size, 3], T in all.
    """
    step = max(1, _CHUNK_PIXELS // size**2)
    for start in range(0, len(motion.time), step):
        yield paint(scene, motion[start : start + step], size)


def trace_motion(
    label: int,
    *,
    num_frames: int,
    seed: int | Sequence[int],
    classes: Sequence[str] = CLASSES,
) -> Motion:
    """Returns where the shape of `draw_clip` is at each frame, without drawing it.

    Args:
        label: Index into `classes`.
        num_frames: Frames T, at least 1.
        seed: As in `draw_clip`.
        classes: As in `draw_clip`.

    Returns:
        The motion of the shape.

    Raises:
        ValueError: If `label` is no class or `num_frames` is less than 1.

    Example:
        >>> x = trace_motion(1, num_frames=3, seed=0).position[:, 0]
        >>> bool(np.all(np.diff(x) % 1 < 0.1))  # "right"
        True
    """
    return _plan(label, num_frames, seed, classes)[1]


def _plan(
    label: int,
    num_frames: int,
    seed: int | Sequence[int],
    classes: Sequence[str] = CLASSES,
) -> tuple[Scene, Motion]:
    if not 0 <= label < len(classes):
        raise ValueError(f"label must be in [0, {len(classes)}), got {label}.")
    if num_frames < 1:
        raise ValueError(f"num_frames must be at least 1, got {num_frames}.")
    rng = np.random.default_rng(seed)
    name, moving = classes[label], [name for name in classes if name not in _HUES]
    hue = None if len(moving) == len(classes) else _HUES.get(name, _MOVING_HUE)
    # Before the motion: the same for every label.
    scene = draw_scene(rng, hue=hue)
    if name in _HUES:
        name = moving[rng.integers(len(moving))]
    return scene, _move(scene, name, num_frames, rng)


def _move(scene: Scene, name: str, num_frames: int, rng: np.random.Generator) -> Motion:
    """Moves the state of a scene over the frames; at the first it stays as it is."""
    time = np.arange(num_frames) * min(1.0, _PACE_FRAMES / num_frames)
    return start_motion(scene, time, [displace(name, time, rng)])


class Displacement(NamedTuple):
    """How far a shape is from where it began.

    Attributes:
        shift: Along x and y, in shares of the side, [T, 2].
        turn: Clockwise on the screen, in radians, [T].
        growth: Of the logarithm of its radius, [T].
    """

    shift: np.ndarray
    turn: np.ndarray
    growth: np.ndarray


def displace(name: str, time: np.ndarray, rng: np.random.Generator) -> Displacement:
    """Draws how a shape moves.

    Args:
        name: A class that is told by motion, of `CLASSES`.
        time: Since it began, in frames, [T].
        rng: Where its speed comes from; the same numbers are drawn for every class.

    Returns:
        How far it is at each time; nothing at time 0.
    """
    shift = np.zeros((len(time), 2))
    turn, growth = np.zeros(len(time)), np.zeros(len(time))
    speed, turning, growing, period, phase = rng.random(5)
    step = time * _within(_SPEED, speed)
    match name:
        case "left" | "right":
            shift[:, 0] = step if name == "right" else -step
        case "up" | "down":
            shift[:, 1] = step if name == "down" else -step
        case "clockwise" | "counterclockwise":
            turn = time * np.radians(_within(_TURN_DEG, turning))
            turn = turn if name == "clockwise" else -turn
        case "approach" | "recede":
            growth = time * _within(_GROWTH, growing)
            growth = growth if name == "approach" else -growth
        case _:
            pulse = 2 * np.pi / _within(_PERIOD, period)
            # The largest speed is that of a steady motion and half as much again.
            reach = 1.5 * _within(_SPEED, speed) / pulse
            start = 2 * np.pi * phase
            sway = reach * (np.sin(pulse * time + start) - np.sin(start))
            shift[:, 0 if name == "swing" else 1] = sway
    return Displacement(shift, turn, growth)


def start_motion(
    scene: Scene, time: np.ndarray, parts: Sequence[Displacement]
) -> Motion:
    """Returns the motion of a scene's shape, which begins as the scene has it.

    Args:
        scene: The scene.
        time: Of each frame, [T].
        parts: What moves the shape; displacements add up.

    Returns:
        Where it is at each frame.
    """
    shift, turn, growth = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    low, high = np.log(_RADIUS)
    return Motion(
        time=time,
        position=(scene.position + shift) % 1,
        angle=(scene.angle + turn) % (2 * np.pi),
        radius=np.exp(low + (scene.size + growth / (high - low)) % 1 * (high - low)),
    )


def _within(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * share
