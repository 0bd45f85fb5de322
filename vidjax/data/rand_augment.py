"""RandAugment for clips: operations are drawn once, and are the same in every frame."""

from collections.abc import Callable

import numpy as np

# As `_RANDAUGMENT_SPACE` of the published code (Table 6 of the paper's appendix): each
# is equally likely. Ranges are those of magnitude 10.
_ROTATE, _SHEAR, _TRANSLATE, _ENHANCE = 30.0, 0.3, 0.45, 0.9
_FILL = 128  # Grey, which is what published video recipes leave at the border.
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)

Operation = Callable[[np.ndarray, float, float], np.ndarray]
"""From a clip uint8 [T, H, W, 3], a strength in [0, 1] and a sign to a clip."""


def rand_augment(
    clip: np.ndarray,
    *,
    rng: np.random.Generator,
    layers: int,
    magnitude: float,
    deviation: float = 0.5,
) -> np.ndarray:
    """Applies some operations, drawn at random, to a clip.

    Args:
        clip: Pixels, uint8 RGB [T, H, W, 3].
        rng: Where randomness comes from.
        layers: Operations N, one after the other; each happens with probability 0.5.
        magnitude: Strength M in [0, 10] about which strengths vary.
        deviation: Standard deviation of the strength.

    Returns:
        A clip of the same shape, uint8.

    Raises:
        ValueError: If there are fewer than zero operations, or the magnitude is out of
            range.

    References:
        Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced
        Search Space", CVPR Workshops 2020, https://arxiv.org/abs/1909.13719. Strengths
        vary and operations are left out half the time as in the recipes of SlowFast and
        MViT ("rand-m7-n4-mstd0.5-inc1"): stronger is always further from the clip.
    """
    if layers < 0 or not 0 <= magnitude <= 10:
        raise ValueError(
            "RandAugment takes a number of operations and a magnitude in [0, 10], got "
            f"{layers} and {magnitude:g}."
        )
    names = list(OPERATIONS)
    for _ in range(layers):
        name = names[int(rng.integers(len(names)))]
        happens, side = rng.random(2)
        strength = np.clip(rng.normal(magnitude, deviation), 0, 10) / 10
        if happens < 0.5:
            sign = 1.0 if side < 0.5 else -1.0
            clip = OPERATIONS[name](clip, float(strength), sign)
    return clip


def _table(clip: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)[clip]


def _auto_contrast(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del strength, sign
    low, high = (f(clip, axis=(0, 1, 2)).astype(float) for f in (np.min, np.max))
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1.0)
    low = np.where(high > low, low, 0.0)
    columns = [
        _table(clip[..., c], (np.arange(256) - low[c]) * scale[c]) for c in range(3)
    ]
    return np.stack(columns, axis=-1)


def _equalize(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del strength, sign
    columns = []
    for c in range(3):
        counts = np.bincount(clip[..., c].ravel(), minlength=256)
        below = np.cumsum(counts) - counts
        span = clip[..., c].size - counts[np.flatnonzero(counts)[-1]]
        values = 255 * below / span if span else np.arange(256)
        columns.append(_table(clip[..., c], values))
    return np.stack(columns, axis=-1)


def _invert(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del strength, sign
    return 255 - clip


def _posterize(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del sign
    bits = 4 - int(strength * 4)  # Bits that are kept.
    return clip & np.uint8(256 - (1 << (8 - bits)) if bits else 0)


def _solarize(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del sign
    return np.where(clip < 256 - strength * 256, clip, 255 - clip)


def _solarize_add(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    del sign
    values = np.arange(256)
    return _table(clip, np.where(values < 128, values + 110 * strength, values))


def _blend(clip: np.ndarray, other: np.ndarray, factor: float) -> np.ndarray:
    values = other + factor * (clip.astype(np.float32) - other)
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _color(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return _blend(clip, (clip @ _GRAY)[..., None], 1 + sign * _ENHANCE * strength)


def _contrast(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    mean = np.float32((clip[:, ::4, ::4] @ _GRAY).mean())
    factor = 1 + sign * _ENHANCE * strength
    return _table(clip, mean + factor * (np.arange(256) - mean))


def _brightness(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return _table(clip, np.arange(256) * (1 + sign * _ENHANCE * strength))


def _sharpness(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    """Against a smoothed clip: a 3 x 3 mean whose centre counts five times (PIL)."""
    values = clip.astype(np.float32)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (around + 4 * values) / 13
    return _blend(clip, smooth, 1 + sign * _ENHANCE * strength)


def _rotate(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    angle = np.deg2rad(sign * _ROTATE * strength)
    cos, sin = np.cos(angle), np.sin(angle)
    return warp(clip, np.array([[cos, -sin], [sin, cos]]), (0.0, 0.0))


def _shear_x(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return warp(clip, np.array([[1, 0], [sign * _SHEAR * strength, 1]]), (0.0, 0.0))


def _shear_y(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return warp(clip, np.array([[1, sign * _SHEAR * strength], [0, 1]]), (0.0, 0.0))


def _translate_x(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return warp(clip, np.eye(2), (0.0, sign * _TRANSLATE * strength * clip.shape[2]))


def _translate_y(clip: np.ndarray, strength: float, sign: float) -> np.ndarray:
    return warp(clip, np.eye(2), (sign * _TRANSLATE * strength * clip.shape[1], 0.0))


def warp(
    clip: np.ndarray, matrix: np.ndarray, shift: tuple[float, float]
) -> np.ndarray:
    """Moves pixels by an affine map about the centre; the nearest pixel is taken.

    Args:
        clip: Pixels, uint8 [T, H, W, C].
        matrix: From (y, x) of the result to (y, x) of the clip, [2, 2].
        shift: Added to that, (y, x) in pixels.

    Returns:
        A clip of the same shape; grey where the clip has nothing.
    """
    height, width = clip.shape[1:3]
    center = np.array([(height - 1) / 2, (width - 1) / 2])
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    source = (grid - center) @ matrix.T + center + np.asarray(shift)
    y, x = np.moveaxis(np.round(source).astype(np.int64), -1, 0)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    moved = clip[:, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside[None, :, :, None], moved, np.uint8(_FILL))


OPERATIONS: dict[str, Operation] = {
    "auto_contrast": _auto_contrast,
    "equalize": _equalize,
    "invert": _invert,
    "rotate": _rotate,
    "posterize": _posterize,
    "solarize": _solarize,
    "solarize_add": _solarize_add,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
}
"""Operations by name."""
