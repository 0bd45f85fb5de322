import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.models.vjepa2 import rotate


def _rotated(x, grid=(2, 3, 4)):
    return np.asarray(rotate(x, x, grid=grid)[0])


@pytest.mark.parametrize(
    # A third of a head, rounded down to an even number, for each axis.
    ("width", "still"),
    [(64, 4), (88, 4), (80, 2), (16, 4), (24, 0)],
)
def test_channels_behind_three_even_thirds_do_not_turn(width, still):
    x = jax.random.normal(jax.random.key(0), (1, 24, 2, width))
    moved = (_rotated(x) != x)[0, -1, 0]
    assert not moved[width - still :].any()
    assert moved[: width - still].all()


def test_the_first_token_stays_and_the_thirds_turn_by_frame_row_and_column():
    x = jnp.ones((1, 24, 1, 64))
    y = _rotated(x).reshape(2, 3, 4, 64)
    np.testing.assert_array_equal(y[0, 0, 0], 1.0)
    frame, row, column = (y[..., i : i + 20] for i in (0, 20, 40))
    np.testing.assert_array_equal(frame, np.broadcast_to(frame[:, :1, :1], frame.shape))
    np.testing.assert_array_equal(row, np.broadcast_to(row[:1, :, :1], row.shape))
    np.testing.assert_array_equal(column, np.broadcast_to(column[:1, :1], column.shape))
    np.testing.assert_array_equal(frame[1, 0, 0], row[0, 1, 0])


def test_pairs_side_by_side_have_angles_in_the_order_of_two_halves():
    # Channels 0 and 1 are a pair; channel 1 has the second angle, 10000^(-1/10).
    x = jnp.zeros((1, 2, 1, 64)).at[0, :, 0, 1].set(1.0)
    y = _rotated(x, (2, 1, 1))[0, 1, 0]
    np.testing.assert_allclose(y[0], -np.sin(1.0), rtol=1e-6)
    np.testing.assert_allclose(y[1], np.cos(10_000.0**-0.1), rtol=1e-6)
    # Channel 10 begins the second half: the first angle again.
    x = jnp.zeros((1, 2, 1, 64)).at[0, :, 0, 10].set(1.0)
    np.testing.assert_allclose(_rotated(x, (2, 1, 1))[0, 1, 0, 10], np.cos(1.0), 1e-6)


def test_any_frame_count_and_size_takes_the_same_parameters():
    model = create_model("vjepa2_tiny")
    variables = model.init(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))
    clip = jax.ShapeDtypeStruct((1, 5, 40, 56, 3), jnp.float32)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    assert endpoints["features"].shape == (1, 2, 5, 7, 64)
