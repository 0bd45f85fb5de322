import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.pixels import denormalize, normalize

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def test_imagenet_values_follow_the_formula_of_the_clip_spec():
    pixels = jnp.array([[0, 128, 255]], jnp.uint8)

    values = normalize(pixels, **IMAGENET)

    want = (np.array([0, 128 / 255, 1]) - IMAGENET["mean"]) / IMAGENET["std"]
    np.testing.assert_allclose(values[0], want, rtol=1e-5)


def test_a_range_of_255_leaves_pixels_as_they_are_but_for_the_mean():
    pixels = jnp.array([[104, 117, 255]], jnp.uint8)
    values = normalize(
        pixels, value_range=(0.0, 255.0), mean=(104.0, 117.0, 128.0), std=(1.0,) * 3
    )
    np.testing.assert_allclose(values[0], [0, 0, 127], atol=1e-5)


def test_every_pixel_comes_back():
    pixels = jnp.tile(jnp.arange(256, dtype=jnp.uint8)[:, None], (1, 3))
    fields = {"value_range": (-1.0, 1.0), **IMAGENET}
    again = denormalize(normalize(pixels, **fields), **fields)
    np.testing.assert_array_equal(again, pixels)


def test_pictures_are_cut_to_the_range_of_pixels():
    out = denormalize(jnp.array([[-1.0], [2.0]]), mean=(0.0,), std=(1.0,))
    assert out.tolist() == [[0], [255]]


def test_floats_and_another_dtype_are_accepted():
    out = normalize(jnp.full((1, 1), 127.5), mean=(0.0,), std=(1.0,), dtype="bfloat16")
    assert out.dtype == jnp.bfloat16
    assert float(out[0, 0]) == 0.5


@pytest.mark.parametrize("function", [normalize, denormalize])
def test_another_number_of_channels_is_refused(function):
    with pytest.raises(ValueError, match=r"each of 2 channels .* mean has 3 numbers"):
        function(jnp.zeros((4, 2)), mean=(0.0,) * 3, std=(1.0,) * 2)


def test_a_zero_deviation_is_refused():
    with pytest.raises(ValueError, match="std has a zero"):
        normalize(jnp.zeros((4, 2)), mean=(0.0, 0.0), std=(1.0, 0.0))


def test_bgr_turns_the_channels_round_before_mean_and_std_and_back():
    pixels = jnp.array([[10, 20, 30]], jnp.uint8)
    fields = {"value_range": (0.0, 255.0), "mean": (1.0, 2.0, 3.0), "std": (1.0,) * 3}
    out = normalize(pixels, **fields, channel_order="bgr")
    np.testing.assert_allclose(out, [[29.0, 18.0, 7.0]], rtol=1e-6)
    assert denormalize(out, **fields, channel_order="bgr").tolist() == pixels.tolist()
