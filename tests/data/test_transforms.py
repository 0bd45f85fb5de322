"""Sizes, boxes and flips."""

import numpy as np
import pytest

from vidjax.data.transforms import (
    Box,
    check_fits,
    crop_clip,
    empty_clip,
    flip_clip,
    short_side_size,
    view_box,
)


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (240, 320, 256, (256, 341)),
        (320, 240, 256, (341, 256)),
        (256, 340, 256, (256, 340)),
        (100, 100, 7, (7, 7)),
        (1, 1000, 2, (2, 2000)),
    ],
)
def test_the_short_side_gets_its_length(height, width, side, expected):
    assert short_side_size(height, width, side) == expected


@pytest.mark.parametrize(
    # Left and top of GroupFullResSample of mit-han-lab/temporal-shift-module, which
    # gives start, end, centre; here they come from start to end.
    ("height", "width", "size", "corners"),
    [
        (256, 340, 256, [(0, 0), (0, 42), (0, 84)]),
        (256, 340, 224, [(16, 0), (16, 58), (16, 116)]),
        (340, 256, 224, [(0, 16), (58, 16), (116, 16)]),
    ],
)
def test_three_crops_lie_along_the_longer_side(height, width, size, corners):
    boxes = [view_box(height, width, size=size, crop=i, num_crops=3) for i in range(3)]
    assert [(box.top, box.left) for box in boxes] == corners
    assert view_box(height, width, size=size, crop=0, num_crops=1) == boxes[1]


def test_a_crop_is_the_same_in_all_frames():
    clip = np.arange(2 * 4 * 5).reshape(2, 4, 5, 1)

    part = crop_clip(clip, Box(1, 2, 2, 3))
    np.testing.assert_array_equal(part, clip[:, 1:3, 2:5])
    whole = part.copy()
    assert flip_clip(part) is part
    np.testing.assert_array_equal(part, whole[:, :, ::-1])


def test_room_for_pixels_begins_where_tensorflow_wants_it():
    for count in range(1, 9):
        room = empty_clip((count, 3, 1))
        assert (room.shape, room.dtype) == ((count, 3, 1), np.uint8)
        assert room.ctypes.data % 64 == 0
        room[:] = 7  # All of it is there.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: short_side_size(0, 5, 5), "at least 1 pixel"),
        (lambda: view_box(9, 9, size=4, crop=1, num_crops=1), "got 1 of 1"),
        (lambda: view_box(9, 9, size=4, crop=0, num_crops=2), "got 0 of 2"),
        (lambda: view_box(9, 9, size=10, crop=0, num_crops=1), "does not fit"),
        (lambda: check_fits(9, 9, 10), "10 x 10 pixels does not fit into frames of 9"),
        (
            lambda: crop_clip(np.zeros((1, 4, 4, 1)), Box(0, 1, 4, 4)),
            "is not inside a clip of shape",
        ),
    ],
)
def test_impossible_crops_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
