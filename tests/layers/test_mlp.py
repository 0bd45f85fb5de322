import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erf

from vidjax.layers.mlp import Mlp

X = jax.random.normal(jax.random.key(0), (2, 3, 4))


def test_it_is_a_layer_an_exact_gelu_and_a_layer():
    y, variables = Mlp(8, features=5).init_with_output(jax.random.key(1), 50 * X)
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
    hidden = 50 * np.asarray(X, np.float64) @ params["fc1"]["kernel"]
    hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
    np.testing.assert_allclose(
        y, hidden @ params["fc2"]["kernel"], rtol=1e-4, atol=1e-6
    )


def test_dropout_acts_after_both_layers_in_training_only():
    mlp = Mlp(4096, dropout_rate=0.5)
    variables = mlp.init(jax.random.key(0), X)
    variables = jax.tree.map(jnp.ones_like, variables)
    still = mlp.apply(variables, X)
    y = mlp.apply(variables, X, train=True, rngs={"dropout": jax.random.key(1)})
    dropped = y == 0
    assert 0 < int(dropped.sum()) < dropped.size
    # What is kept is doubled, and the mean over 4,096 hidden units is kept too.
    np.testing.assert_allclose(
        np.where(dropped, 2 * still, y), 2 * still, rtol=0.1, atol=1
    )
    assert not np.array_equal(np.where(dropped, 2 * still, y), 2 * still)


def test_parameters_stay_float32_in_bfloat16():
    y, variables = Mlp(8, dtype="bfloat16").init_with_output(jax.random.key(1), X)
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
