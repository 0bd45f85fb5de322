import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vidjax.ops.attention import attention
from vidjax.ops.platform import compile_for

FORMS = ("chunked", "splash")


def _inputs(
    batch=2, queries=7, keys=5, heads=3, width=8, value_width=8, dtype="float32"
):
    shapes = (
        (batch, queries, heads, width),
        (batch, keys, heads, width),
        (batch, keys, heads, value_width),
    )
    randoms = jax.random.split(jax.random.key(0), 3)
    return tuple(
        jax.random.normal(key, shape, dtype)
        for key, shape in zip(randoms, shapes, strict=True)
    )


def _by_hand(query, key, value, scale, bias=0.0, mask=None, cap=None):
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    scores = np.einsum("bnhd,bmhd->bhnm", query, key) * scale
    scores = scores if cap is None else cap * np.tanh(scores / cap)
    weights = np.exp(scores + bias)
    weights = weights if mask is None else weights * mask
    weights /= np.maximum(weights.sum(-1, keepdims=True), 1e-30)
    return np.einsum("bhnm,bmhd->bnhd", weights, value)


def test_plain_attention_is_the_formula():
    query, key, value = _inputs(value_width=4)
    found = attention(query, key, value)
    assert found.shape == (2, 7, 3, 4)
    np.testing.assert_allclose(
        found, _by_hand(query, key, value, 8**-0.5), rtol=1e-5, atol=1e-6
    )


def test_bias_mask_cap_and_scale_enter_where_they_should():
    query, key, value = _inputs()
    bias = jax.random.normal(jax.random.key(1), (1, 3, 7, 5))
    mask = jax.random.bernoulli(jax.random.key(2), 0.6, (2, 1, 7, 5))
    found = attention(query, key, value, bias=bias, mask=mask, soft_cap=2.0, scale=0.7)
    expected = _by_hand(query, key, value, 0.7, np.asarray(bias), np.asarray(mask), 2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("implementation", ["plain", "chunked"])
def test_a_query_without_keys_gets_zeros_and_a_finite_gradient(implementation):
    query, key, value = _inputs()
    mask = jnp.ones((1, 1, 7, 5), bool).at[:, :, 3].set(False)

    def total(query):
        return attention(
            query, key, value, mask=mask, implementation=implementation
        ).sum()

    found = attention(query, key, value, mask=mask, implementation=implementation)
    assert not np.any(found[:, 3])
    assert np.all(np.isfinite(jax.grad(total)(query)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("lengths", [(7, 5), (130, 257), (1600, 40)])
def test_every_form_equals_the_plain_one_forward_and_backward(form, cap, lengths):
    queries, keys = lengths
    inputs = _inputs(1, queries, keys, heads=2, width=16)
    weights = jax.random.normal(jax.random.key(3), (1, queries, 2, 8))

    def loss(inputs, implementation):
        found = attention(*inputs, soft_cap=cap, implementation=implementation)
        return jnp.sum(found * weights), found

    compute = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    gradients, found = compute(inputs, form)
    expected_gradients, expected = compute(inputs, "plain")
    for ours, theirs in zip(
        (found, *gradients), (expected, *expected_gradients), strict=True
    ):
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("rows", [1, 1600])
def test_chunks_take_their_own_part_of_bias_and_mask(platform, heads, rows):
    query, key, value = _inputs(2, 1600, 6, heads=3, width=4, value_width=4)
    bias = jax.random.normal(jax.random.key(1), (1, heads, rows, 6))
    mask = jax.random.bernoulli(jax.random.key(2), 0.7, (2, 1, rows, 6))
    compute = functools.partial(attention, query, key, value, bias=bias, mask=mask)
    with compile_for(platform):
        found = compute(implementation="chunked")
    np.testing.assert_allclose(
        found, compute(implementation="plain"), rtol=1e-5, atol=1e-5
    )


def test_bfloat16_keeps_its_dtype_and_a_float32_softmax():
    inputs = _inputs(1, 64, 64, dtype="bfloat16")
    found = attention(*inputs)
    exact = attention(*(x.astype(jnp.float32) for x in inputs))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), exact, atol=0.02)


def _held(implementation, tokens, backward):
    """Bytes of everything between the inputs and the result, by the compiler."""
    shape = jax.ShapeDtypeStruct((1, tokens, 1, 64), jnp.float32)

    def total(query, key, value):
        return attention(query, key, value, implementation=implementation).sum()

    function = jax.grad(total, argnums=(0, 1, 2)) if backward else total
    compiled = jax.jit(function).lower(shape, shape, shape).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("backward", [False, True])
def test_chunks_do_not_hold_all_scores(backward):
    tokens = 8192  # 32 frames of 16 x 16 patches.
    assert _held("plain", tokens, backward) >= tokens * tokens * 4
    held = _held("chunked", tokens, backward)
    assert held < tokens * tokens * 4 / 5
    assert _held("chunked", 2 * tokens, backward) < 2.2 * held


def _mesh():
    return jax.make_mesh((4, 2), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def _chosen(platform, tokens, dtype="float32", **extras):
    """Names of the operations in the form that is chosen."""
    shape = jax.ShapeDtypeStruct((1, tokens, 2, 64), dtype)
    with compile_for(platform):
        program = jax.make_jaxpr(functools.partial(attention, **extras))(*[shape] * 3)
    return str(program)


def test_the_form_follows_platform_length_dtype_and_wishes():
    assert "scan" not in _chosen("cpu", 256)
    assert "scan" in _chosen("cpu", 1024)
    assert "pallas_call" not in _chosen("tpu", 1024)  # Eight devices, and no mesh.
    with jax.set_mesh(_mesh()):
        assert "pallas_call" in _chosen("tpu", 1024)
        assert "pallas_call" not in _chosen("tpu", 256)
        bias = jnp.zeros((1, 1, 1, 1024))
        assert "pallas_call" not in _chosen("tpu", 1024, bias=bias)
    assert "scan" not in _chosen("any", 4096)
    assert "scan" in _chosen("gpu", 1024)  # The kernel takes no float32.
    with pytest.raises(RuntimeError, match="cuDNN"):  # Which is not here.
        _chosen("gpu", 1024, "bfloat16")


def _gradients(query, key, value):
    def total(query, key, value):
        return jnp.sum(attention(query, key, value, implementation="splash") ** 2)

    return jax.grad(total, argnums=(0, 1, 2))(query, key, value)


@pytest.mark.parametrize("batch", [8, 4, 3])  # Over all devices, over "data", whole.
def test_the_tpu_kernel_runs_on_each_devices_examples(batch):
    mesh, inputs = _mesh(), _inputs(batch)
    expected = jax.jit(_gradients)(*inputs)
    rows = PartitionSpec(("data", "fsdp") if batch == 8 else None)
    placed = jax.device_put(inputs, NamedSharding(mesh, rows))
    with jax.set_mesh(mesh):
        compiled = jax.jit(_gradients).lower(*placed).compile()
    for ours, theirs in zip(compiled(*placed), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    if batch == 8:
        assert "all-gather" not in compiled.as_text()


def test_a_program_for_many_tpus_takes_the_kernel():
    rows = NamedSharding(_mesh(), PartitionSpec(("data", "fsdp")))
    shape = jax.ShapeDtypeStruct((8, 1024, 2, 64), jnp.bfloat16, sharding=rows)
    with compile_for("tpu"), jax.set_mesh(_mesh()):
        traced = jax.jit(_gradients).trace(shape, shape, shape)
        lowered = traced.lower(lowering_platforms=("tpu",))
    assert lowered.as_text().count("tpu_custom_call") == 3  # Forward, dq, dk and dv.


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("must be one of", {"implementation": "flash"}),
        (
            "takes no mask",
            {"implementation": "splash", "mask": jnp.ones((1, 1, 1, 5)) > 0},
        ),
        ("takes bfloat16", {"implementation": "cudnn"}),
        ("takes no soft_cap", {"implementation": "cudnn", "soft_cap": 1.0}),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_a_form_cannot_do_is_an_error(message, arguments):
    with pytest.raises(ValueError, match=message):
        attention(*_inputs(), **arguments)
