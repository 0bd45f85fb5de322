import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.pool import avg_pool, max_pool
from vidjax.ops.platform import compile_for

X = -1 - jax.random.uniform(jax.random.key(0), (2, 4, 6, 6, 3))  # Below any padding.


def test_a_padded_maximum_never_takes_the_padding():
    y = max_pool(X, (3, 3), (2, 2), ((1, 1), (1, 1)))
    assert y.shape == (2, 4, 3, 3, 3)
    np.testing.assert_array_equal(y[:, :, 0, 0], X[:, :, :2, :2].max((2, 3)))
    np.testing.assert_array_equal(y[:, :, 1, 2], X[:, :, 1:4, 3:6].max((2, 3)))


def test_same_pads_an_even_size_at_the_end_only():
    y = max_pool(X, (3, 3, 3), (2, 2, 2), "SAME")
    assert y.shape == (2, 2, 3, 3, 3)
    np.testing.assert_array_equal(y[:, 0, 0, 0], X[:, :3, :3, :3].max((1, 2, 3)))
    np.testing.assert_array_equal(y[:, 1, 2, 2], X[:, 2:, 4:, 4:].max((1, 2, 3)))


@pytest.mark.parametrize(
    ("window", "strides", "padding"),
    [
        ((2, 2, 2), None, "VALID"),
        ((1, 4, 3), None, "VALID"),
        ((3, 3), (2, 2), ((1, 1), (1, 1))),
        ((3, 3, 3), (1, 1, 1), "SAME"),
        ((3, 3, 3), (2, 2, 2), ((0, 1), (0, 2), (1, 1))),
    ],
)
def test_forms_of_platforms_are_equal_with_their_gradients(window, strides, padding):
    def results(platform):
        def pool(x):  # A new one each time: JAX keeps what it traced.
            return max_pool(x, window, strides, padding)

        with compile_for(platform):
            y, pull = jax.vjp(pool, X)
            text = str(jax.make_jaxpr(pool)(X))
        return "reduce_window" in text, y, pull(jnp.cos(y))[0]

    (chosen, *cpu), (other, *tpu) = results("cpu"), results("tpu")
    assert (chosen, other) == (False, True)
    np.testing.assert_array_equal(cpu[0], tpu[0])
    np.testing.assert_allclose(cpu[1], tpu[1], rtol=1e-5, atol=1e-6)


def test_strides_are_the_window_unless_given():
    assert max_pool(X, (2, 3, 3)).shape == (2, 2, 2, 2, 3)
    assert avg_pool(X, (2, 3, 3)).shape == (2, 2, 2, 2, 3)


def test_an_average_is_float32_and_exact():
    y = avg_pool(X.astype(jnp.bfloat16), (2, 6, 6), (1, 1, 1))
    assert y.dtype == jnp.float32
    want = np.asarray(X.astype(jnp.bfloat16), np.float32)[:, 1:3].mean((1, 2, 3))
    np.testing.assert_allclose(y[:, 1, 0, 0], want, rtol=1e-5)


def test_an_average_wider_than_the_array_is_refused():
    with pytest.raises(ValueError, match=r"over \(7, 7\) does not fit into \(6, 6\)"):
        avg_pool(X, (7, 7))
