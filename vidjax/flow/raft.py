"""RAFT as a function, beside the classical ones."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from vidjax.models.registry import create_model


def raft(
    image0: Shaped[Array, "b h w 3"],
    image1: Shaped[Array, "b h w 3"],
    *,
    variables: Mapping[str, Any],
    model: str = "raft_large",
    iterations: int = 12,
    flow_init: Float[Array, "b h8 w8 2"] | None = None,
    **arguments: Any,
) -> Float[Array, "b h w 2"]:
    """Computes flow by RAFT.

    Args:
        image0: First images, RGB in [0, 255], [B, H, W, 3], at least 64 pixels a side;
            any real dtype.
        image1: Second images, [B, H, W, 3].
        variables: Of the network, from `vidjax.load_variables(model, ...)`.
        model: "raft_large" or "raft_small".
        iterations: Updates, at least 1.
        flow_init: Flow to start from, in units of eight pixels for every eighth pixel,
            [B, H / 8, W / 8, 2] rounded up; None starts from none.
        **arguments: Attributes of `vidjax.models.raft.RAFT`, such as `padding`,
            `volume_bytes` or `dtype`.

    Returns:
        Displacements (u, v) in pixels, float32 [B, H, W, 2].

    Raises:
        ValueError: If the images are not as they should be, or there is no such model.
        TypeError: If it has no such attribute.

    References:
        Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
        ECCV 2020, https://arxiv.org/abs/2003.12039.
    """
    pair = [x.astype(jnp.float32) * (2 / 255) - 1 for x in (image0, image1)]
    network: Any = create_model(model, **arguments)
    flow, _ = network.apply(
        variables, *pair, iterations=iterations, flow_init=flow_init
    )
    return flow
