"""Optical flow: computed, warped, measured, read, written and drawn.

Flow is in pixels, and `flow[y, x] = (u, v)` says where the pixel (x, y) of a first
image is in a second one, u to the right and v down:

    image0(x, y) ≈ image1(x + u, y + v).
"""

# Not lazily: a module and the function in it share a name here, and an import of the
# module alone would put it where the function is to be.
from vidjax.flow.colour import flow_to_image
from vidjax.flow.farneback import farneback
from vidjax.flow.files import read_flow, write_flow
from vidjax.flow.metrics import endpoint_error
from vidjax.flow.raft import raft
from vidjax.flow.tvl1 import tvl1
from vidjax.flow.warp import warp

__all__ = [
    "endpoint_error",
    "farneback",
    "flow_to_image",
    "raft",
    "read_flow",
    "tvl1",
    "warp",
    "write_flow",
]
