import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.shift import causal_shift, temporal_shift


def test_each_channel_group_moves_its_own_way():
    # Value 10 t + c: the frame a number came from can be read off it.
    x = (10 * jnp.arange(3)[:, None] + jnp.arange(8)[None, :])[None]  # [1, 3, 8]

    y = temporal_shift(x, fraction=0.25)[0]

    np.testing.assert_array_equal(y[:, :2], [[10, 11], [20, 21], [0, 0]])
    np.testing.assert_array_equal(y[:, 2:4], [[0, 0], [2, 3], [12, 13]])
    np.testing.assert_array_equal(y[:, 4:], x[0, :, 4:])


def test_space_and_batch_are_left_alone():
    x = jnp.arange(2 * 4 * 3 * 5 * 8.0).reshape(2, 4, 3, 5, 8)

    y = temporal_shift(x)

    np.testing.assert_array_equal(y[:, :-1, ..., 0], x[:, 1:, ..., 0])
    np.testing.assert_array_equal(y[:, 1:, ..., 1], x[:, :-1, ..., 1])
    np.testing.assert_array_equal(y[..., 2:], x[..., 2:])


def test_the_number_of_shifted_channels_is_rounded_down():
    x = jnp.ones((1, 2, 15))  # 15 / 8 is 1.9: one channel each way, as C // 8 says.
    assert float(jnp.sum(x - temporal_shift(x))) == 2.0


def test_too_few_channels_shift_nothing():
    x = jnp.ones((1, 2, 4), jnp.bfloat16)
    assert temporal_shift(x) is x


@pytest.mark.parametrize("fraction", [-0.1, 0.6])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"in \[0, 0.5\]"):
        temporal_shift(jnp.ones((1, 2, 8)), fraction=fraction)


def test_first_channels_come_from_the_frame_before():
    x = (10 * jnp.arange(3)[:, None] + jnp.arange(4)[None, :])[None]  # [1, 3, 4]

    y, last = causal_shift(x, jnp.array([[90, 91]]))

    np.testing.assert_array_equal(y[0, :, :2], [[90, 91], [0, 1], [10, 11]])
    np.testing.assert_array_equal(y[..., 2:], x[..., 2:])
    assert last.tolist() == [[20, 21]]


def test_pieces_of_a_stream_shift_as_the_whole_does():
    x = jnp.arange(2 * 5 * 3 * 3 * 8.0).reshape(2, 5, 3, 3, 8)
    blank = jnp.zeros((2, 3, 3, 2))
    whole, end = causal_shift(x, blank)
    first, state = causal_shift(x[:, :2], blank)
    second, last = causal_shift(x[:, 2:], state)
    np.testing.assert_array_equal(jnp.concatenate([first, second], 1), whole)
    np.testing.assert_array_equal(last, end)


def test_more_channels_from_before_than_there_are_is_refused():
    with pytest.raises(ValueError, match="before features of shape"):
        causal_shift(jnp.ones((2, 5, 3, 8)), jnp.ones((2, 3, 9)))
