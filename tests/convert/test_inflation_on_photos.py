"""Inflation of real ImageNet weights, seen on real photos."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.convert import inflate
from vidjax.ops.pixels import normalize

FRAMES = 2


@pytest.mark.parametrize("temporal", ["average", "center"])
def test_a_photo_held_still_is_labelled_as_the_photo_is(photos, temporal):
    pixels = jnp.asarray(photos[0])
    spec = vidjax.model_card("efficientnet_lite0").clip
    images = normalize(
        pixels, value_range=spec.value_range, mean=spec.mean, std=spec.std
    )
    variables = vidjax.load_variables("efficientnet_lite0", "imagenet")
    image_model = vidjax.create_model("efficientnet_lite0")
    model = vidjax.create_model("efficientnet3d_lite0", num_classes=1000)
    inflated = inflate(variables, model, (FRAMES, *spec.shape[1:]), temporal)

    expected, _ = jax.jit(image_model.apply)(variables, images)
    apply = jax.jit(model.apply)
    for start in range(0, len(images), 5):  # Five clips at a time.
        part = images[start : start + 5]
        logits, _ = apply(inflated, jnp.repeat(part[:, None], FRAMES, axis=1))
        scale = np.abs(expected[start : start + 5]).max()
        np.testing.assert_allclose(
            logits, expected[start : start + 5], rtol=0, atol=1e-4 * scale
        )
        np.testing.assert_array_equal(
            np.argmax(logits, -1), np.argmax(expected[start : start + 5], -1)
        )
