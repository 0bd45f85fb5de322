"""Flow as a picture: hue is the direction, saturation the length."""

import numpy as np

# Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011: how
# many steps the wheel takes from a colour to the next, and which channel changes.
_WHEEL = (  # Steps, channel that stays at 255, channel that changes, up or down.
    (15, 0, 1, True),  # Red to yellow.
    (6, 1, 0, False),  # Yellow to green.
    (4, 1, 2, True),  # Green to cyan.
    (11, 2, 1, False),  # Cyan to blue.
    (13, 2, 0, True),  # Blue to magenta.
    (6, 0, 2, False),  # Magenta to red.
)
_EPSILON = np.finfo(np.float32).eps


def flow_to_image(flow: np.ndarray, *, max_px: float | None = None) -> np.ndarray:
    """Draws flow in the colours of Middlebury: white is still, red is to the right.

    Args:
        flow: Displacements (u, v) in pixels, [..., H, W, 2]; pixels that have none
            (NaN) are black.
        max_px: Length in pixels that has full colour; longer flow is darker. None takes
            the longest of all that is given, as torchvision does; frames of a video
            keep one scale only with a number.

    Returns:
        Pictures, uint8 RGB [..., H, W, 3].

    Raises:
        ValueError: If the last axis is not of two displacements, or `max_px` is not
            positive.

    Example:
        >>> flow_to_image(np.array([[[1.0, 0.0], [0.0, 0.0]]])).tolist()
        [[[255, 0, 0], [255, 255, 255]]]

    References:
        Baker et al., IJCV 2011. Bytes are those of torchvision's `flow_to_image` and
        princeton-vl/RAFT's.
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim < 3 or flow.shape[-1] != 2:
        raise ValueError(f"Expected flow [..., H, W, 2], got shape {flow.shape}.")
    if max_px is not None and not max_px > 0:
        raise ValueError(f"max_px must be above 0 pixels, got {max_px}.")
    known = np.isfinite(flow).all(-1, keepdims=True)
    flow = np.where(known, flow, np.float32(0))
    if max_px is None:
        max_px = np.sqrt(np.sum(flow**2, axis=-1)).max()
    image = _colours(flow / (np.float32(max_px) + _EPSILON))
    return np.where(known, image, np.uint8(0))


def _colours(flow: np.ndarray) -> np.ndarray:
    """Colours of flow whose full length is one, uint8 [..., 3]; darker beyond it."""
    wheel = _make_wheel()
    length = np.sqrt(np.sum(flow**2, axis=-1))
    angle = np.arctan2(-flow[..., 1], -flow[..., 0]) / np.float32(np.pi)
    place = (angle + 1) / 2 * (len(wheel) - 1)
    below = np.floor(place).astype(int)
    above = np.where(below + 1 == len(wheel), 0, below + 1)
    share = (place - below)[..., None]
    colour = (1 - share) * wheel[below] + share * wheel[above]
    length = length[..., None]
    inside = length <= 1 + 10 * _EPSILON  # The longest may be rounded up.
    colour = np.where(inside, 1 - length * (1 - colour), colour * 0.75)
    return np.floor(255 * colour).astype(np.uint8)


def _make_wheel() -> np.ndarray:
    """The 55 colours of the wheel, float32 in [0, 1], [55, 3]."""
    parts = []
    for steps, full, change, up in _WHEEL:
        ramp = np.floor(255 * np.arange(steps) / steps)
        part = np.zeros((steps, 3))
        part[:, full] = 255
        part[:, change] = ramp if up else 255 - ramp
        parts.append(part)
    return (np.concatenate(parts) / 255).astype(np.float32)
