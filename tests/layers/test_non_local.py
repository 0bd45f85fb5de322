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


def _by_hand(variables, x, scale, pool):
    """One position after another, in float64."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
    stats = jax.tree.map(np.asarray, variables["batch_stats"]["bn"])

    def conv(x, name):
        return x @ params[name]["kernel"][0, 0, 0] + params[name]["bias"]

    x = np.asarray(x, np.float64)
    y = np.empty_like(x)
    for clip in range(len(x)):
        one = x[clip : clip + 1]
        if pool == "before":
            phi, g = (conv(_max_over_squares(one), name) for name in ("phi", "g"))
        else:
            phi, g = (_max_over_squares(conv(one, name)) for name in ("phi", "g"))
        phi, g = phi.reshape(-1, 5), g.reshape(-1, 5)
        theta = conv(one, "theta")[0]
        for where in np.ndindex(theta.shape[:3]):
            weights = np.exp(phi @ theta[where] * scale)
            y[clip][where] = conv(weights @ g / weights.sum(), "out")
    gain = params["bn"]["scale"] / np.sqrt(stats["var"] + 1e-5)
    return x + (y - stats["mean"]) * gain + params["bn"]["bias"]


@pytest.mark.parametrize(
    ("scaled", "pool", "scale"),
    [(True, "before", 5**-0.5), (False, "after", 1.0)],
    ids=["slowfast", "mit"],
)
def test_each_position_gathers_from_all_positions_of_its_clip(scaled, pool, scale):
    block = NonLocal(5, train=False, scaled=scaled, pool=pool)
    variables = _noisy(block.init(jax.random.key(0), X))
    got = block.apply(variables, X)
    np.testing.assert_allclose(got, _by_hand(variables, X, scale, pool), rtol=1e-4)


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
