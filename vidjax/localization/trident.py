"""TriDet's head: distances as expectations over bins beside a point.

The logits of a bin are the sum of what the point says of the distance and what the step
at that distance says of being a boundary.

Reference:
    Shi et al., "TriDet: Temporal Action Detection with Relative Boundary Modeling",
    CVPR 2023, Sec. 3.3, https://arxiv.org/abs/2303.07347; as in
    libs/modeling/meta_archs.py of dingfengshi/TriDet.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vidjax.localization.points import first_steps, level_steps


def offsets_at(
    bins: Float[Array, "t r"],
    start_logits: Float[Array, "t k"],
    end_logits: Float[Array, "t k"],
    *,
    point: Int[Array, " m"],
    label: Int[Array, " m"],
) -> Float[Array, "m 2"]:
    """Returns the distances from some points of one level to start and end.

    Args:
        bins: What points say of distances, [T, 2 (B + 1)].
        start_logits: Whether an action of each class starts at a step, [T, K].
        end_logits: Whether one ends there, [T, K].
        point: M steps of the level, [M] integers.
        label: A class for each, [M] integers.

    Returns:
        [M, 2] float32, in strides, between 0 and B.
    """
    own = bins.reshape(len(bins), 2, -1)[point]
    count = own.shape[-1]
    before, after = _around(start_logits, end_logits, count - 1)
    tap = point[:, None] + jnp.arange(count)[None]
    starts = before[tap, label[:, None]]
    ends = after[tap, label[:, None]]
    return _expect(jnp.stack([starts, ends], 1) + own)


def offsets_everywhere(
    bins: Float[Array, "b t r"],
    start_logits: Float[Array, "b t k"],
    end_logits: Float[Array, "b t k"],
) -> Float[Array, "b t k 2"]:
    """Returns the distances from all points of one level, for every class.

    Args:
        bins: What points say of distances, [B, T, 2 (B + 1)].
        start_logits: Whether an action of each class starts at a step, [B, T, K].
        end_logits: Whether one ends there, [B, T, K].

    Returns:
        [B, T, K, 2] float32, in strides.
    """
    batch, steps = bins.shape[:2]
    own = bins.reshape(batch, steps, 2, -1)
    count = own.shape[-1]
    sides = [
        jnp.stack([padded[tap : tap + steps] for tap in range(count)], axis=-1)
        for padded in jax.vmap(_around, (0, 0, None), 1)(
            start_logits, end_logits, count - 1
        )
    ]  # Two of [T, B, K, B + 1].
    both = jnp.stack(sides, axis=3).swapaxes(0, 1)
    return _expect(both + own[:, :, None])


def level_offsets(
    endpoints: Mapping[str, Array], levels: int
) -> Float[Array, "b n k 2"]:
    """Returns the distances from all points of all levels to start and end.

    Args:
        endpoints: Of a detector: "offsets" [B, N, 2] (ActionFormer), or "bins" [B, N,
            2 (B + 1)], "start_logits" and "end_logits" [B, N, K] (TriDet).
        levels: Of its pyramid.

    Returns:
        In strides, [B, N, 1, 2], or [B, N, K, 2] where each class has its own.
    """
    if "offsets" in endpoints:
        return endpoints["offsets"][:, :, None]
    parts = [endpoints[name] for name in ("bins", "start_logits", "end_logits")]
    found, start = [], 0
    for steps in level_steps(first_steps(parts[0].shape[1], levels), levels):
        cut = (part[:, start : start + steps] for part in parts)
        found.append(offsets_everywhere(*cut))
        start += steps
    return jnp.concatenate(found, axis=1)


def _around(start_logits: Array, end_logits: Array, reach: int) -> tuple[Array, Array]:
    """Adds steps of zeros: before the starts [T, K], behind the ends [T, K]."""
    before = jnp.pad(start_logits, ((reach, 0), (0, 0)))
    return before, jnp.pad(end_logits, ((0, reach), (0, 0)))


def _expect(logits: Array) -> Array:
    """Maps [..., 2, B + 1] to expected distances [..., 2]; starts count backwards."""
    chances = jax.nn.softmax(logits, axis=-1)
    ends = jnp.arange(logits.shape[-1], dtype=logits.dtype)
    distance = jnp.stack([ends[::-1], ends]).reshape((1,) * (logits.ndim - 2) + (2, -1))
    return jnp.sum(chances * distance, axis=-1)
