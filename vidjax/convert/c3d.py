"""Names of C3D."""

import numpy as np

from vidjax.convert.rules import (
    Naming,
    dense_rules,
    kernel_from_torch,
    norm_rules,
    same,
)

_TRUNK_CHANNELS = 512  # Of the last map, which fc6 sees flattened.


def _channels_last(array: np.ndarray) -> np.ndarray:
    """Turns fc6 for a map flattened channels first into one for channels last.

    Args:
        array: [O, C * T * H * W].

    Returns:
        [T * H * W * C, O].
    """
    array = array.reshape(array.shape[0], _TRUNK_CHANNELS, -1)
    return array.transpose(2, 1, 0).reshape(-1, array.shape[0])


def _channels_first(array: np.ndarray) -> np.ndarray:
    """Undoes `_channels_last`."""
    array = array.reshape(-1, _TRUNK_CHANNELS, array.shape[-1])
    return array.transpose(2, 1, 0).reshape(array.shape[-1], -1)


MMACTION2 = Naming(
    "MMAction2",
    {
        **dense_rules(r"backbone\.(conv\d[ab])\.conv", r"\1/conv"),
        **norm_rules(r"backbone\.(conv\d[ab])\.bn", r"\1/bn"),
        r"backbone\.fc6\.weight": ("params/fc6/kernel", _channels_last),
        r"backbone\.fc7\.weight": ("params/fc7/kernel", kernel_from_torch),
        r"backbone\.(fc[67])\.bias": (r"params/\1/bias", same),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    },
    back={_channels_last: _channels_first},
)
