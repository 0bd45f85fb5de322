import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.non_local import NonLocal

X = jax.random.normal(jax.random.key(0), (2, 3, 4, 6, 8))


def _noisy(variables):
    """Other numbers than those at the start, where much is zero or one."""
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = [
        0.5 * jax.random.uniform(key, leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(
        tree, [leaf + more for leaf, more in zip(leaves, noise, strict=True)]
    )


def _max_over_squares(x):
    return np.stack(
        [x[:, :, i::2, j::2] for i in range(2) for j in range(2)], axis=0
    ).max(axis=0)


def _weights_by_hand(phi, theta, affinity, scale):
    products = phi @ theta * scale
    if affinity == "dot_product":
        return products / len(phi)
    return np.exp(products) / np.exp(products).sum()


def _by_hand(variables, x, affinity, scale, pool):
    """One position after another, in float64."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
    stats = jax.tree.map(np.asarray, variables["batch_stats"]["bn"])

    def conv(x, name):
        layer = params[name]
        return x @ layer["kernel"][0, 0, 0] + layer.get("bias", 0)

    def thinned(x, name):
        if pool == "before":
            return conv(_max_over_squares(x), name).reshape(-1, 5)
        return _max_over_squares(conv(x, name)).reshape(-1, 5)

    x = np.asarray(x, np.float64)
    y = np.empty_like(x)
    for clip in range(len(x)):
        one = x[clip : clip + 1]
        theta, phi = one[0], _max_over_squares(one).reshape(-1, 8)
        if affinity != "gaussian":
            theta, phi = conv(theta, "theta"), thinned(one, "phi")
        g = thinned(one, "g")
        for where in np.ndindex(theta.shape[:3]):
            weights = _weights_by_hand(phi, theta[where], affinity, scale)
            y[clip][where] = conv(weights @ g, "out")
    gain = params["bn"]["scale"] / np.sqrt(stats["var"] + 1e-5)
    return x + (y - stats["mean"]) * gain + params["bn"]["bias"]


@pytest.mark.parametrize("out_bias", [True, False])
@pytest.mark.parametrize(
    ("affinity", "scaled", "pool", "scale"),
    [
        ("embedded_gaussian", True, "before", 5**-0.5),
        ("embedded_gaussian", False, "after", 1.0),
        ("dot_product", True, "before", 1.0),
        ("gaussian", True, "after", 1.0),
    ],
)
def test_each_position_gathers_from_all_positions_of_its_clip(
    affinity, scaled, pool, scale, out_bias
):
    block = NonLocal(5, False, affinity, scaled, pool, out_bias)
    variables = _noisy(block.init(jax.random.key(0), X))
    assert ("bias" in variables["params"]["out"]) == out_bias
    got = np.asarray(block.apply(variables, X))
    want = _by_hand(variables, X, affinity, scale, pool)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_at_the_start_it_is_the_identity_unless_told_otherwise():
    identity, other = (NonLocal(5, train=False, zero_init=z) for z in (True, False))
    np.testing.assert_array_equal(identity.init_with_output(jax.random.key(0), X)[0], X)
    assert not np.allclose(other.init_with_output(jax.random.key(0), X)[0], X)


def test_maps_smaller_than_the_pool_work():
    y, _ = NonLocal(5, train=False).init_with_output(jax.random.key(0), X[:, :, :1])
    assert y.shape == (2, 3, 1, 6, 8)


def test_bfloat16_stays_bfloat16():
    x = X.astype(jnp.bfloat16)
    block = NonLocal(5, train=False, dtype="bfloat16", zero_init=False)
    y, variables = block.init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
