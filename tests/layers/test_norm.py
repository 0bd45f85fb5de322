import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.layers.norm import BatchNorm, LayerNorm

X = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 5, 6))


def _train(norm, x=X):
    variables = norm.init(jax.random.key(0), x)
    return norm.apply(variables, x, mutable=["batch_stats"])


@pytest.mark.parametrize(("unbiased", "ddof"), [(True, 1), (False, 0)])
def test_the_running_variance_is_the_one_asked_for(unbiased, ddof):
    _, state = _train(BatchNorm(train=True, momentum=0.75, unbiased=unbiased))
    rows = np.asarray(X, np.float64).reshape(-1, 6)
    stats = state["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.25 * rows.mean(0), rtol=1e-5)
    want = 0.75 + 0.25 * rows.var(0, ddof=ddof)
    np.testing.assert_allclose(stats["var"], want, rtol=1e-5)


@pytest.mark.parametrize("train", [False, True])
def test_it_equals_the_one_of_flax_but_for_the_running_variance(train):
    ours = BatchNorm(train=train, epsilon=1e-3, unbiased=False)
    theirs = nn.BatchNorm(use_running_average=not train, epsilon=1e-3, momentum=0.9)
    variables = {
        "params": {"scale": jnp.arange(6.0), "bias": -jnp.arange(6.0)},
        "batch_stats": {"mean": jnp.arange(6.0) / 3, "var": 1 + jnp.arange(6.0)},
    }
    names = jax.tree.structure(theirs.init(jax.random.key(0), X))
    assert jax.tree.structure(ours.init(jax.random.key(0), X)) == names

    got = ours.apply(variables, X, mutable=["batch_stats"])
    want = theirs.apply(variables, X, mutable=["batch_stats"])

    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_initialising_leaves_the_statistics_at_their_start():
    stats = BatchNorm(train=True).init(jax.random.key(0), X)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], np.zeros(6))
    np.testing.assert_array_equal(stats["var"], np.ones(6))


def test_without_scale_there_is_only_a_bias():
    variables = BatchNorm(train=False, use_scale=False).init(jax.random.key(0), X)
    assert set(variables["params"]) == {"bias"}


def test_statistics_are_float32_whatever_the_dtype():
    x = X.astype(jnp.bfloat16)
    y, state = _train(BatchNorm(train=True, momentum=0.0, dtype="bfloat16"), x)
    assert y.dtype == jnp.bfloat16
    want = np.asarray(x, np.float32).reshape(-1, 6).mean(0)
    np.testing.assert_allclose(state["batch_stats"]["mean"], want, rtol=1e-5)


def test_one_value_a_channel_gives_finite_statistics():
    _, state = _train(BatchNorm(train=True), jnp.ones((1, 3)))
    assert bool(jnp.isfinite(state["batch_stats"]["var"]).all())


def test_statistics_are_those_of_the_batch_of_all_devices():
    mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,))
    sharding = jax.NamedSharding(mesh, jax.P("data"))
    norm = BatchNorm(train=True)
    variables = norm.init(jax.random.key(0), X)

    @jax.jit
    def step(x):
        return norm.apply(variables, x, mutable=["batch_stats"])

    one, many = step(X), step(jax.device_put(X, sharding))

    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_layer_norm_equals_the_one_of_flax():
    ours, theirs = LayerNorm(epsilon=1e-3), nn.LayerNorm(epsilon=1e-3)
    variables = {"params": {"scale": jnp.arange(6.0), "bias": -jnp.arange(6.0)}}
    names = jax.tree.structure(theirs.init(jax.random.key(0), X))
    assert jax.tree.structure(ours.init(jax.random.key(0), X)) == names
    got, want = ours.apply(variables, X), theirs.apply(variables, X)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_layer_norm_keeps_its_precision_far_from_zero_and_in_bfloat16():
    x = (1000 + X).astype(jnp.float32)
    rows = np.asarray(x, np.float64)
    want = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(
        rows.var(-1, keepdims=True) + 1e-6
    )
    norm = LayerNorm(dtype="bfloat16")
    y = norm.apply(norm.init(jax.random.key(0), x), x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64), want, rtol=5e-3, atol=1e-3)
