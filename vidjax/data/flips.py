"""What a flip makes of a label: left becomes right."""

import re
from collections.abc import Sequence

import numpy as np

_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def flip_labels(label_names: Sequence[str]) -> np.ndarray:
    """Returns the class that each class becomes when left and right are swapped.

    Args:
        label_names: Names of the K classes.

    Returns:
        Classes in [0, K), int32 [K]; -1 where a name has "left" or "right" and the name
        with the words exchanged is no class: such clips must not be flipped.

    Example:
        >>> flip_labels(["from left to right", "from right to left", "up", "to the left"
        ...             ]).tolist()
        [1, 0, 2, -1]
    """
    places = {name.lower(): label for label, name in enumerate(label_names)}
    return np.array(
        [places.get(_SIDES.sub(_swap, name).lower(), -1) for name in label_names],
        np.int32,
    )


def _swap(match: re.Match[str]) -> str:
    return _OTHER[match[0].lower()]
