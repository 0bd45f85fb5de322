"""From colours to flow, and from two streams to a two-stream network."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from vidjax.convert.variables import Variables

STEM = re.compile(r"params/((backbone|slow)/conv1|Conv3d_1a_\w+)(/conv)?/kernel")
"""Paths of first kernels."""

Colours = Literal["mean", "symmetric"]
"""How a first kernel for colours becomes one for stacked flow: "mean" takes its mean
over colours for every channel (TSN), "symmetric" mirrors it: red, green, blue, blue,
green, red and so on (Feichtenhofer, for ResNets)."""


def spread_colours(
    kernel: np.ndarray, channels: int, *, how: Colours = "mean"
) -> np.ndarray:
    """Makes a first kernel for colours one for stacked flow.

    Args:
        kernel: [..., 3, O].
        channels: Channels C of the flow.
        how: See `Colours`.

    Returns:
        [..., C, O].

    Raises:
        ValueError: If `how` is unknown.

    Example:
        >>> kernel = np.arange(3.0).reshape(1, 1, 3, 1)
        >>> spread_colours(kernel, 4, how="symmetric").ravel().tolist()
        [0.0, 1.0, 2.0, 2.0]

    References:
        Wang et al., "Temporal Segment Networks", ECCV 2016, Sec. 3.2, cross-modality
        pre-training; feichtenhofer/twostreamfusion, cnn_ucf101_temporal.m. Neither
        scales the kernel by the number of channels.
    """
    if how not in ("mean", "symmetric"):
        raise ValueError(f'colours must be "mean" or "symmetric", got {how!r}.')
    if how == "mean":
        return np.repeat(kernel.mean(-2, keepdims=True), channels, -2)
    depth = kernel.shape[-2]
    order = [*range(depth), *reversed(range(depth))]
    return np.take(kernel, np.resize(order, channels), axis=-2)


def join_streams(rgb: Mapping[str, Any], flow: Mapping[str, Any]) -> Variables:
    """Puts two trained streams together, for a `two_stream_*` model.

    Args:
        rgb: {"params": ..., "batch_stats": ...} of a network on colours.
        flow: The same of the same network on flow.

    Returns:
        {"params": {"rgb": ..., "flow": ...}, ...}: the arrays are not copied.

    Raises:
        ValueError: If the two have other collections.

    Example:
        >>> join_streams({"params": {"a": 1}}, {"params": {"a": 2}})
        {'params': {'rgb': {'a': 1}, 'flow': {'a': 2}}}
    """
    if rgb.keys() != flow.keys():
        raise ValueError(
            f"Expected streams of one network, got variables {sorted(rgb)} and "
            f"{sorted(flow)}."
        )
    return {name: {"rgb": rgb[name], "flow": flow[name]} for name in rgb}
