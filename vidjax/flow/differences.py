"""Finite differences on images, with the borders of OpenCV's TV-L1."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def forward_differences(
    x: Float[Array, "*lead h w"],
) -> tuple[Float[Array, "*lead h w"], Float[Array, "*lead h w"]]:
    """Returns differences to the next column and to the next row.

    Args:
        x: Images, [..., H, W].

    Returns:
        Across, zero in the last column, and down, zero in the last row; [..., H, W].

    Example:
        >>> forward_differences(jnp.array([[1.0, 4.0]]))[0].tolist()
        [[3.0, 0.0]]
    """
    edges = [(0, 0)] * (x.ndim - 2)
    across = jnp.pad(x[..., 1:] - x[..., :-1], [*edges, (0, 0), (0, 1)])
    down = jnp.pad(x[..., 1:, :] - x[..., :-1, :], [*edges, (0, 1), (0, 0)])
    return across, down


def divergence(
    across: Float[Array, "*lead h w"], down: Float[Array, "*lead h w"]
) -> Float[Array, "*lead h w"]:
    """Returns differences to the column before and to the row before, added up.

    It is minus the adjoint of `forward_differences` for fields that are zero in the
    last column (across) and the last row (down), as dual variables are.

    Args:
        across: Part of the field to the right, [..., H, W].
        down: Part of the field down, [..., H, W].

    Returns:
        Divergence, [..., H, W].

    Example:
        >>> divergence(jnp.array([[1.0, 4.0]]), jnp.zeros((1, 2))).tolist()
        [[1.0, 3.0]]
    """
    edges = [(0, 0)] * (across.ndim - 2)
    before = jnp.pad(across[..., :-1], [*edges, (0, 0), (1, 0)])
    above = jnp.pad(down[..., :-1, :], [*edges, (1, 0), (0, 0)])
    return across - before + down - above


def centred_gradient(
    x: Float[Array, "b h w"],
) -> tuple[Float[Array, "b h w"], Float[Array, "b h w"]]:
    """Returns half the differences of the two neighbours.

    Args:
        x: Images, [B, H, W].

    Returns:
        Across and down, [B, H, W]; at the border half the difference of the pixel and
        its only neighbour.

    Example:
        >>> centred_gradient(jnp.array([[[1.0, 3.0, 7.0]]]))[0].tolist()
        [[[1.0, 3.0, 2.0]]]
    """
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    down = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    return across, down
