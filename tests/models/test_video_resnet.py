import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.convert.variables import abstract_variables
from vidjax.layers.conv import Conv
from vidjax.layers.factorised import Factorised, InteractionPreserved
from vidjax.layers.norm import BatchNorm
from vidjax.models import r2plus1d
from vidjax.models.video_resnet import R3D_18, Layout, VideoResNet

STEM = Layout("basic", (), (), (), width=4, stem_kernel=(1, 1, 1))


def _maps(name, shape):
    model = models.create_model(name)
    clip = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    return {name: value.shape[1:] for name, value in endpoints.items()}


@functools.cache
def _kernels(name):
    """Shapes of kernels by path below the trunk."""
    shape = models.model_card(name).clip.shape
    places = abstract_variables(models.create_model(name), shape)
    return {
        path.removeprefix("params/backbone/").removesuffix("/kernel"): place.shape
        for path, place in places.items()
        if path.endswith("kernel")
    }


@pytest.mark.parametrize(
    ("name", "shape", "first", "last"),
    [
        ("r3d_18", (16, 112, 112, 3), (16, 56, 56, 64), (2, 7, 7, 512)),
        # Convolutions over space only leave time as it is.
        ("mc3_18", (16, 112, 112, 3), (16, 56, 56, 64), (16, 7, 7, 512)),
        ("r2plus1d_18", (16, 112, 112, 3), (16, 56, 56, 64), (2, 7, 7, 512)),
        ("r2plus1d_34", (8, 224, 224, 3), (8, 56, 56, 64), (1, 7, 7, 512)),
        ("r2plus1d_34_vmz", (32, 112, 112, 3), (32, 56, 56, 64), (4, 7, 7, 512)),
        ("r2plus1d_resnet50", (16, 224, 224, 3), (16, 56, 56, 256), (4, 7, 7, 2048)),
        ("csn_ir_resnet50", (32, 224, 224, 3), (32, 56, 56, 256), (4, 7, 7, 2048)),
    ],
)
def test_maps_have_the_sizes_of_the_original(name, shape, first, last):
    maps = _maps(name, (1, *shape))
    assert maps["layer1"] == first
    assert maps["layer4"] == maps["features"] == last


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18"])
def test_r3d_has_the_paths_of_the_image_network(name):
    clip = models.model_card(name).clip.shape
    video = abstract_variables(models.create_model(name), clip)
    image = abstract_variables(models.create_model("resnet18"), (1, 224, 224, 3))
    assert video.keys() == image.keys()


def test_torchvision_counts_middle_channels_once_a_block_and_others_in_each_layer():
    kernels = _kernels("r2plus1d_18")
    assert kernels["conv1/spatial"] == (1, 7, 7, 3, 45)
    assert kernels["conv1/temporal"] == (3, 1, 1, 45, 64)
    assert kernels["layer2_0/conv1/spatial"] == (1, 3, 3, 64, 230)
    assert kernels["layer2_0/conv2/spatial"] == (1, 3, 3, 128, 230)
    assert kernels["layer2_0/downsample_conv"] == (1, 1, 1, 64, 128)

    for name in ("r2plus1d_34_vmz", "r2plus1d_34"):
        kernels = _kernels(name)
        assert kernels["layer2_0/conv1/spatial"] == (1, 3, 3, 64, 230)
        assert kernels["layer2_0/conv2/spatial"] == (1, 3, 3, 128, 288)


def test_mmaction2_factorises_stem_and_shortcuts_by_the_same_rule():
    kernels = _kernels("r2plus1d_34")
    assert kernels["conv1/spatial"] == (1, 7, 7, 3, 83)
    # 3 * 64 * 128 / (64 + 3 * 128), though neither kernel is larger than one.
    assert kernels["layer2_0/downsample_conv/spatial"] == (1, 1, 1, 64, 54)
    assert kernels["layer2_0/downsample_conv/temporal"] == (1, 1, 1, 54, 128)


def test_pytorchvideo_keeps_the_channels_of_a_factorised_convolution():
    kernels = _kernels("r2plus1d_resnet50")
    assert kernels["conv1"] == (1, 7, 7, 3, 64)
    assert kernels["layer2_0/conv2/temporal"] == (3, 1, 1, 128, 128)
    assert kernels["layer2_0/conv2/spatial"] == (1, 3, 3, 128, 128)


def test_channel_separated_kernels_see_one_channel():
    kernels = _kernels("csn_tiny")
    assert kernels["layer3_0/conv2"] == (3, 3, 3, 1, 64)
    assert kernels["layer2_0/conv2/pointwise"] == (1, 1, 1, 32, 32)
    assert kernels["layer2_0/conv2/depthwise"] == (3, 3, 3, 1, 32)


def _conv(features, kernel, strides=1, **kwargs):
    return Conv(features, kernel, strides, padding="torch", **kwargs)


def _norm(name):
    return BatchNorm(train=False, name=name)


@pytest.mark.parametrize("temporal_first", [False, True])
def test_a_factorised_convolution_rectifies_between_its_halves(temporal_first):
    clip = jax.random.normal(jax.random.key(0), (1, 4, 6, 6, 3))
    args = (5, (3, 3, 3), (2, 2, 2), 7, temporal_first, _conv, _norm)
    module = Factorised(*args)
    variables = jax.jit(module.init)(jax.random.key(1), clip)

    parts = {
        "spatial": _conv(7, (1, 3, 3), (1, 2, 2)),
        "temporal": _conv(5, (3, 1, 1), (2, 1, 1)),
    }
    if temporal_first:
        parts = {
            "temporal": _conv(7, (3, 1, 1), (2, 1, 1)),
            "spatial": _conv(5, (1, 3, 3), (1, 2, 2)),
        }
    (first, one), (last, two) = parts.items()
    params = variables["params"]
    middle = one.apply({"params": params[first]}, clip) / np.sqrt(1 + 1e-5)
    want = two.apply({"params": params[last]}, jax.nn.relu(middle))

    np.testing.assert_allclose(module.apply(variables, clip), want, atol=1e-5)


def test_an_interaction_preserved_convolution_does_not_rectify():
    clip = jax.random.normal(jax.random.key(0), (1, 4, 6, 6, 4))
    module = InteractionPreserved(4, (1, 1, 1), _conv, _norm)
    variables = module.init(jax.random.key(1), clip)
    there, back = (module.apply(variables, sign * clip) for sign in (1, -1))
    np.testing.assert_allclose(there, -back, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "ratio"),
    [(r2plus1d.R2PLUS1D_34, 1.0), (r2plus1d.R2PLUS1D_34_VMZ, 10.0)],
)
def test_mmaction2s_epsilon_does_not_reach_the_norms_inside_convolutions(layout, ratio):
    # Where the running variance is zero, a norm multiplies by 1 / sqrt(epsilon).
    clip = jax.random.normal(jax.random.key(0), (1, 2, 8, 8, 3))
    layout = dataclasses.replace(layout, blocks=(), stem_middle=5)
    model = VideoResNet(3, layout)
    variables = jax.jit(model.init)(jax.random.key(1), clip)
    stem = variables["batch_stats"]["backbone"]["conv1"]["bn"]
    stem["var"] = jnp.zeros_like(stem["var"])

    def stem_map(epsilon):
        changed = dataclasses.replace(layout, middle_epsilon=epsilon)
        _, endpoints = jax.jit(VideoResNet(3, changed).apply)(variables, clip)
        return np.abs(endpoints["conv1"]).sum()

    small, published = stem_map(1e-5), stem_map(layout.middle_epsilon)
    np.testing.assert_allclose(small / published, ratio, rtol=1e-5)


def test_the_classifier_looks_at_every_window():
    clip = jax.random.normal(jax.random.key(0), (2, 3, 6, 4, 3))
    model = VideoResNet(5, dataclasses.replace(STEM, window=(2, 2, 7)))
    variables = model.init(jax.random.key(1), clip)
    logits, endpoints = model.apply(variables, clip)

    features = endpoints["features"]  # [2, 3, 3, 2, 4].
    windows = [
        features[:, t : t + 2, y : y + 2].mean((1, 2, 3))
        for t in range(2)
        for y in range(2)
    ]
    head = variables["params"]["logits"]
    scores = jnp.stack(windows, 1) @ head["kernel"]  # The bias begins at zero.
    np.testing.assert_allclose(logits, scores.mean(1), atol=1e-5)
    assert endpoints["logits_per_step"].shape == (2, 2, 5)


def test_r3d_is_the_layout_that_a_3d_resnet_has_by_default():
    assert VideoResNet().layout is R3D_18
