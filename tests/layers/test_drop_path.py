import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.drop_path import DropPath, drop_path_rates


def _drop(rate, x, key=0):
    return DropPath(rate).apply(
        {}, x, train=True, rngs={"dropout": jax.random.key(key)}
    )


def test_whole_clips_are_dropped_and_the_others_scaled_up():
    x = jax.random.normal(jax.random.key(1), (64, 2, 3, 4))
    y = np.asarray(_drop(0.5, x))
    kept = y.reshape(64, -1).any(axis=1)
    assert 16 < kept.sum() < 48
    np.testing.assert_allclose(y[kept], 2 * np.asarray(x)[kept], rtol=1e-6)
    assert not y[~kept].any()


def test_clips_that_are_left_keep_their_size_where_it_is_told():
    drop = DropPath(0.5, rescale=False)
    x = jnp.ones((64, 3))
    y = drop.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert set(np.unique(y)) == {0.0, 1.0}


def test_the_mean_over_many_clips_stays():
    y = _drop(0.25, jnp.ones((4000, 1)))
    assert float(jnp.mean(y)) == pytest.approx(1.0, abs=0.05)


def test_other_keys_drop_other_clips():
    x = jnp.ones((64, 1))
    assert not np.array_equal(_drop(0.5, x, 0), _drop(0.5, x, 1))
    np.testing.assert_array_equal(_drop(0.5, x, 0), _drop(0.5, x, 0))


@pytest.mark.parametrize(("rate", "train"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_outside_training_or_at_rate_zero(rate, train):
    x = jnp.ones((4, 3))
    assert DropPath(rate).apply({}, x, train=train) is x  # And no key is needed.


def test_the_dtype_stays():
    assert _drop(0.5, jnp.ones((4, 3), jnp.bfloat16)).dtype == jnp.bfloat16


def test_rates_grow_linearly_from_none_at_the_first_block():
    np.testing.assert_allclose(drop_path_rates(0.3, 4), [0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == (0.0,)
    assert drop_path_rates(0.3, 0) == ()


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match="drop_path_rate"):
        drop_path_rates(rate, 3)
