"""Bytes of two-stream data sets, and I3D's values in [-1, 1]."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.encode import (
    bytes_to_flow,
    bytes_to_unit,
    flow_to_bytes,
    flow_to_unit,
)


def test_bytes_are_those_of_dense_flow():
    # 255 (v + 20) / 40, rounded; 0 is 127.5, whose even neighbour is 128.
    flow = jnp.array([[-30.0, -20.0], [0.0, 0.07], [1.0, 20.0], [20.1, 900.0]])
    code = flow_to_bytes(flow)
    assert code.tolist() == [[0, 0], [128, 128], [134, 255], [255, 255]]


def test_zero_comes_back_as_half_a_step():
    back = bytes_to_flow(flow_to_bytes(jnp.zeros((1, 2))))
    np.testing.assert_allclose(back, 20 / 255, rtol=1e-5)


def test_a_round_trip_costs_half_a_step_at_most():
    flow = jnp.linspace(-20, 20, 402).reshape(-1, 2)
    error = np.abs(np.asarray(bytes_to_flow(flow_to_bytes(flow)) - flow))
    assert error.max() < 20 / 255 + 1e-5
    wide = np.abs(
        np.asarray(bytes_to_flow(flow_to_bytes(flow, bound=32.0), bound=32.0) - flow)
    )
    assert 20 / 255 < wide.max() < 32 / 255 + 1e-5


def test_every_byte_survives():
    code = jnp.arange(256, dtype=jnp.uint8).reshape(-1, 2)
    np.testing.assert_array_equal(flow_to_bytes(bytes_to_flow(code)), code)


def test_i3d_takes_256_levels_between_minus_one_and_one():
    flow = jnp.linspace(-21, 21, 4200).reshape(-1, 2)
    unit = np.asarray(flow_to_unit(flow))
    assert unit.min() == -1
    assert unit.max() == 1
    assert len(np.unique(unit)) == 256
    np.testing.assert_allclose(flow_to_unit(jnp.zeros((1, 2))), 1 / 255, rtol=1e-4)
    np.testing.assert_array_equal(bytes_to_unit(flow_to_bytes(flow)), unit)


def test_a_bound_that_is_not_positive_is_an_error():
    with pytest.raises(ValueError, match="above 0 pixels, got 0"):
        flow_to_bytes(jnp.zeros((1, 2)), bound=0.0)
    with pytest.raises(ValueError, match="got -1"):
        bytes_to_flow(jnp.zeros((1, 2), jnp.uint8), bound=-1.0)
