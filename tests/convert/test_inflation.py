import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.convert import inflate
from vidjax.convert.variables import flatten
from vidjax.layers.conv import ConvBlock
from vidjax.layers.head import Classifier
from vidjax.layers.norm import BatchNorm
from vidjax.models.registry import create_model

CLIP = (8, 32, 32, 3)
PAIRS = ["frame_average", "tsn", "early_fusion"]


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
        lambda a: jnp.asarray(generator.uniform(0.5, 1.5, a.shape) * (a + 0.1)),
        variables,
    )


def _logits(model, variables, x):
    return jax.jit(lambda v, x: model.apply(v, x)[0])(variables, x)


@pytest.fixture(scope="module")
def image_network():
    model = create_model("resnet_tiny")
    return model, _random(model, (32, 32, 3))


@pytest.mark.parametrize("temporal", ["average", "center"])
@pytest.mark.parametrize("family", PAIRS)
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


@pytest.mark.parametrize("temporal", ["average", "center"])
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
