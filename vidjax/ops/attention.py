"""The one attention: softmax(query key^T) value, in the form that suits a platform."""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vidjax.ops.platform import target_platform
from vidjax.ops.splash import runs_here, splash_attention

Implementation = Literal["plain", "chunked", "cudnn", "splash"]
"""Forms of attention: "plain" holds all N * M scores; "chunked" those of a few queries
at a time, in the backward pass too; "cudnn" is NVIDIA's fused kernel, "splash" the
Pallas kernel for TPU, which hold none."""

# Ours, measured on CPU with jax 0.10.2 at [1, 1568, 12, 64]: heads one by one in chunks
# of 784 queries take 48 ms, everything at once 173 ms.
_CHUNK = 784
_CHUNK_SCORES = _CHUNK * 2048  # Held at a time, a head.
_PLAIN_SCORES = 512 * 512  # With fewer a head, nothing is gained by chunks.
_CUDNN_WIDTH = 128  # Widest head of the fused kernel; widths are multiples of 8.


def attention(
    query: Float[Array, "b n h d"],
    key: Float[Array, "b m h d"],
    value: Float[Array, "b m h d2"],
    *,
    bias: Float[Array, "#b #h #n #m"] | None = None,
    mask: Bool[Array, "#b #h #n #m"] | None = None,
    scale: float | None = None,
    soft_cap: float | None = None,
    implementation: Implementation | None = None,
) -> Float[Array, "b n h d2"]:
    """Lets every query gather values by the likeness of their keys.

    Scores are query . key * scale, then cap * tanh(score / cap) where a cap is given,
    then the bias; masked scores count nothing. Softmax is over the keys, in float32. A
    query that may look at no key gets zeros.

    Args:
        query: [B, N, H, D], H heads of width D.
        key: [B, M, H, D].
        value: [B, M, H, D2].
        bias: Added to the scores, [B or 1, H or 1, N or 1, M or 1].
        mask: Which keys a query may look at, of such a shape.
        scale: Factor of the products; None takes 1 / sqrt(D).
        soft_cap: Bound of the scores before the bias; None leaves them as they are.
        implementation: Which form computes it; None chooses by platform, dtype, length
            and what is asked for. "splash" on several devices needs their mesh
            (`jax.set_mesh`, as `vidjax.fit` does) and is not chosen without.

    Returns:
        [B, N, H, D2] in the dtype of `query`.

    Raises:
        ValueError: If `implementation` is unknown, or cannot do what is asked for.

    Example:
        >>> x = jnp.ones((1, 3, 2, 4))
        >>> attention(x, x, 2 * x)[0, 0, 0].tolist()
        [2.0, 2.0, 2.0, 2.0]

    References:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017,
        https://arxiv.org/abs/1706.03762, Sec. 3.2.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    extras = {"bias": bias, "mask": mask, "soft_cap": soft_cap}
    given = frozenset(name for name, what in extras.items() if what is not None)
    if implementation is None:
        implementation = _choose(query, key, value, given)
    elif problem := _objection(implementation, query, value, given):
        raise ValueError(problem)
    form = _FORMS[implementation]
    return form(query, key, value, scale=scale, **extras).astype(query.dtype)


def _choose(
    query: Array, key: Array, value: Array, given: frozenset[str]
) -> Implementation:
    platform = target_platform()
    many = query.shape[1] * key.shape[1] > _PLAIN_SCORES
    kernel: Implementation | None = {"gpu": "cudnn", "tpu": "splash"}.get(platform)  # type: ignore
    if platform == "any" or not many:
        return "plain"
    if kernel == "splash" and not runs_here():
        return "chunked"
    if kernel and not _objection(kernel, query, value, given):
        return kernel
    return "chunked"


def _objection(
    implementation: str, query: Array, value: Array, given: frozenset[str]
) -> str:
    """Says why a form cannot do what is asked for; empty if it can."""
    if implementation not in get_args(Implementation):
        known = ", ".join(map(repr, get_args(Implementation)))
        return f"implementation must be one of {known}, got {implementation!r}."
    if implementation == "splash" and given & {"bias", "mask"}:
        return f"The splash kernel takes no {' and no '.join(sorted(given))}."
    if implementation != "cudnn":
        return ""
    if "soft_cap" in given:
        return "The cuDNN kernel takes no soft_cap."
    if query.dtype not in (jnp.bfloat16, jnp.float16):
        return f"The cuDNN kernel takes bfloat16 or float16, got {query.dtype}."
    width = query.shape[-1]
    if width % 8 or width > _CUDNN_WIDTH or value.shape[-1] != width:
        return (
            f"The cuDNN kernel takes heads of equal widths up to {_CUDNN_WIDTH}, "
            f"multiples of 8, got {width} and {value.shape[-1]}."
        )
    return ""


def _plain(
    query: Array,
    key: Array,
    value: Array,
    *,
    scale: float,
    bias: Array | None,
    mask: Array | None,
    soft_cap: float | None,
) -> Array:
    scores = jnp.einsum(
        "bnhd,bmhd->bhnm", query, key, preferred_element_type=jnp.float32
    )
    weights = _softmax(scores * scale, bias, mask, soft_cap)
    return jnp.einsum("bhnm,bmhd->bnhd", weights.astype(value.dtype), value)


def _softmax(
    scores: Array, bias: Array | None, mask: Array | None, soft_cap: float | None
) -> Array:
    if soft_cap is not None:
        scores = soft_cap * jnp.tanh(scores / soft_cap)
    if bias is not None:
        scores = scores + bias.astype(jnp.float32)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    # The least number, not minus infinity: a row without keys keeps finite gradients.
    scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    return jnp.where(mask, jax.nn.softmax(scores, axis=-1), 0.0)


def _chunked(
    query: Array, key: Array, value: Array, *, scale: float, **extras: Any
) -> Array:
    """Takes a few queries at a time, and on CPU one head at a time."""
    if target_platform() == "cpu":
        return _by_heads(query, key, value, scale=scale, **extras)
    return _by_queries(query, key, value, scale=scale, **extras)


def _by_heads(query: Array, key: Array, value: Array, **rest: Any) -> Array:
    heads = query.shape[2]
    fixed = {name: what for name, what in rest.items() if not _has_heads(what)}
    moving = {name: what for name, what in rest.items() if _has_heads(what)}

    def one(parts: tuple[Array, Array, Array, dict[str, Array]]) -> Array:
        q, k, v, own = parts
        own = {name: array[:, None] for name, array in own.items()}
        q, k, v = (x[:, :, None] for x in (q, k, v))
        return _by_queries(q, k, v, **fixed, **own)[:, :, 0]

    first = functools.partial(jnp.moveaxis, source=2, destination=0)
    own = {name: jnp.moveaxis(array, 1, 0) for name, array in moving.items()}
    if heads == 1:
        return _by_queries(query, key, value, **rest)
    found = jax.lax.map(one, (first(query), first(key), first(value), own))
    return jnp.moveaxis(found, 0, 2)


def _has_heads(what: Any) -> bool:
    return isinstance(what, jax.Array) and what.ndim == 4 and what.shape[1] > 1


def _by_queries(query: Array, key: Array, value: Array, **rest: Any) -> Array:
    batch, length, heads, _ = query.shape
    count = math.ceil(length / max(1, min(_CHUNK, _CHUNK_SCORES // key.shape[1])))
    if count == 1:
        return _recomputed(**_without_arrays(rest))(query, key, value, **_arrays(rest))
    size = math.ceil(length / count)
    split = functools.partial(_split, count=count, size=size)
    own = {name: a for name, a in _arrays(rest).items() if a.shape[2] > 1}
    fixed = {name: a for name, a in _arrays(rest).items() if a.shape[2] == 1}
    compute = _recomputed(**_without_arrays(rest))

    def one(parts: tuple[Array, dict[str, Array]]) -> Array:
        q, mine = parts
        return compute(q, key, value, **fixed, **mine)

    chunks = {name: split(array, axis=2) for name, array in own.items()}
    found = jax.lax.map(one, (split(query, axis=1), chunks))
    found = jnp.moveaxis(found, 0, 1)
    return found.reshape(batch, count * size, heads, -1)[:, :length]


def _arrays(rest: dict[str, Any]) -> dict[str, Array]:
    return {name: what for name, what in rest.items() if isinstance(what, jax.Array)}


def _without_arrays(rest: dict[str, Any]) -> dict[str, Any]:
    return {name: w for name, w in rest.items() if not isinstance(w, jax.Array)}


def _recomputed(**fixed: Any) -> Callable[..., Array]:
    """Returns plain attention whose scores are computed again in the backward pass."""
    fixed = {"bias": None, "mask": None, **fixed}

    def compute(query: Array, key: Array, value: Array, **arrays: Array) -> Array:
        return _plain(query, key, value, **{**fixed, **arrays})

    return jax.checkpoint(compute)


def _split(array: Array, *, axis: int, count: int, size: int) -> Array:
    """Cuts an axis into equal chunks, the last filled up, and puts them first."""
    more = count * size - array.shape[axis]
    pads = [(0, more if i == axis else 0) for i in range(array.ndim)]
    array = jnp.pad(array, pads)
    shape = (*array.shape[:axis], count, size, *array.shape[axis + 1 :])
    return jnp.moveaxis(array.reshape(shape), axis, 0)


def _cudnn(
    query: Array,
    key: Array,
    value: Array,
    *,
    scale: float,
    bias: Array | None,
    mask: Array | None,
    soft_cap: float | None,
) -> Array:
    del soft_cap  # None, as _objection sees to.
    return jax.nn.dot_product_attention(
        query, key, value, bias, mask, scale=scale, implementation="cudnn"
    )


def _splash(
    query: Array,
    key: Array,
    value: Array,
    *,
    scale: float,
    bias: Array | None,
    mask: Array | None,
    soft_cap: float | None,
) -> Array:
    del bias, mask  # None, as _objection sees to.
    return splash_attention(query * scale, key, value, soft_cap=soft_cap)


_FORMS: dict[str, Callable[..., Array]] = {
    "plain": _plain,
    "chunked": _chunked,
    "cudnn": _cudnn,
    "splash": _splash,
}
