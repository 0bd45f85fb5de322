"""Colours of a training clip: one draw, the same for every frame."""

import numpy as np

from vidjax.config import AugmentConfig

_GRAY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as torchvision and OpenCV.
# RGB to YIQ (NTSC), in which a turn of hue is a rotation.
_YIQ = np.array(
    [
        _GRAY,
        [0.59590059, -0.27455667, -0.32134392],
        [0.21153661, -0.52273617, 0.31119955],
    ]
)

_JITTERS = ("brightness", "contrast", "saturation", "hue")


def jitter_colors(
    clip: np.ndarray, *, rng: np.random.Generator, augment: AugmentConfig
) -> np.ndarray:
    """Varies brightness, contrast, saturation and hue, or takes colours away.

    All of it is one affine map of colours, and values are cut to [0, 255] once, at the
    end; contrast is about the mean grey of the clip. Ours: torchvision cuts after each
    step and does them in a random order.

    Args:
        clip: Pixels, uint8 RGB [T, H, W, 3].
        rng: Where randomness comes from; the number of draws is always the same.
        augment: Ranges; see `vidjax.config.AugmentConfig`.

    Returns:
        A clip of the same shape, uint8; the same array where nothing varies.
    """
    draws = 2 * rng.random(4) - 1
    gray = rng.random() < augment.gray_rate
    if not (gray or any(getattr(augment, name) for name in _JITTERS)):
        return clip
    bright = 1 + augment.brightness * draws[0]
    contrast = 1 + augment.contrast * draws[1]
    saturation = 1 + augment.saturation * draws[2]
    matrix = turn_hue(augment.hue * draws[3])
    matrix = _toward_gray(0.0 if gray else saturation) @ matrix
    matrix = bright * contrast * matrix
    # A sample is enough for a mean.
    mean = float((clip[:, ::4, ::4].reshape(-1, 3) @ _GRAY).mean())
    offset = (1 - contrast) * bright * mean
    values = clip.astype(np.float32) @ matrix.T.astype(np.float32)
    return np.clip(values + np.float32(offset + 0.5), 0, 255).astype(np.uint8)


def turn_hue(share: float) -> np.ndarray:
    """Returns the map of colours that turns hues.

    Args:
        share: Of the whole circle.

    Returns:
        A matrix for columns of RGB, float64 [3, 3]; greys stay as they are.
    """
    angle = 2 * np.pi * share
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    return np.linalg.inv(_YIQ) @ turn @ _YIQ


def _toward_gray(share: float) -> np.ndarray:
    return share * np.eye(3) + (1 - share) * np.tile(_GRAY, (3, 1))


def erase(clip: np.ndarray, *, rng: np.random.Generator, rate: float) -> np.ndarray:
    """Fills a rectangle with noise, the same in every frame.

    Args:
        clip: Pixels, uint8 [T, H, W, C].
        rng: Where randomness comes from.
        rate: Probability that it happens.

    Returns:
        A clip of the same shape, uint8; the same array where nothing is erased.

    References:
        Zhong et al., "Random Erasing Data Augmentation", AAAI 2020,
        https://arxiv.org/abs/1708.04896: areas of 2 % to a third of the frame, width
        over height of 0.3 to 1 / 0.3. Noise is uniform in [0, 255].
    """
    happens, area, aspect, *place = rng.random(5)
    if happens >= rate:
        return clip
    height, width = clip.shape[1:3]
    area = height * width * (0.02 + (1 / 3 - 0.02) * area)
    aspect = np.exp(np.log(0.3) * (1 - 2 * aspect))
    rows = int(min(height, max(1, round((area / aspect) ** 0.5))))
    columns = int(min(width, max(1, round((area * aspect) ** 0.5))))
    top, left = (
        int(place[0] * (height - rows + 1)),
        int(place[1] * (width - columns + 1)),
    )
    clip = clip.copy()
    noise = rng.integers(256, size=(rows, columns, clip.shape[3]), dtype=np.uint8)
    clip[:, top : top + rows, left : left + columns] = noise
    return clip
