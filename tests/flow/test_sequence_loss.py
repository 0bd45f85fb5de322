import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.sequence_loss import sequence_loss


def test_later_iterations_weigh_more_and_long_or_unknown_flow_does_not_count():
    keys = jax.random.split(jax.random.key(0), 3)
    flows = jax.random.normal(keys[0], (2, 3, 4, 5, 2))
    truth = jax.random.normal(keys[1], (2, 4, 5, 2)).at[0, 1, 2].set(500.0)
    valid = jax.random.uniform(keys[2], (2, 4, 5)) < 0.7

    found = sequence_loss(flows, truth, valid=valid, gamma=0.5)

    counts = np.asarray(valid & (np.hypot(truth[..., 0], truth[..., 1]) < 400))
    assert not counts[0, 1, 2]
    expected = np.zeros(2)
    for i, weight in enumerate((0.25, 0.5, 1.0)):
        error = np.abs(np.asarray(flows[:, i] - truth)) * counts[..., None]
        expected += weight * error.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_gamma_that_is_no_share_is_refused():
    flows, truth = jnp.zeros((1, 1, 2, 2, 2)), jnp.zeros((1, 2, 2, 2))
    for gamma in (0.0, 1.5):
        with pytest.raises(ValueError, match=r"gamma must be in \(0, 1\]"):
            sequence_loss(flows, truth, gamma=gamma)
