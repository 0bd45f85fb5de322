"""What the clips of `synthetic_motion` show: one shape over a background, painted.

Colours, outlines and textures are drawn from a seed. All numbers in this file are ours.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

_DRIFT = (0.0, 0.02)  # Speed of the background, in shares of the frame's side.
_ANGLES = 512  # Entries of the table that holds an outline.
_HUE_APART = 0.5  # Turns from the background's hue to the shape's.
_RIM = 0.1  # Width of the rim, in shares of the radius.


@dataclasses.dataclass(frozen=True)
class _Outline:
    """A shape as a star around its centre, in tables over the angle, [_ANGLES].

    Attributes:
        inverse: One over the distance from the centre to the edge; at least 1.
        slope: Length of the gradient of radius * inverse, which turns it to a distance.
    """

    inverse: np.ndarray
    slope: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Waves:
    """A texture: a sum of plane waves.

    Attributes:
        vectors: Wave vectors (x, y) in radians per unit of length, [N, 2].
        phases: Phases, uniform on the circle, in radians, [N].
        sharpness: Size of the sum; large values give hard stripes and checks.
    """

    vectors: np.ndarray
    phases: np.ndarray
    sharpness: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that a clip shows, as it is at the first frame.

    Attributes:
        position: Centre (x, y) of the shape on the torus, in shares of the side, [2].
        angle: Its orientation, clockwise on the screen, in radians.
        size: Its size as a position on the cycle of sizes, in [0, 1).
        outline: Its outline.
        texture: What it carries.
        ground: Texture of the background.
        drift: Speed (x, y) of the background, in shares of the side per frame, [2].
        shape_colours: Two colours of the shape, RGB in [0, 1], [2, 3].
        ground_colours: Two colours of the background, RGB in [0, 1], [2, 3].
        rim_colour: Colour of the rim, RGB in [0, 1], [3].
    """

    position: np.ndarray
    angle: float
    size: float
    outline: _Outline
    texture: _Waves
    ground: _Waves
    drift: np.ndarray
    shape_colours: np.ndarray
    ground_colours: np.ndarray
    rim_colour: np.ndarray


@dataclasses.dataclass(frozen=True)
class Motion:
    """Where the shape is at each frame.

    Attributes:
        time: Time of each frame; the last one is below 8 in a clip of 8 frames or more,
            [T].
        position: Centre (x, y) on the torus, in shares of the side in [0, 1), [T, 2].
        angle: Orientation, clockwise on the screen, in radians in [0, 2 pi), [T].
        radius: Radius of the circle around it, in shares of the side, [T].
    """

    time: np.ndarray
    position: np.ndarray
    angle: np.ndarray
    radius: np.ndarray

    def __getitem__(self, frames: slice) -> "Motion":
        """Returns the motion over some of the frames."""
        return Motion(
            self.time[frames],
            self.position[frames],
            self.angle[frames],
            self.radius[frames],
        )


def draw_scene(rng: np.random.Generator, *, hue: float | None = None) -> Scene:
    """Draws a scene.

    Args:
        rng: Where randomness comes from.
        hue: Of the shape, in turns, give or take 0.12; None draws one.

    Returns:
        The scene at its first frame; position, orientation and size are uniform on
        their cycles, and so are the phases of all textures.
    """
    x, y, angle, size, heading, speed, ground_hue = rng.random(7)
    if hue is not None:
        ground_hue = hue - _HUE_APART
    pace = _DRIFT[0] + (_DRIFT[1] - _DRIFT[0]) * speed
    drift = pace * np.array([np.cos(2 * np.pi * heading), np.sin(2 * np.pi * heading)])
    shape_colours, ground_colours, rim_colour = _draw_colours(ground_hue, rng)
    return Scene(
        position=np.array([x, y]),
        angle=2 * np.pi * angle,
        size=size,
        outline=_draw_outline(rng),
        texture=_draw_texture(rng),
        ground=_draw_ground(rng),
        drift=drift,
        shape_colours=shape_colours,
        ground_colours=ground_colours,
        rim_colour=rim_colour,
    )


def _draw_outline(rng: np.random.Generator) -> _Outline:
    """Draws an ellipse, a star, or a polygon of three to six sides."""
    kind = rng.integers(6)
    if kind == 0:
        angle = 2 * np.pi * np.arange(_ANGLES) / _ANGLES
        inverse = np.hypot(np.cos(angle), np.sin(angle) / rng.uniform(0.45, 0.7))
    elif kind == 1:
        inverse = _join_corners(np.tile([1.0, rng.uniform(0.45, 0.6)], 5))
    else:
        corners = rng.uniform(0.8, 1.0, kind + 1)
        inverse = _join_corners(corners / corners.max())
    around = np.concatenate([inverse[-1:], inverse, inverse[:1]])
    change = (around[2:] - around[:-2]) * (_ANGLES / (4 * np.pi))
    slope = np.hypot(inverse, change)
    return _Outline(inverse.astype(np.float32), slope.astype(np.float32))


def _join_corners(radii: np.ndarray) -> np.ndarray:
    """Joins corners at equal angles by straight lines: one over the radius, [_ANGLES].

    In polar coordinates a line through (r1, a1) and (r2, a2) is
    1 / r = (sin(a2 - a) / r1 + sin(a - a1) / r2) / sin(a2 - a1).
    """
    step = 2 * np.pi / len(radii)
    side, along = np.divmod(np.arange(_ANGLES) * len(radii) / _ANGLES, 1)
    side, along = side.astype(int), along * step
    first, second = radii[side], np.roll(radii, -1)[side]
    return (np.sin(step - along) / first + np.sin(along) / second) / np.sin(step)


def _draw_texture(rng: np.random.Generator) -> _Waves:
    """Draws the stripes or checks that a shape carries; its radius is one unit."""
    heading = rng.uniform(0, 2 * np.pi) + np.array([0.0, rng.uniform(1.2, 1.9)])
    length = rng.uniform(3.5, 6.0, 2)
    vectors = length[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    stripes = rng.random() < 0.5
    phases = rng.uniform(0, 2 * np.pi, 2)
    kept = slice(1) if stripes else slice(2)
    return _Waves(vectors[kept], phases[kept], 3.0)


def _draw_ground(rng: np.random.Generator) -> _Waves:
    """Draws the background; the side of the frame is one unit."""
    heading = rng.uniform(0, 2 * np.pi, 5)
    length = 2 * np.pi * rng.uniform(1.0, 3.0, 5)
    vectors = length[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return _Waves(vectors, rng.uniform(0, 2 * np.pi, 5), 0.8)


def _draw_colours(
    hue: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws bright colours for the shape and dark ones of another hue for the rest."""
    jitter = rng.uniform(-1, 1, 8)
    far = hue + _HUE_APART + 0.12 * jitter[0]
    colours = _hsv_to_rgb(
        hue=[
            far,
            far + 0.17 + 0.05 * jitter[1],
            hue + 0.06 * jitter[2],
            hue + 0.12 * jitter[3],
            hue,
        ],
        saturation=[0.85, 0.35, 0.8, 0.7, 0.6] + np.append(jitter[4:], 0) * 0.15,
        value=[1.0, 0.97, 0.18, 0.55, 0.08],
    )
    return colours[:2], colours[2:4], colours[4]


def _hsv_to_rgb(
    *, hue: ArrayLike, saturation: ArrayLike, value: ArrayLike
) -> np.ndarray:
    """Turns hues in turns, and saturations and values in [0, 1], to RGB, [N, 3]."""
    turn = np.asarray(hue)[:, None] + np.array([0.0, 2 / 3, 1 / 3])
    ramp = np.clip(np.abs(turn % 1 * 6 - 3) - 1, 0, 1)
    grey = 1 - np.asarray(saturation)[:, None] * (1 - ramp)
    return np.asarray(value)[:, None] * grey


def paint(scene: Scene, motion: Motion, size: int) -> np.ndarray:
    """Paints frames: the background, and the shape over it.

    Args:
        scene: What is painted.
        motion: Where the shape is at each of T frames.
        size: Height and width in pixels.

    Returns:
        The frames, uint8 RGB in [0, 255], [T, size, size, 3].
    """
    grid = (np.arange(size) + 0.5) / size  # Centres of the pixels.
    # Offsets from the centre of the shape, the short way around the torus, [T, size].
    dx = (grid - motion.position[:, :1] + 0.5) % 1 - 0.5
    dy = (grid - motion.position[:, 1:] + 0.5) % 1 - 0.5
    depth = _depth_px(scene.outline, motion, dx, dy, size)
    rim_px = (_RIM * size) * motion.radius[:, None, None].astype(np.float32)
    cover = np.clip(depth + 0.5, 0, 1)
    inner = np.clip(depth - rim_px + 0.5, 0, 1)
    skin = _mix(scene.texture, _carry(scene.texture.vectors, motion), dx, dy)
    x, y = (grid - motion.time[:, None] * speed for speed in scene.drift)
    ground = _mix(scene.ground, scene.ground.vectors[None], x, y)
    return _blend(scene, ground, skin, cover, inner)


def _carry(vectors: np.ndarray, motion: Motion) -> np.ndarray:
    """Turns and scales the wave vectors of a shape's texture with it, [T, N, 2]."""
    x, y = vectors[:, 0], vectors[:, 1]
    cos, sin = np.cos(motion.angle)[:, None], np.sin(motion.angle)[:, None]
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)
    return turned / motion.radius[:, None, None]


def _depth_px(
    outline: _Outline, motion: Motion, dx: np.ndarray, dy: np.ndarray, size: int
) -> np.ndarray:
    """Distance into the shape in pixels, negative outside, float32 [T, H, W]."""
    dx = dx.astype(np.float32)[:, None, :]
    dy = dy.astype(np.float32)[:, :, None]
    turned = np.arctan2(dy, dx) - motion.angle.astype(np.float32)[:, None, None]
    entry = (turned * np.float32(_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    radius = motion.radius.astype(np.float32)[:, None, None]
    far = np.sqrt(dx * dx + dy * dy)
    return (radius - far * outline.inverse[entry]) / outline.slope[entry] * size


def _mix(
    waves: _Waves, vectors: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Share of the second colour in [0, 1] at places (x, y), float32 [T, H, W].

    With cos(a + b) = cos(a) cos(b) - sin(a) sin(b), where a depends on x and b on y,
    the sum of N waves on a grid is a product of matrices.

    Args:
        waves: The texture.
        vectors: Its wave vectors as they lie at each frame, [T, N, 2] or [1, N, 2].
        x: Places of the columns, [T, W].
        y: Places of the rows, [T, H].
    """
    a = vectors[:, :, :1] * x[:, None, :]  # [T, N, W].
    b = vectors[:, :, 1:] * y[:, None, :] + waves.phases[:, None]  # [T, N, H].
    along_x = np.concatenate([np.cos(a), -np.sin(a)], axis=1).astype(np.float32)
    along_y = np.concatenate([np.cos(b), np.sin(b)], axis=1).astype(np.float32)
    field = along_y.swapaxes(1, 2) @ along_x
    field = field * np.float32(waves.sharpness)
    return 0.5 + 0.5 * field / np.sqrt(1 + field * field)


def _blend(
    scene: Scene,
    ground: np.ndarray,
    skin: np.ndarray,
    cover: np.ndarray,
    inner: np.ndarray,
) -> np.ndarray:
    """Joins the layers, each with its two colours, to uint8 [T, H, W, 3]."""
    under = 1 - cover
    layers = (
        under * (1 - ground),
        under * ground,
        cover - inner,
        inner * (1 - skin),
        inner * skin,
    )
    colours = np.concatenate(
        [scene.ground_colours, scene.rim_colour[None], scene.shape_colours]
    )
    weights = np.stack(layers).reshape(len(layers), -1)
    pixels = weights.T @ (255 * colours.astype(np.float32)) + np.float32(0.5)
    return pixels.astype(np.uint8).reshape(*ground.shape, 3)
