import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vidjax.ops.position import resize_linear, resize_nearest


def _table(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    ("grid", "new_grid"),
    [
        ((4,), (7,)),
        ((7,), (4,)),
        ((3, 3), (5, 2)),
        ((4, 3, 3), (2, 3, 6)),
        ((5,), (1,)),
    ],
)
def test_places_are_those_of_scipys_zoom(grid, new_grid):
    table = _table(1, 1 + int(np.prod(grid)), 6)
    zoom = [*(m / n for n, m in zip(grid, new_grid, strict=True)), 1]
    expected = ndimage.zoom(table[0, 1:].reshape(*grid, 6), zoom, order=1)

    found = resize_linear(jnp.array(table), grid, new_grid, extra=1)

    np.testing.assert_array_equal(found[:, :1], table[:, :1])
    np.testing.assert_allclose(found[0, 1:], expected.reshape(-1, 6), atol=1e-6)


def test_a_table_for_the_same_grid_is_kept():
    table = jnp.array(_table(1, 6, 2))
    assert resize_linear(table, (2, 3), (2, 3)) is table


def test_a_table_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\) with 1 more has 7 rows, got 6"):
        resize_linear(jnp.array(_table(1, 6, 2)), (2, 3), (4, 3), extra=1)


def test_the_nearest_place_is_taken_along_both_axes():
    table = jnp.arange(7.0).reshape(1, 7, 1)  # One more and a grid of 2 x 3.
    got = resize_nearest(table, (2, 3), (4, 2), extra=1)[0, :, 0]
    assert got.tolist() == [0, 1, 2, 1, 2, 4, 5, 4, 5]


def test_a_table_of_another_grid_cannot_be_resized():
    with pytest.raises(ValueError, match=r"has 7 rows, got 6"):
        resize_nearest(jnp.zeros((1, 6, 1)), (2, 3), (4, 2), extra=1)
