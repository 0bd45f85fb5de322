"""Correlations read around places, against sums that are written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.correlation import (
    correlation_volumes,
    look_up,
    look_up_on_demand,
    pool_levels,
    volume_bytes,
)
from vidjax.ops.platform import compile_for

LEVELS, RADIUS, SHAPE = 3, 2, (2, 9, 11, 5)


@pytest.fixture(scope="module")
def pair():
    """Two maps of odd sizes, and places of which some lie outside."""
    keys = jax.random.split(jax.random.key(0), 3)
    first, second = (jax.random.normal(key, SHAPE) for key in keys[:2])
    places = jax.random.uniform(keys[2], (*SHAPE[:3], 2), minval=-6.0, maxval=16.0)
    # Whole pixels, and far away on every side.
    places = places.at[0, 0, 0].set(jnp.array([3.0, 4.0]))
    far = jnp.array([[-900.0, 2.0], [900.0, 2.0], [2.0, -900.0], [2.0, 900.0]])
    return first, second, places.at[1, 0, :4].set(far)


def _value(volume, x, y):
    """The bilinear value of a map [H, W] at (x, y), zero outside."""
    total = 0.0
    for row in range(volume.shape[0]):
        for column in range(volume.shape[1]):
            weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
            total += weight * volume[row, column]
    return total


def _expected(first, second, place, image, row, column):
    """The channels of one pixel: by level, then by x, then by y."""
    values = []
    pixel, other = np.asarray(first[image, row, column]), np.asarray(second[image])
    for level in range(LEVELS):
        volume = other @ pixel / np.sqrt(SHAPE[-1])
        for dx in range(-RADIUS, RADIUS + 1):
            for dy in range(-RADIUS, RADIUS + 1):
                x, y = place / 2**level
                values.append(_value(volume, x + dx, y + dy))
        height, width = (side // 2 * 2 for side in other.shape[:2])
        other = other[:height, :width]
        other = other.reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3))
    return values


@pytest.mark.parametrize("form", ["gather", "matmul"])
def test_windows_hold_the_bilinear_correlations_by_level_then_x_then_y(pair, form):
    first, second, places = pair
    volumes = correlation_volumes(first, second, levels=LEVELS)

    found = look_up(volumes, places, radius=RADIUS, form=form)

    assert found.shape == (*SHAPE[:3], LEVELS * 25)
    for image, row, column in ((0, 0, 0), (0, 4, 7), (1, 8, 10), (1, 3, 0)):
        place = np.asarray(places[image, row, column])
        expected = _expected(first, second, place, image, row, column)
        np.testing.assert_allclose(found[image, row, column], expected, atol=2e-6)
    np.testing.assert_array_equal(found[1, 0, :4], 0.0)


@pytest.mark.parametrize("form", ["gather", "matmul"])
@pytest.mark.parametrize("max_bytes", [0, 20_000])
def test_on_demand_reads_the_same_a_row_or_several_at_a_time(pair, form, max_bytes):
    first, second, places = pair
    volumes = correlation_volumes(first, second, levels=LEVELS)
    expected = look_up(volumes, places, radius=RADIUS, form="matmul")

    found = look_up_on_demand(
        first,
        pool_levels(second, levels=LEVELS),
        places,
        radius=RADIUS,
        max_bytes=max_bytes,
        form=form,
    )

    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_the_form_follows_the_platform():
    volumes = correlation_volumes(
        jnp.ones((1, 4, 4, 2)), jnp.ones((1, 4, 4, 2)), levels=1
    )
    places = jnp.zeros((1, 4, 4, 2))

    def program(platform):
        with compile_for(platform):
            jaxpr = jax.make_jaxpr(lambda v, p: look_up(v, p, radius=1))(
                volumes, places
            )
        return str(jaxpr)

    assert "gather" not in program("tpu")
    assert "gather" in program("gpu")


def test_the_size_of_volumes_is_foretold():
    shape = (2, 9, 11, 5)
    maps = jax.ShapeDtypeStruct(shape, jnp.float32)
    volumes = jax.eval_shape(
        lambda a, b: correlation_volumes(a, b, levels=LEVELS), maps, maps
    )
    total = sum(volume.size * volume.dtype.itemsize for volume in volumes)
    assert volume_bytes(shape, levels=LEVELS) == total


def test_correlations_are_float32_of_exact_products():
    maps = jax.ShapeDtypeStruct((1, 8, 8, 4), jnp.bfloat16)
    jaxpr = jax.make_jaxpr(lambda a, b: correlation_volumes(a, b, levels=2))(maps, maps)
    assert all(value.aval.dtype == jnp.float32 for value in jaxpr.jaxpr.outvars)
    assert "HIGHEST" in str(jaxpr)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match=r"at least 4 pixels a side for 3.*2, 8"):
        pool_levels(jnp.ones((1, 2, 8, 3)), levels=3)
    places = jnp.zeros((1, 1, 1, 2))
    with pytest.raises(ValueError, match="'hat'"):
        look_up((jnp.ones((1, 1, 1, 4, 4)),), places, radius=1, form="hat")
