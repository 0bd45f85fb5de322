"""Optical flow as channels of a clip, computed where the model runs.

N frames have N - 1 flows between them. A clip that wants L flows at each of T frames is
read as T windows of L + 1 frames, `ClipSpec.window`, and flow i of a window is the one
from its frame i to its frame i + 1: there is no flow without its two frames.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, UInt8

from vidjax.flow.encode import flow_to_bytes
from vidjax.flow.farneback import farneback
from vidjax.flow.grey import rgb_to_grey
from vidjax.flow.tvl1 import tvl1
from vidjax.typing import ClipSpec, FlowMethod


def _published_tvl1(image0: Array, image1: Array) -> Array:
    return tvl1(image0, image1, variant="opencv_cuda")


_METHODS: dict[FlowMethod, Callable[[Array, Array], Array]] = {
    "tvl1": _published_tvl1,
    "farneback": farneback,
}


def see_motion(
    frames: UInt8[Array, "b n h w 3"], spec: ClipSpec
) -> UInt8[Array, "b t h w c"]:
    """Turns the frames that were read for clips into clips with flow.

    Flow is computed on grey frames as they are, after resizing and cropping, so that it
    is in pixels of the clip, and a mirrored clip has mirrored flow. It is cut to 20
    pixels and stored in a byte, as published two-stream data are.

    Args:
        frames: T windows of L + 1 frames, one after the other, [B, T * (L + 1), H, W,
            3].
        spec: The clip; its modality is "flow" or "rgb+flow".

    Returns:
        [B, T, H, W, C]: the colours of frame t where they are wanted, then u0, v0, u1,
        v1 and so on.

    Raises:
        ValueError: If the clip is one of colours, or there are other numbers of frames.

    References:
        Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action
        Recognition in Videos", NeurIPS 2014, https://arxiv.org/abs/1406.2199, Sec. 3.1;
        Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, Sec. 2.5.
    """
    width = len(spec.window)
    if spec.modality == "rgb" or frames.shape[1] % width:
        raise ValueError(
            f"Expected windows of {width} frames for a clip of {spec.modality!r}, got "
            f"{frames.shape[1]} frames in shape {frames.shape}."
        )
    batch, count, *size, _ = frames.shape
    windows = frames.reshape(batch, count // width, width, *size, 3)
    codes = flow_to_bytes(_flows(windows, spec.flow_method))
    # [B, T, L, H, W, 2] to [B, T, H, W, 2 L].
    stacked = jnp.moveaxis(codes, 2, 4).reshape(batch, count // width, *size, -1)
    if spec.modality == "flow":
        return stacked
    colours = windows[:, :, spec.window.index(0)]
    return jnp.concatenate([colours, stacked], axis=-1)


def _flows(windows: Array, method: FlowMethod) -> Array:
    """Maps windows [B, T, L + 1, H, W, 3] to flows [B, T, L, H, W, 2]."""
    grey = rgb_to_grey(windows)
    first, second = grey[:, :, :-1], grey[:, :, 1:]
    size = first.shape[3:]
    flow = _METHODS[method](first.reshape(-1, *size), second.reshape(-1, *size))
    return flow.reshape(*first.shape, 2)
