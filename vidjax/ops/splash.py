"""Attention by JAX's Pallas kernel for TPU, on one device or on each of many.

XLA cannot partition a Pallas kernel by itself: it refuses a program for several devices
that holds one. Under a mesh (`jax.set_mesh`) each device therefore runs the kernel on
its own examples.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Float

from vidjax.ops.platform import target_platform

_LANES = 128  # Widths and lengths of the kernel are multiples of it.
# Ours: the largest block of queries, and of keys, and what beginning a block costs in
# rows. Blocks of 896 compile for v4 to v6e; no TPU was here to time them.
_BLOCK = 896
_BLOCK_START = 384


def splash_attention(
    query: Float[Array, "b n h d"],
    key: Float[Array, "b m h d"],
    value: Float[Array, "b m h d2"],
    *,
    soft_cap: float | None = None,
) -> Float[Array, "b n h d2"]:
    """Computes softmax(query key^T) value without holding scores.

    Args:
        query: [B, N, H, D], scaled.
        key: [B, M, H, D].
        value: [B, M, H, D2].
        soft_cap: Bound of the scores; None leaves them as they are.

    Returns:
        [B, N, H, D2].

    Example:
        >>> x = jnp.ones((1, 3, 2, 4))
        >>> splash_attention(x, x, 2 * x)[0, 0, 0].tolist()
        [2.0, 2.0, 2.0, 2.0]
    """
    interpret = jax.default_backend() == "cpu" and target_platform() != "tpu"
    local = functools.partial(_local, soft_cap=soft_cap, interpret=interpret)
    axes = _mesh_axes()
    if not axes:
        return local(query, key, value)
    examples = PartitionSpec(_dividing(axes, query.shape[0]))
    sharded = jax.shard_map(
        local, in_specs=examples, out_specs=examples, check_vma=False
    )
    return sharded(query, key, value)


def runs_here() -> bool:
    """Whether the kernel can be part of the program that is traced.

    Returns:
        False if there are several devices and no mesh of Auto axes is set that could
        say which examples are whose.

    Example:
        >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
        >>> with jax.set_mesh(mesh):
        ...     runs_here()
        True
    """
    return bool(_mesh_axes()) or jax.device_count() == 1 or _is_local()


def _mesh_axes() -> dict[str, int]:
    """Axes of the mesh around us over which the compiler is free to split arrays."""
    mesh = jax.sharding.get_abstract_mesh()
    free = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return {name: mesh.shape[name] for name, kind in free if kind == AxisType.Auto}


def _is_local() -> bool:
    """Whether we are inside of `jax.shard_map`, where arrays are one device's own."""
    return AxisType.Manual in jax.sharding.get_abstract_mesh().axis_types


def _dividing(axes: dict[str, int], batch: int) -> tuple[str, ...]:
    """As many of the axes, from the first on, as divide the examples evenly."""
    names = tuple(axes)
    fitting = (
        names[:count]
        for count in range(len(names), -1, -1)
        if batch % math.prod(axes[name] for name in names[:count]) == 0
    )
    return next(fitting)


def _local(
    query: Array, key: Array, value: Array, *, soft_cap: float | None, interpret: bool
) -> Array:
    """Pads lengths and widths to what the kernel takes; padded keys are not seen."""
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernels,
    )
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_mask as masks,
    )

    length, heads, width = query.shape[1], query.shape[2], value.shape[-1]
    blocks = _block(length), _block(key.shape[1])
    rows, columns = (
        -(-n // block) * block
        for n, block in zip((length, key.shape[1]), blocks, strict=True)
    )
    segments = kernels.SegmentIds(
        (jnp.arange(rows) < length).astype(jnp.int32),
        (jnp.arange(columns) < key.shape[1]).astype(jnp.int32),
    )
    kernel = kernels.make_splash_mha(
        masks.MultiHeadMask([masks.FullMask((rows, columns))] * heads),
        block_sizes=_block_sizes(kernels, *blocks),
        attn_logits_soft_cap=soft_cap,
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    one: Any = lambda q, k, v: kernel(q, k, v, segments)  # noqa: E731
    found = jax.vmap(one)(
        _heads_first(query, rows),
        _heads_first(key, columns),
        _heads_first(value, columns),
    )
    return jnp.moveaxis(found, 1, 2)[:, :length, :, :width]


def _heads_first(x: Array, length: int) -> Array:
    """Maps [B, N, H, D] to [B, H, length, a multiple of 128], filled with zeros."""
    more = (0, length - x.shape[1]), (0, 0), (0, -x.shape[-1] % _LANES)
    return jnp.moveaxis(jnp.pad(x, ((0, 0), *more)), 2, 1)


def _block(length: int) -> int:
    """The block, a multiple of 128, in which padding and beginnings cost least."""

    def cost(block: int) -> int:
        return -(-length // block) * (block + _BLOCK_START)

    return min(range(_LANES, _BLOCK + 1, _LANES), key=cost)


def _block_sizes(kernels: Any, rows: int, columns: int) -> Any:
    return kernels.BlockSizes(
        block_q=rows,
        block_kv=columns,
        block_kv_compute=columns,
        block_q_dkv=rows,
        block_kv_dkv=columns,
        block_kv_dkv_compute=columns,
        block_q_dq=rows,
        block_kv_dq=columns,
    )
