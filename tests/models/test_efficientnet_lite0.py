import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.models.efficientnet_lite0 import LITE_TINY, EfficientNet3D
from vidjax.models.mobilenet_v2 import MobileNetV2
from vidjax.models.registry import model_card
from vidjax.ops.pixels import normalize


def _input(images):
    """What the card says that the model wants."""
    spec = model_card("efficientnet_lite0").clip
    assert images.shape[1:3] == (spec.size, spec.size)
    assert (spec.short_side, spec.interpolation) == (256, "bicubic")
    return normalize(
        jnp.asarray(images), value_range=spec.value_range, mean=spec.mean, std=spec.std
    )


def test_published_weights_label_photos(photos):
    images, labels = photos
    variables = vidjax.load_variables("efficientnet_lite0", "imagenet")
    model = vidjax.create_model("efficientnet_lite0")

    logits, _ = jax.jit(model.apply)(variables, _input(images))

    assert len(labels) == 20
    assert int(np.sum(np.argmax(logits, axis=-1) == labels)) >= 18


def test_pixels_become_what_the_weights_were_trained_on():
    pixels = np.full((1, 224, 224, 3), 255, np.uint8)
    np.testing.assert_allclose(_input(pixels), 1.0, rtol=1e-6)
    np.testing.assert_allclose(_input(pixels - 128), 0.0, atol=1e-6)


def test_kernels_of_the_twin_have_time_only_where_positions_meet():
    names = ("efficientnet_lite0", "efficientnet3d_lite0")
    image, video = (
        jax.eval_shape(
            vidjax.create_model(name, num_classes=1000).init,
            jax.random.key(0),
            jax.ShapeDtypeStruct((1, 1, 224, 224, 3), jnp.float32),
        )
        for name in names
    )
    assert jax.tree.structure(image) == jax.tree.structure(video)

    def extent(flat, deep):
        if deep.shape == flat.shape:
            return None
        assert deep.shape[1:] == flat.shape
        return deep.shape[0]

    extents = jax.tree.map(extent, image, video)
    trunk = extents["params"]["backbone"]
    assert trunk["conv1"]["kernel"] == 3
    assert trunk["conv2"]["kernel"] == 1
    assert {trunk["layer4_1"][part]["kernel"] for part in ("expand", "project")} == {1}
    assert trunk["layer4_1"]["depthwise"]["kernel"] == 3
    assert trunk["layer4_1"]["depthwise_bn"]["scale"] is None
    assert extents["params"]["logits"]["kernel"] is None


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_time_is_never_thinned_out(frames):
    model = EfficientNet3D(3, dataclasses.replace(LITE_TINY, extent=3))
    clip = jax.ShapeDtypeStruct((2, frames, 20, 24, 3), jnp.float32)
    (logits, endpoints), _ = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x), clip
    )
    assert logits.shape == (2, 3)
    assert endpoints["logits_per_step"].shape == (2, frames, 3)
    assert endpoints["features"].shape == (2, frames, 3, 3, 256)


def test_a_twin_that_repeats_edges_keeps_a_still_clip_still():
    layout = dataclasses.replace(LITE_TINY, extent=3)
    image = jax.random.normal(jax.random.key(1), (1, 1, 16, 16, 3))
    clip = jnp.tile(image, (1, 4, 1, 1, 1))
    steps = {}
    for padding in ("zeros", "edge"):
        model = EfficientNet3D(3, layout, time_padding=padding)
        variables = jax.jit(model.init)(jax.random.key(0), clip)
        steps[padding] = jax.jit(model.apply)(variables, clip)[1]["logits_per_step"]
    still = np.ptp(steps["edge"], axis=1).max()
    assert still < 1e-5 * np.abs(steps["edge"]).max() < np.ptp(steps["zeros"], 1).max()


def test_borders_are_those_of_tensorflow():
    """An even map is padded at the end alone: its first rows never see a zero."""
    model = MobileNetV2(0, LITE_TINY)
    images = jnp.ones((1, 16, 16, 3))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    stem = jax.jit(model.apply)(variables, images)[1]["conv1"][0, 0]
    np.testing.assert_allclose(stem[:-1, :-1], stem[:1, :1] + 0 * stem[:-1, :-1])
    assert not np.allclose(stem[-1, 0], stem[0, 0])
