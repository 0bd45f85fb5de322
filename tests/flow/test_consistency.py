"""Flows there and back: which pixels are hidden."""

import jax.numpy as jnp
import numpy as np

from vidjax.flow.consistency import occlusion_mask, round_trip_error


def _square_moves_right(by: float, side: int = 12):
    """A square at columns 3 to 5 that covers what is right of it, there and back."""
    forward = jnp.zeros((1, side, side, 2)).at[0, 3:9, 3:6, 0].set(by)
    backward = jnp.zeros((1, side, side, 2)).at[0, 3:9, 3 + by : 6 + by, 0].set(-by)
    return forward, backward


def test_what_the_square_covers_is_hidden_and_nothing_else():
    hidden = np.asarray(occlusion_mask(*_square_moves_right(3))[0])
    expected = np.zeros((12, 12), bool)
    expected[3:9, 6:9] = True
    np.testing.assert_array_equal(hidden, expected)


def test_flows_that_agree_come_back_to_where_they_began():
    forward, backward = _square_moves_right(3)
    error = np.asarray(round_trip_error(forward, backward)[0])
    assert (error[3:9, 6:9] == 3).all()
    assert error.sum() == 3 * 18


def test_a_long_flow_may_be_off_by_more():
    # Off by 1.2 px, squared 1.44: above 0.5, below 0.01 (14.1² + 15.3²) + 0.5 = 4.8.
    far = jnp.zeros((1, 1, 40, 2)).at[..., 0].set(14.1)
    near = far.at[..., 0].set(1.1)
    for forward, hidden in ((far, False), (near, True)):
        backward = -forward.at[..., 0].add(1.2)
        assert bool(occlusion_mask(forward, backward)[0, 0, 3]) == hidden


def test_what_leaves_the_image_is_hidden():
    forward = jnp.full((1, 4, 4, 2), jnp.array([1.0, 0.0]))
    hidden = np.asarray(occlusion_mask(forward, -forward)[0])
    assert hidden[:, 3].all()
    assert not hidden[:, :3].any()
