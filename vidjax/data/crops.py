"""How the frames of a test are resized and where its crops lie: whose rule it is."""

import math
from collections.abc import Callable, Sequence

from vidjax.data.transforms import Box, check_fits, short_side_size, view_box
from vidjax.typing import CropRule, Views

Crop = tuple[Box, bool]
"""A part of a frame, and whether left and right are swapped afterwards."""


def resized_size(
    height: int, width: int, *, short_side: int, views: Views
) -> tuple[int, int]:
    """Returns the size to which the frames of a test are resized.

    The long side is rounded to the nearest pixel ("even", "mmaction2") or down (the
    other rules), unless `views.aspect` says how wide frames are.

    Args:
        height: Rows of a frame.
        width: Columns of a frame.
        short_side: Pixels of the short side after resizing.
        views: The protocol.

    Returns:
        Height and width.

    Raises:
        ValueError: If a length is less than 1.

    Example:
        >>> resized_size(240, 427, short_side=256, views=Views(crops="tsm"))
        (256, 455)
    """
    if views.aspect is not None:
        return short_side, round(short_side * views.aspect)
    nearest = views.crops in ("even", "mmaction2")
    return short_side_size(height, width, short_side, round_down=not nearest)


def view_crops(height: int, width: int, *, size: int, views: Views) -> list[Crop]:
    """Returns the crops of every clip of a test, in the order of their views.

    Args:
        height: Rows of a frame after resizing.
        width: Columns of a frame after resizing.
        size: Rows and columns of a crop.
        views: The protocol.

    Returns:
        `views.num_crops` boxes, each with whether it is mirrored.

    Raises:
        ValueError: If the rule knows no such number of crops, or the frame is smaller
            than a crop.

    Example:
        >>> views = Views(num_crops=3, crops="mmaction2")
        >>> [box.left for box, _ in view_crops(256, 341, size=256, views=views)]
        [0, 84, 42]
    """
    check_fits(height, width, size)
    known = _PLACES[views.crops]
    if views.num_crops not in known:
        raise ValueError(
            f"Crops by the rule {views.crops!r} are {sorted(known)} in number, got "
            f"{views.num_crops}."
        )
    places = known[views.num_crops](height, width, size)
    boxes = [Box(top, left, size, size) for top, left in places]
    if views.num_crops == 10:  # Each place twice.
        boxes = [box for box in boxes for _ in range(2)]
    return [(box, is_mirrored(i, views=views)) for i, box in enumerate(boxes)]


def is_mirrored(crop: int, *, views: Views) -> bool:
    """Tells whether left and right of a crop are swapped.

    Args:
        crop: Which crop, in [0, views.num_crops).
        views: The protocol.

    Returns:
        True for every second one of ten.
    """
    return views.num_crops == 10 and crop % 2 == 1


Places = Sequence[tuple[int, int]]


def _even(count: int) -> Callable[[int, int, int], Places]:
    """Along the longer side from its start to its end; centres round down."""

    def places(height: int, width: int, size: int) -> Places:
        boxes = [
            view_box(height, width, size=size, crop=crop, num_crops=count)
            for crop in range(count)
        ]
        return [(box.top, box.left) for box in boxes]

    return places


def _rounded_center(height: int, width: int, size: int) -> Places:
    """Torchvision's CenterCrop: rounded half to even."""
    return [(round((height - size) / 2), round((width - size) / 2))]


def _pyslowfast(crops: Sequence[int]) -> Callable[[int, int, int], Places]:
    """`uniform_crop` of slowfast/datasets/transform.py: centres are rounded up."""

    def places(height: int, width: int, size: int) -> Places:
        tops = [math.ceil((height - size) / 2)] * 3
        lefts = [math.ceil((width - size) / 2)] * 3
        along, room = (tops, height - size) if height > width else (lefts, width - size)
        along[0], along[2] = 0, room
        return [(tops[crop], lefts[crop]) for crop in crops]

    return places


def _steps(
    parts: int, order: Sequence[tuple[int, int]]
) -> Callable[[int, int, int], Places]:
    """Whole numbers of steps from the corner; a step is a share of the room."""

    def places(height: int, width: int, size: int) -> Places:
        down, right = (height - size) // parts, (width - size) // parts
        return [(y * down, x * right) for y, x in order]

    return places


def _mmaction2_three(height: int, width: int, size: int) -> Places:
    """ThreeCrop: crops as large as one side, the centre last."""
    order = [(0, 0), (0, 2), (0, 1)] if size == height else [(0, 0), (2, 0), (1, 0)]
    if size not in (height, width):
        raise ValueError(
            "Three crops by MMAction2's rule are as large as a side of the frame, got "
            f"crops of {size} and frames of {height} x {width}."
        )
    return _steps(2, order)(height, width, size)


_CORNERS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
_CORNER_CROPS = {5: _steps(4, _CORNERS), 10: _steps(4, _CORNERS)}

_PLACES: dict[CropRule, dict[int, Callable[[int, int, int], Places]]] = {
    "even": {1: _even(1), 3: _even(3), **_CORNER_CROPS},
    # mmaction/datasets/transforms/processing.py: CenterCrop, ThreeCrop, TenCrop.
    "mmaction2": {1: _steps(2, [(1, 1)]), 3: _mmaction2_three, **_CORNER_CROPS},
    "pyslowfast": {1: _pyslowfast((1,)), 3: _pyslowfast((0, 1, 2))},
    # temporal-shift-module/ops/transforms.py: GroupFullResSample, GroupOverSample.
    "tsm": {
        1: _rounded_center,
        3: _steps(4, [(2, 0), (2, 4), (2, 2)]),
        **_CORNER_CROPS,
    },
    "torchvision": {1: _rounded_center},
}
