"""Between flow in pixels, bytes as two-stream data sets store it, and [-1, 1].

A bound of 20 pixels is that of TSN's and I3D's published data: bytes are about 0.157
pixels apart. Zero flow becomes 128, which stands for +0.078 pixels.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

BOUND_PX = (
    20.0  # yjxiong/dense_flow and google-deepmind/kinetics-i3d; denseflow has 32.
)


def flow_to_bytes(
    flow: Float[Array, "*lead 2"], *, bound: float = BOUND_PX
) -> UInt8[Array, "*lead 2"]:
    """Turns pixels to bytes: -bound to 0, +bound to 255, and what is beyond to these.

    Args:
        flow: Displacements (u, v) in pixels, [..., 2].
        bound: Largest displacement that is kept, in pixels, above 0.

    Returns:
        round(255 (flow + bound) / (2 bound)), cut to [0, 255], uint8 [..., 2]; halves
        go to the even neighbour.

    Raises:
        ValueError: If `bound` is not positive.

    Example:
        >>> flow_to_bytes(jnp.array([[-25.0, 0.0]])).tolist()
        [[0, 128]]

    References:
        Wang et al., "Temporal Segment Networks", ECCV 2016; the rounding is that of
        yjxiong/dense_flow.
    """
    _check_bound(bound)
    code = jnp.round((flow.astype(jnp.float32) + bound) * (255 / (2 * bound)))
    return jnp.clip(code, 0, 255).astype(jnp.uint8)


def bytes_to_flow(
    code: UInt8[Array, "*lead 2"], *, bound: float = BOUND_PX
) -> Float[Array, "*lead 2"]:
    """Turns bytes back to pixels; what was cut or rounded away stays lost.

    Args:
        code: What `flow_to_bytes` made, uint8 [..., 2].
        bound: The bound that it was made with, in pixels.

    Returns:
        Displacements (u, v) in pixels, in [-bound, bound], float32 [..., 2].

    Raises:
        ValueError: If `bound` is not positive.

    Example:
        >>> bytes_to_flow(jnp.array([[0, 255]], jnp.uint8)).tolist()
        [[-20.0, 20.0]]
    """
    _check_bound(bound)
    return code.astype(jnp.float32) * (2 * bound / 255) - bound


def bytes_to_unit(code: UInt8[Array, "*lead 2"]) -> Float[Array, "*lead 2"]:
    """Turns bytes to the values in [-1, 1] that I3D's flow stream takes.

    Args:
        code: What `flow_to_bytes` made, uint8 [..., 2].

    Returns:
        2 code / 255 - 1, float32 [..., 2].

    Example:
        >>> bytes_to_unit(jnp.array([[0, 255]], jnp.uint8)).tolist()
        [[-1.0, 1.0]]
    """
    return code.astype(jnp.float32) * (2 / 255) - 1


def flow_to_unit(
    flow: Float[Array, "*lead 2"], *, bound: float = BOUND_PX
) -> Float[Array, "*lead 2"]:
    """Turns pixels to what I3D's flow stream takes: cut, in 256 steps, in [-1, 1].

    Args:
        flow: Displacements (u, v) in pixels, [..., 2].
        bound: Displacement that becomes 1, in pixels, above 0.

    Returns:
        Values in [-1, 1], float32 [..., 2]; zero flow becomes 0.0039.

    Raises:
        ValueError: If `bound` is not positive.

    Example:
        >>> flow_to_unit(jnp.array([[-40.0, 20.0]])).tolist()
        [[-1.0, 1.0]]

    References:
        Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017; the steps
        are told in issue 24 of google-deepmind/kinetics-i3d.
    """
    return bytes_to_unit(flow_to_bytes(flow, bound=bound))


def _check_bound(bound: float) -> None:
    if not bound > 0:
        raise ValueError(f"bound must be above 0 pixels, got {bound}.")
