import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.patch_embed import PatchEmbed

CLIP = jax.random.normal(jax.random.key(0), (2, 4, 6, 8, 3))


def test_it_equals_a_convolution_whose_stride_is_its_kernel():
    module = PatchEmbed(5, (2, 3, 4))
    variables = module.init(jax.random.key(1), CLIP)
    variables["params"]["bias"] = jnp.arange(5.0)
    got = module.apply(variables, CLIP)
    want = jax.lax.conv_general_dilated(
        CLIP,
        variables["params"]["kernel"],
        (2, 3, 4),
        "VALID",
        dimension_numbers=("NTHWC", "THWIO", "NTHWC"),
    ) + jnp.arange(5.0).reshape(1, 1, 1, 1, 5)
    assert got.shape == (2, 2, 2, 2, 5)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_its_kernel_starts_within_the_bounds_of_all_pixels_of_a_block():
    kernel = PatchEmbed(64, (2, 3, 4)).init(jax.random.key(1), CLIP)["params"]["kernel"]
    bound = (6 / (2 * 3 * 4 * 3 + 64)) ** 0.5
    assert 0.95 * bound < float(jnp.abs(kernel).max()) <= bound


def test_a_remainder_is_refused_or_cropped():
    module = PatchEmbed(5, (2, 4, 4))
    with pytest.raises(ValueError, match=r"multiples of \(2, 4, 4\), got \(4, 6, 8\)"):
        module.init(jax.random.key(1), CLIP)
    cropping = PatchEmbed(5, (2, 4, 4), use_bias=False, crop=True)
    y, variables = cropping.init_with_output(jax.random.key(1), CLIP)
    assert y.shape == (2, 2, 1, 2, 5)
    np.testing.assert_array_equal(y, cropping.apply(variables, CLIP[:, :, :4]))
    with pytest.raises(ValueError, match=r"at least \(2, 4, 4\).*\[B, T, H, W, C\]"):
        cropping.apply(variables, CLIP[:, :1])


def test_another_number_of_channels_is_refused():
    module = PatchEmbed(5, (2, 3, 4))
    variables = module.init(jax.random.key(1), CLIP)
    with pytest.raises(ValueError, match=r"Expected 3 channels.*got 2"):
        module.apply(variables, CLIP[..., :2])
