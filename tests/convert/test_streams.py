"""Flow from colours: the first kernel of a stream on flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.streams import join_streams, spread_colours
from vidjax.models.registry import create_model

KERNEL = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 2, 3, 4)


def test_the_mean_over_colours_is_repeated():
    found = spread_colours(KERNEL, 10)
    assert found.shape == (1, 2, 10, 4)
    for channel in range(10):
        np.testing.assert_allclose(found[..., channel, :], KERNEL.mean(2))


def test_symmetric_padding_mirrors_the_colours():
    found = spread_colours(KERNEL, 10, how="symmetric")
    order = [0, 1, 2, 2, 1, 0, 0, 1, 2, 2]
    np.testing.assert_array_equal(found, KERNEL[:, :, order])


@pytest.mark.usefixtures("unchecked")
def test_another_way_is_refused():
    with pytest.raises(ValueError, match="'zeros'"):
        spread_colours(KERNEL, 10, how="zeros")


@pytest.fixture(scope="module")
def image_variables():
    model = create_model("resnet_tiny", num_classes=4)
    return model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


@pytest.mark.parametrize("colours", ["mean", "symmetric"])
def test_an_image_network_begins_a_stream_on_flow(image_variables, colours):
    model = create_model("tsn_resnet_tiny", num_classes=4)
    found = convert.inflate(image_variables, model, (8, 32, 32, 10), colours=colours)
    kernel = np.asarray(image_variables["params"]["backbone"]["conv1"]["kernel"])
    np.testing.assert_array_equal(
        found["params"]["backbone"]["conv1"]["kernel"],
        spread_colours(kernel, 10, how=colours),
    )


def test_weights_for_colours_are_loaded_for_clips_of_flow(image_variables):
    found = convert.from_arrays(
        "tsn_resnet_tiny",
        image_variables,
        num_classes=7,
        head="match",
        clip_shape=(8, 32, 32, 4),
    )
    kernel = np.asarray(image_variables["params"]["backbone"]["conv1"]["kernel"])
    np.testing.assert_array_equal(
        found["params"]["backbone"]["conv1"]["kernel"], spread_colours(kernel, 4)
    )
    assert found["params"]["logits"]["bias"].shape == (7,)


def test_streams_of_different_networks_are_refused():
    with pytest.raises(ValueError, match=r"\['batch_stats', 'params'\].*\['params'\]"):
        join_streams({"params": {}, "batch_stats": {}}, {"params": {}})
