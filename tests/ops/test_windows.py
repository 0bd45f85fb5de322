import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.windows import cut, fill, join, window_and_shift


def test_windows_larger_than_a_map_are_cut_to_it_and_do_not_shift():
    assert window_and_shift((8, 14, 7), (8, 7, 7), shifted=True) == (
        (8, 7, 7),
        (0, 3, 0),
    )
    assert window_and_shift((9, 8, 3), (8, 7, 7), shifted=True) == (
        (8, 7, 3),
        (4, 3, 0),
    )
    assert window_and_shift((9, 8, 3), (8, 7, 7), shifted=False)[1] == (0, 0, 0)


@pytest.mark.parametrize("window", [(2, 3, 4), (1, 6, 2)])
def test_joined_windows_give_back_the_map(window):
    x = np.arange(2 * 4 * 6 * 8 * 3, dtype=np.float32).reshape(2, 4, 6, 8, 3)
    windows = cut(x, window)
    assert windows.shape[1] == np.prod(window)
    np.testing.assert_array_equal(join(jnp.asarray(windows), (4, 6, 8), window), x)
    # The first window holds a corner of the first map, in C order.
    corner = x[0, : window[0], : window[1], : window[2]]
    np.testing.assert_array_equal(windows[0], corner.reshape(-1, 3))


def test_maps_are_filled_at_their_ends_up_to_whole_windows():
    filled = np.asarray(fill(jnp.ones((1, 3, 4, 5, 2)), (2, 2, 4)))
    assert filled.shape == (1, 4, 4, 8, 2)
    assert filled[:, :3, :, :5].all()
    assert not filled[:, 3:].any()
    assert not filled[:, :, :, 5:].any()
