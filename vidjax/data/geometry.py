"""Which part of a frame a training clip shows: drawn once for all of its frames."""

from collections.abc import Callable
from typing import Any

import numpy as np

from vidjax.config import AugmentConfig
from vidjax.data.transforms import Box, check_fits, short_side_size

Geometry = Callable[[int, int], tuple[tuple[int, int], Box]]
"""From the height and width of a frame to the size to which it is resized, and the box
that is cut out of that."""

_ATTEMPTS = 10  # torchvision's RandomResizedCrop tries as often.


def draw_geometry(
    rng: np.random.Generator,
    *,
    size: int,
    short_side: tuple[int, int],
    augment: AugmentConfig,
) -> Geometry:
    """Draws where a training clip is cut from.

    Args:
        rng: Where randomness comes from; the number of draws is always the same.
        size: Height and width of the clip in pixels.
        short_side: Smallest and largest short side to which a frame is resized before a
            "random" crop.
        augment: Which kind of crop, and its ranges.

    Returns:
        The geometry, a function of the size of a frame. It raises a ValueError where
        the clip does not fit.

    References:
        "resized": Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, Sec. 6;
        "multi_scale": Wang et al., "Towards Good Practices for Very Deep Two-Stream
        ConvNets", 2015, Sec. 3.3, https://arxiv.org/abs/1507.02159, whose sides differ
        by at most one step of the scales.
    """
    place = rng.random(2)
    side = int(rng.integers(short_side[0], short_side[1] + 1))
    shapes = rng.random((_ATTEMPTS, 2))

    def random(height: int, width: int) -> tuple[tuple[int, int], Box]:
        resized = short_side_size(height, width, side)
        check_fits(*resized, size)
        return resized, _place(resized, size, place)

    def part(height: int, width: int) -> tuple[tuple[int, int], Box]:
        rows, columns = _draw_shape(height, width, shapes, augment)
        return _zoom(height, width, rows, columns, size=size, place=place)

    def multi_scale(height: int, width: int) -> tuple[tuple[int, int], Box]:
        rows, columns = _draw_scales(min(height, width), shapes[0], augment.scales)
        offsets = fixed_offsets(height - rows, width - columns)
        top, left = offsets[int(place[0] * len(offsets))]
        resized = _resized(height, width, rows, columns, size)
        box = Box(
            min(round(top * size / rows), resized[0] - size),
            min(round(left * size / columns), resized[1] - size),
            *(size, size),
        )
        return resized, box

    kinds: dict[str, Any] = {
        "random": random,
        "resized": part,
        "multi_scale": multi_scale,
    }
    return kinds[augment.crop]


def fixed_offsets(room_down: int, room_right: int) -> list[tuple[int, int]]:
    """Returns the 13 places of a multi-scale crop (TSN and TSM).

    Args:
        room_down: Rows that a crop leaves.
        room_right: Columns that it leaves.

    Returns:
        Rows and columns of the upper left corner.

    References:
        mit-han-lab/temporal-shift-module, ops/transforms.py, `fill_fix_offset`.
    """
    down, right = room_down // 4, room_right // 4
    steps = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    steps += [(2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(y * down, x * right) for y, x in steps]


def _place(resized: tuple[int, int], size: int, place: np.ndarray) -> Box:
    """A square, all places equally likely."""
    top, left = (
        int(share * (length - size + 1))
        for share, length in zip(place, resized, strict=True)
    )
    return Box(top, left, size, size)


def _zoom(
    height: int, width: int, rows: int, columns: int, *, size: int, place: np.ndarray
) -> tuple[tuple[int, int], Box]:
    resized = _resized(height, width, rows, columns, size)
    return resized, _place(resized, size, place)


def _resized(
    height: int, width: int, rows: int, columns: int, size: int
) -> tuple[int, int]:
    """Size of a frame of which `rows` by `columns` become as large as the clip."""
    high, wide = round(height * size / rows), round(width * size / columns)
    return max(size, high), max(size, wide)


def _draw_shape(
    height: int, width: int, draws: np.ndarray, augment: AugmentConfig
) -> tuple[int, int]:
    """Area and logarithm of the aspect are uniform; the first that fits is taken."""
    low, high = augment.area
    narrow, wide = np.log(augment.aspect)
    for area_draw, aspect_draw in draws:
        area = height * width * (low + (high - low) * area_draw)
        aspect = float(np.exp(narrow + (wide - narrow) * aspect_draw))
        columns, rows = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < rows <= height and 0 < columns <= width:
            return rows, columns
    aspect = min(max(width / height, augment.aspect[0]), augment.aspect[1])
    if width / height < aspect:
        return max(1, round(width / aspect)), width
    return height, max(1, round(height * aspect))


def _draw_scales(
    base: int, draws: np.ndarray, scales: tuple[float, ...]
) -> tuple[int, int]:
    pairs = [
        (one, other)
        for i, one in enumerate(scales)
        for j, other in enumerate(scales)
        if abs(i - j) <= 1
    ]
    rows, columns = pairs[int(draws[0] * len(pairs))]
    return max(1, int(base * rows)), max(1, int(base * columns))
