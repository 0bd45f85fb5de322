import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.convert import inflate
from vidjax.convert.inflation import explain_inflation
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.layers.conv import ConvBlock
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.models import csn, i3d, i3d_resnet, r3d, resnet, slow, slowfast
from vidjax.models.efficientnet_lite0 import LITE_TINY, EfficientNet3D
from vidjax.models.registry import create_model, model_card
from vidjax.models.resnet3d import NonLocalKind, ResNet3D
from vidjax.models.video_resnet import VideoResNet

CLIP = (8, 32, 32, 3)
WITHOUT_TIME = ["frame_average", "tsn", "early_fusion"]


def _resnet(layout, **changes):
    """The image network of a 3D ResNet of a few blocks."""
    twin = resnet.Layout(
        layout.block if hasattr(layout, "block") else "bottleneck",
        layout.blocks,
        layout.width,
        stem_kernel=layout.stem_kernel[-1],
        stem_pool=layout.stem_pool,
        **changes,
    )
    return resnet.ResNet(num_classes=10, layout=twin)


_POOLED = dataclasses.replace(
    slow.SLOW_TINY, blocks=(1, 1, 1), stem_pool=True, pool_frames=True
)
_FAST_FIRST = dataclasses.replace(
    slowfast.SLOWFAST_TINY, fusion_norm=False, picks="strided", first="fast"
)
_CSN = dataclasses.replace(csn.CSN_TINY, kinds=("ir",) * 3)
_IDENTITY = dataclasses.replace(i3d_resnet.I3D_TINY, non_local_kind=NonLocalKind())

# The image network, the video network's module and arguments, and the frames that its
# clips need for some to be far from both ends.
PAIRS = {
    "inception": (
        lambda: create_model("inception_v1_tiny"),
        i3d.I3D,
        {"stages": i3d.TINY_STAGES},
        24,
    ),
    "efficientnet": (
        lambda: create_model("efficientnet_lite_tiny"),
        EfficientNet3D,
        {"layout": dataclasses.replace(LITE_TINY, extent=3)},
        16,
    ),
    "i3d_resnet": (lambda: _resnet(_IDENTITY), ResNet3D, {"layout": _IDENTITY}, 24),
    "slow": (lambda: _resnet(slow.SLOW_TINY), ResNet3D, {"layout": slow.SLOW_TINY}, 8),
    "slow_with_pools": (lambda: _resnet(_POOLED), ResNet3D, {"layout": _POOLED}, 24),
    "slowfast": (
        lambda: _resnet(slowfast.SLOWFAST_TINY.slow),
        slowfast.SlowFast,
        {"layout": slowfast.SLOWFAST_TINY},
        32,
    ),
    "slowfast_mmaction2": (
        lambda: _resnet(slowfast.SLOWFAST_TINY.slow),
        slowfast.SlowFast,
        {"layout": _FAST_FIRST},
        32,
    ),
    "r3d": (lambda: _resnet(r3d.R3D_TINY), VideoResNet, {"layout": r3d.R3D_TINY}, 32),
    "csn": (lambda: _resnet(_CSN, depthwise=True), VideoResNet, {"layout": _CSN}, 24),
}
STILL = pytest.mark.parametrize("pair", PAIRS)
HOW = pytest.mark.parametrize("temporal", ["average", "center"])


class Toy(nn.Module):
    """Two convolutions and a classifier, in two dimensions or, with T > 0, in three.

    Attributes:
        time: Extents in time of the kernels; empty for images.
        num_classes: Number of classes.
    """

    time: tuple[int, ...] = ()
    num_classes: int = 5

    @nn.compact
    def __call__(self, x, *, train=False):
        for i in range(2):
            kernel = (*self.time[i : i + 1], 3, 3)
            norm = lambda name: BatchNorm(train, name=name)  # noqa: E731
            padding = (*[(0, 0)] * (len(kernel) - 2), (1, 1), (1, 1))
            x = ConvBlock(4, kernel, 1, padding, norm=norm, name=f"block{i}")(x)
        pooled = jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))
        return Classifier(self.num_classes, name="logits")(pooled[:, None])


def _random(model, shape):
    """Variables in which every place matters, batch statistics among them."""
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *shape)))
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda a: a + jnp.asarray(0.1 * generator.uniform(-1, 1, a.shape)), variables
    )


def _logits(model, variables, x):
    return jax.jit(lambda v, x: model.apply(v, x)[0])(variables, x)


@pytest.fixture(scope="module")
def image_network():
    model = create_model("resnet_tiny")
    return model, _random(model, (32, 32, 3))


@pytest.mark.parametrize("temporal", ["average", "center"])
@pytest.mark.parametrize("family", WITHOUT_TIME)
def test_a_still_clip_gives_the_logits_of_its_image(family, temporal, image_network):
    model, variables = image_network
    video_model = create_model(f"{family}_resnet_tiny")
    inflated = inflate(variables, video_model, CLIP, temporal)

    image = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    clip = jnp.repeat(image[:, None], 8, axis=1)

    expected = _logits(model, variables, image)
    found = _logits(video_model, inflated, clip)
    scale = jnp.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


@functools.cache
def _image_side(pair):
    """An image network with weights, two images, and what it makes of them."""
    model = PAIRS[pair][0]()
    variables = _random(model, (32, 32, 3))
    images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    logits, endpoints = jax.jit(model.apply)(variables, images)
    return variables, images, logits, endpoints["features"]


def _still(pair, temporal, **arguments):
    """The inflated network's logits and endpoints on still clips, and the image's."""
    _, module, given, frames = PAIRS[pair]
    variables, images, logits, features = _image_side(pair)
    model = module(num_classes=10, **given, **arguments)
    inflated = inflate(variables, model, (frames, 32, 32, 3), temporal)
    clip = jnp.repeat(images[:, None], frames, axis=1)
    found, endpoints = jax.jit(model.apply)(inflated, clip)
    return (logits, features), (found, endpoints["features"])


def _assert_near(found, expected):
    scale = float(jnp.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize(
    ("source", "target", "fresh"),
    [
        ("resnet50", "c2d_resnet50", r"nothing"),
        ("resnet50", "i3d_resnet50", r"nothing"),
        ("resnet50", "slow_8x8_resnet50", r"nothing"),
        ("resnet50", "tsn_resnet50", r"nothing"),
        ("resnet50", "tsm_resnet50_nonlocal", r".*_non_local/.*"),
        ("resnet101", "csn_resnet101", r".*/(conv2|bn2)/.*"),
        ("resnet18", "r3d_18", r"nothing"),
        ("inception_v1", "i3d_rgb", r"nothing"),
        ("inception_v1", "i3d_flow", r"nothing"),
        ("mobilenet_v2", "tsm_mobilenet_v2", r"nothing"),
        ("efficientnet_lite0", "efficientnet3d_lite0", r"nothing"),
    ],
)
def test_registered_networks_fit_at_full_size(source, target, fresh):
    """Only what a 2D network cannot give starts afresh."""
    image_model = create_model(source)
    places = abstract_variables(image_model, model_card(source).clip.shape)
    variables = unflatten(
        {path: np.broadcast_to(np.float32(1), p.shape) for path, p in places.items()}
    )
    model = create_model(target, num_classes=image_model.num_classes)
    found = explain_inflation(variables, model, model_card(target).clip.shape)
    assert all(re.fullmatch(fresh, path) for path in found.fresh)
    assert bool(found.fresh) == (fresh != "nothing")
    assert found.inflated or target.startswith("ts")


@STILL
def test_center_gives_a_still_clip_the_logits_of_its_image(pair):
    (logits, _), (found, _) = _still(pair, "center")
    _assert_near(found, logits)


@STILL
def test_average_does_so_with_the_frames_at_the_edges_repeated(pair):
    (logits, _), (found, _) = _still(pair, "average", time_padding="edge")
    _assert_near(found, logits)


@STILL
def test_average_with_zeros_does_so_far_from_the_ends_of_the_clip(pair):
    (_, features), (_, found) = _still(pair, "average", time_padding="zeros")
    middle = found.shape[1] // 2
    _assert_near(found[:, middle], features[:, 0])
    if pair != "slow_with_pools":  # One that has no kernel over time near its ends.
        assert not np.allclose(found[:, 0], features[:, 0], rtol=1e-2)


@HOW
def test_shifts_leave_the_frames_far_from_the_ends_as_they_are(temporal):
    image_model = create_model("resnet_tiny")
    variables = _random(image_model, (32, 32, 3))
    model = create_model("tsm_resnet_tiny")
    inflated = inflate(variables, model, CLIP, temporal)
    images = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    expected = _logits(image_model, variables, images)
    clip = jnp.repeat(images[:, None], 8, axis=1)
    _, endpoints = jax.jit(model.apply)(inflated, clip)
    for frame in range(2, 6):  # Two blocks shift by one frame each.
        _assert_near(endpoints["logits_per_step"][:, frame], expected)


def test_the_fast_pathway_starts_afresh_and_is_listed():
    variables, *_ = _image_side("slowfast")
    model = slowfast.SlowFast(num_classes=10, layout=slowfast.SLOWFAST_TINY)
    found = explain_inflation(variables, model, (32, 32, 32, 3))
    assert all("/fast/" in path or "/fuse_" in path for path in found.fresh)
    assert "params/fast/conv1/kernel" in found.fresh
    assert "params/logits/kernel" in found.widened
    assert "params/slow/layer2_0/conv1/kernel" in found.widened
    assert "params/slow/layer3_0/conv1/kernel" in found.inflated + found.widened
    head = found.variables["params"]["logits"]["kernel"]
    slow_width = variables["params"]["logits"]["kernel"].shape[0]
    assert not head[slow_width:].any()
    np.testing.assert_array_equal(
        head[:slow_width], variables["params"]["logits"]["kernel"]
    )
    lists = found.taken + found.inflated + found.widened + found.fresh
    assert sorted(lists) == sorted(flatten(found.variables))


def test_dense_convolutions_do_not_pass_for_depthwise_ones():
    image_model = _resnet(_CSN)
    variables = _random(image_model, (32, 32, 3))
    for layout in (_CSN, csn.CSN_TINY):
        model = VideoResNet(num_classes=10, layout=layout)
        found = explain_inflation(variables, model, CLIP)
        assert found.fresh
        assert all("/conv2/" in path or "/bn2/" in path for path in found.fresh)
        assert "params/backbone/layer2_0/conv3/kernel" in found.inflated


@HOW
def test_a_first_kernel_for_flow_is_the_mean_over_colours(temporal):
    variables, *_ = _image_side("i3d_resnet")
    image_stem = variables["params"]["backbone"]["conv1"]["kernel"]
    model = ResNet3D(num_classes=10, layout=_IDENTITY)
    found = explain_inflation(variables, model, (8, 32, 32, 10), temporal)
    assert found.widened == ("params/backbone/conv1/kernel",)
    stem = found.variables["params"]["backbone"]["conv1"]["kernel"]
    for channel in range(10):
        np.testing.assert_allclose(
            stem[:, :, :, channel].sum(0), image_stem.mean(2), rtol=1e-5
        )


@HOW
def test_kernels_get_a_time_axis(temporal):
    image_model, video_model = Toy(), Toy(time=(3, 2))
    variables = _random(image_model, (8, 8, 3))
    inflated = inflate(variables, video_model, (4, 8, 8, 3), temporal)

    image = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    clip = jnp.repeat(image[:, None], 4, axis=1)  # Four frames leave one for the head.
    expected = _logits(image_model, variables, image)
    found = _logits(video_model, inflated, clip)
    scale = jnp.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale)


def test_average_and_center_put_the_kernel_elsewhere():
    variables = _random(Toy(), (8, 8, 3))
    kernel = variables["params"]["block0"]["conv"]["kernel"]
    model = Toy(time=(3, 2))
    average = inflate(variables, model, (4, 8, 8, 3))["params"]
    center = inflate(variables, model, (4, 8, 8, 3), "center")["params"]
    for frame in range(3):
        np.testing.assert_allclose(
            average["block0"]["conv"]["kernel"][frame], kernel / 3, rtol=1e-6
        )
        np.testing.assert_array_equal(
            center["block0"]["conv"]["kernel"][frame], kernel * (frame == 1)
        )


def test_a_shifting_network_takes_image_weights_as_they_are(image_network):
    _, variables = image_network
    inflated = inflate(variables, create_model("tsm_resnet_tiny"), CLIP)
    source = flatten(variables)
    for path, array in flatten(inflated).items():
        np.testing.assert_array_equal(array, source[path])


def test_the_classifier_starts_afresh_when_asked(image_network):
    _, variables = image_network
    other = create_model("tsn_resnet_tiny", num_classes=3)
    with pytest.raises(ValueError, match=r"logits/kernel: \(64, 10\) cannot become"):
        inflate(variables, other, CLIP)
    for head in ("reset", "match"):
        inflated = inflate(variables, other, CLIP, head=head)
        assert inflated["params"]["logits"]["kernel"].shape == (64, 3)
    same = create_model("tsn_resnet_tiny")
    matched = inflate(variables, same, CLIP, head="match")["params"]["logits"]
    np.testing.assert_array_equal(
        matched["kernel"], variables["params"]["logits"]["kernel"]
    )


def test_networks_that_do_not_match_are_an_error_that_lists_all(image_network):
    _, variables = image_network
    with pytest.raises(ValueError, match="networks do not match") as error:
        inflate(variables, create_model("c3d_tiny"), CLIP)
    message = str(error.value)
    assert "params/backbone/conv1/kernel: the video network has no such" in message
    assert "params/conv1a/conv/kernel: the 2D network has no such place" in message


@pytest.mark.usefixtures("as_users_run_it")
def test_unknown_choices_are_errors(image_network):
    _, variables = image_network
    model = create_model("tsn_resnet_tiny")
    with pytest.raises(ValueError, match="temporal must be"):
        inflate(variables, model, CLIP, "mean")
    with pytest.raises(ValueError, match="head must be"):
        inflate(variables, model, CLIP, head="keeep")
