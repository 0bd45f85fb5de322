import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.masked_modeling import (
    block_pixels,
    normalised_pixels,
    pixel_targets,
    reconstruction_error,
    split_by_mask,
    tube_mask,
)


def test_a_tube_hides_the_same_places_in_all_frames_and_others_in_each_clip():
    mask = np.asarray(tube_mask(jax.random.key(0), 6, (4, 5, 6), 0.9))
    tubes = mask.reshape(6, 4, 30)
    assert (tubes == tubes[:, :1]).all()
    assert (tubes.sum(axis=2) == 27).all()
    assert len({tube.tobytes() for tube in tubes[:, 0]}) == 6
    again = tube_mask(jax.random.key(0), 6, (4, 5, 6), 0.9)
    np.testing.assert_array_equal(mask, again)


def test_every_place_is_hidden_as_often():
    mask = tube_mask(jax.random.key(1), 4000, (1, 2, 4), 0.75)
    share = np.asarray(mask, np.float32).mean(axis=0)
    np.testing.assert_allclose(share, 0.75, atol=0.04)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.2])
def test_a_ratio_that_hides_nothing_or_all_is_refused(ratio):
    with pytest.raises(ValueError, match=r"mask_ratio .* the 4 places .*got"):
        tube_mask(jax.random.key(0), 1, (2, 2, 2), ratio)


def test_blocks_come_in_the_order_of_the_grid_and_pixels_in_that_of_the_block():
    # Value 1000 t + 100 h + 10 w + c: where a number came from can be read off it.
    t, h, w, c = np.ogrid[:4, :4, :6, :2]
    clip = jnp.asarray(1000 * t + 100 * h + 10 * w + c, jnp.float32)[None]
    blocks = np.asarray(block_pixels(clip, (2, 2, 3)))[0]
    assert blocks.shape == (8, 12, 2)
    assert blocks[:, 0, 0].tolist() == [0, 30, 200, 230, 2000, 2030, 2200, 2230]
    first = [0, 10, 20, 100, 110, 120, 1000, 1010, 1020, 1100, 1110, 1120]
    assert blocks[0, :, 0].tolist() == first
    assert blocks[0, :, 1].tolist() == [value + 1 for value in first]


def test_blocks_that_do_not_divide_a_clip_are_refused():
    with pytest.raises(ValueError, match=r"multiples of \(2, 2, 2\), got \(4, 3, 4\)"):
        block_pixels(jnp.zeros((1, 4, 3, 4, 3)), (2, 2, 2))


def test_each_channel_of_a_block_has_mean_zero_and_variance_one():
    clip = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 4, 8, 8, 3))
    blocks = np.asarray(normalised_pixels(clip, (2, 4, 4))).reshape(2, 8, 32, 3)
    np.testing.assert_allclose(blocks.mean(axis=2), 0.0, atol=1e-5)
    np.testing.assert_allclose(blocks.std(axis=2, ddof=1), 1.0, rtol=1e-4)


def test_a_flat_block_gives_zeros_and_units_matter_only_beside_its_noise():
    assert not normalised_pixels(jnp.ones((1, 2, 2, 2, 3)), (2, 2, 2)).any()
    clip = 1e-6 * jax.random.normal(jax.random.key(0), (1, 2, 2, 2, 1))
    as_is = normalised_pixels(clip, (2, 2, 2))
    pixels = normalised_pixels(clip, (2, 2, 2), mean=(0.5,), std=(1e-3,))
    assert float(jnp.abs(as_is).max()) > 0.5 > 0.1 > float(jnp.abs(pixels).max())


def test_what_is_to_be_predicted_is_pixels_as_they_are_or_normalised():
    clip = jax.random.uniform(jax.random.key(0), (1, 2, 4, 4, 3))
    patch = (2, 2, 2)
    as_they_are = block_pixels(clip, patch).reshape(1, 4, 24)
    np.testing.assert_array_equal(pixel_targets(clip, patch, "pixels"), as_they_are)
    np.testing.assert_array_equal(
        pixel_targets(clip, patch, "normalised"), normalised_pixels(clip, patch)
    )
    with pytest.raises(ValueError, match="multiples of"):
        pixel_targets(clip, (2, 3, 2), "pixels")


def test_the_error_is_over_the_hidden_blocks_in_their_order():
    targets = jnp.arange(10.0).reshape(2, 5, 1)
    mask = jnp.array([[1, 0, 1, 0, 0], [0, 0, 0, 1, 1]], bool)
    hidden, visible = split_by_mask(mask, 2)
    assert hidden.tolist() == [[0, 2], [3, 4]]
    assert visible.tolist() == [[1, 3, 4], [0, 1, 2]]
    predicted = jnp.array([[[0.0], [2.0]], [[8.0], [7.0]]])
    error = reconstruction_error(predicted, targets, mask)
    assert error.tolist() == [0.0, 2.0]
