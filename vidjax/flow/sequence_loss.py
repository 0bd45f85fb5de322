"""The loss of a flow that is refined step by step (RAFT)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

GAMMA = 0.8
"""princeton-vl/RAFT, train.py; 0.85 when fine-tuning."""

MAX_FLOW_PX = 400.0
"""Longer true displacements do not count (princeton-vl/RAFT, train.py)."""


def sequence_loss(
    flows: Float[Array, "b n h w 2"],
    truth: Float[Array, "b h w 2"],
    *,
    valid: Bool[Array, "b h w"] | None = None,
    gamma: float = GAMMA,
    max_flow: float = MAX_FLOW_PX,
) -> Float[Array, " b"]:
    """Adds up the errors of all iterations, later ones with more weight.

    With N iterations, iteration i counts gamma ** (N - 1 - i) times the mean absolute
    difference of u and v; a pixel that does not count is a zero in that mean.

    Args:
        flows: Displacements (u, v) in pixels after every iteration, [B, N, H, W, 2].
        truth: True displacements in pixels, [B, H, W, 2].
        valid: Which pixels are known, [B, H, W]; None says all.
        gamma: Weight of an iteration as a share of the next one's, in (0, 1].
        max_flow: Longest true displacement that counts, in pixels.

    Returns:
        Losses in pixels, [B] float32.

    Raises:
        ValueError: If `gamma` is outside (0, 1].

    Example:
        >>> flows = jnp.stack([jnp.zeros((1, 2, 2, 2)), jnp.ones((1, 2, 2, 2))], 1)
        >>> round(float(sequence_loss(flows, jnp.full((1, 2, 2, 2), 2.0))[0]), 4)
        2.6

    References:
        Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
        ECCV 2020, https://arxiv.org/abs/2003.12039, Sec. 3.4; the mask is that of the
        authors' code.
    """
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma must be in (0, 1], got {gamma}.")
    counts = jnp.linalg.norm(truth, axis=-1) < max_flow
    counts = counts if valid is None else counts & valid
    error = jnp.abs(flows - truth[:, None])
    error = jnp.where(counts[:, None, :, :, None], error, 0.0)
    last = flows.shape[1] - 1
    weights = gamma ** (last - jnp.arange(last + 1, dtype=jnp.float32))
    return jnp.mean(error, axis=(2, 3, 4)) @ weights
