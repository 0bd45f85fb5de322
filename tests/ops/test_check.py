import jax.numpy as jnp
import pytest

from vidjax.ops.check import check_clip


def test_a_clip_that_fits_passes():
    check_clip(jnp.zeros((2, 9, 8, 8, 3)), min_frames=9, min_size=8, channels=3)


def test_a_clip_without_batch_axis_is_told_how_to_get_one():
    with pytest.raises(ValueError, match=r"got 4 in shape .* clip\[None\]"):
        check_clip(jnp.zeros((8, 32, 32, 3)))


def test_a_wrong_number_of_axes_is_refused():
    with pytest.raises(ValueError, match=r"five axes \[B, T, H, W, C\], got 3"):
        check_clip(jnp.zeros((8, 32, 32)))


def test_pixels_are_told_to_be_normalised():
    with pytest.raises(TypeError, match=r"uint8.*normalize"):
        check_clip(jnp.zeros((1, 8, 32, 32, 3), jnp.uint8))


def test_all_that_is_wrong_stands_in_one_message():
    with pytest.raises(ValueError, match="least 9 frames, got 8") as error:
        check_clip(jnp.zeros((1, 8, 32, 16, 2)), min_frames=9, min_size=24, channels=3)
    assert "at least 24 pixels a side, got 32 x 16" in str(error.value)
    assert "3 channels, got 2" in str(error.value)
    assert "(1, 8, 32, 16, 2), read as [B, T, H, W, C]" in str(error.value)
