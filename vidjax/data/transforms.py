"""Where a clip is cut from its frames: sizes, boxes and flips, in NumPy."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

_ALIGNED = 64  # Bytes; EIGEN_MAX_ALIGN_BYTES with AVX-512.


@dataclasses.dataclass(frozen=True)
class Box:
    """A part of a frame.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
    """

    top: int
    left: int
    height: int
    width: int


def short_side_size(
    height: int, width: int, short_side: int, *, round_down: bool = False
) -> tuple[int, int]:
    """Returns the size of a frame resized so that its short side has a given length.

    The long side keeps the aspect ratio and is rounded to a whole pixel.

    Args:
        height: Rows, at least 1.
        width: Columns, at least 1.
        short_side: Pixels of the shorter side after resizing, at least 1.
        round_down: Whether the long side is rounded down, and not to the nearest.

    Returns:
        New height and width.

    Raises:
        ValueError: If a length is less than 1.

    Example:
        >>> short_side_size(240, 320, 256)
        (256, 341)
    """
    if min(height, width, short_side) < 1:
        raise ValueError(
            f"Expected lengths of at least 1 pixel, got height={height}, "
            f"width={width}, short_side={short_side}."
        )
    if round_down:
        long_side = short_side * max(height, width) // min(height, width)
    else:
        long_side = int(max(height, width) * (short_side / min(height, width)) + 0.5)
    long_side = max(short_side, long_side)
    return (short_side, long_side) if height <= width else (long_side, short_side)


def view_box(height: int, width: int, *, size: int, crop: int, num_crops: int) -> Box:
    """Returns one of the square crops of a test.

    A single crop is the centre. Three lie along the longer side, at its start, centre
    and end, and in the middle of the shorter one. Centres round down.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
        size: Rows and columns of the crop.
        crop: Which crop, in [0, num_crops).
        num_crops: 1 or 3.

    Returns:
        The box.

    Raises:
        ValueError: If there is no such crop or the frame is smaller than it.

    Example:
        >>> view_box(256, 340, size=224, crop=2, num_crops=3)
        Box(top=16, left=116, height=224, width=224)
    """
    if num_crops not in (1, 3) or not 0 <= crop < num_crops:
        raise ValueError(
            f"Expected crop 0 of 1, or 0, 1 or 2 of 3, got {crop} of {num_crops}."
        )
    check_fits(height, width, size)
    share = 0.5 if num_crops == 1 else crop / 2
    top, left = (height - size) // 2, (width - size) // 2
    if width >= height:
        left = int((width - size) * share)
    else:
        top = int((height - size) * share)
    return Box(top, left, size, size)


def crop_clip(clip: np.ndarray, box: Box) -> np.ndarray:
    """Cuts the same box out of every frame, without copying.

    Args:
        clip: Frames, [T, H, W, C]; any dtype.
        box: What is kept.

    Returns:
        A view, [T, box.height, box.width, C].

    Raises:
        ValueError: If the box does not lie inside the frames.
    """
    bottom, right = box.top + box.height, box.left + box.width
    if min(box.top, box.left) < 0 or bottom > clip.shape[1] or right > clip.shape[2]:
        raise ValueError(
            f"{box} is not inside a clip of shape {clip.shape}, read as [T, H, W, C]."
        )
    return clip[:, box.top : bottom, box.left : right]


def empty_clip(shape: Sequence[int]) -> np.ndarray:
    """Returns room for pixels that tf.data takes over as it is.

    TensorFlow copies arrays that do not begin at a multiple of 64 bytes, and NumPy's
    seldom do.

    Args:
        shape: Of the array.

    Returns:
        Any values, uint8.
    """
    count = math.prod(shape)
    room = np.empty(count + _ALIGNED, np.uint8)
    start = -room.ctypes.data % _ALIGNED
    return room[start : start + count].reshape(shape)


def flip_clip(clip: np.ndarray) -> np.ndarray:
    """Swaps left and right, in place.

    Args:
        clip: Frames, [T, H, W, C]; any dtype.

    Returns:
        The same array.

    Example:
        >>> flip_clip(np.arange(3).reshape(1, 1, 3, 1)).ravel().tolist()
        [2, 1, 0]
    """
    # A frame stays in the processor's cache, and channels one by one are four times
    # faster than pixels: all at once takes half as long as decoding the JPEGs.
    for frame in clip:
        copy = frame.copy()
        for channel in range(clip.shape[3]):
            frame[..., channel] = copy[:, ::-1, channel]
    return clip


def check_fits(height: int, width: int, size: int) -> None:
    """Checks that a square crop fits into a frame.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
        size: Rows and columns of the crop.

    Raises:
        ValueError: If the frame is smaller than the crop.
    """
    if size > min(height, width):
        raise ValueError(
            f"A crop of {size} x {size} pixels does not fit into frames of {height} x "
            f"{width} (height x width)."
        )
