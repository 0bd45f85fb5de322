"""Scenes whose flow is known; test_shipped_configs has RAFT learn them by `fit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.config import load_config, override
from vidjax.data.sources import SceneSource
from vidjax.flow.warp import warp
from vidjax.tasks.experiment import make_model, make_spec
from vidjax.tasks.learn_flow import flow_losses, make_draw, make_images


def _codes(numbers):
    digits = [list(int(n).to_bytes(3, "big")) for n in numbers]
    return jnp.array(digits, jnp.uint8).reshape(-1, 1, 1, 1, 3)


@pytest.fixture(scope="module")
def drawn():
    return jax.jit(make_draw(64, seed=3))(_codes(range(10)))


def test_scenes_have_the_flow_that_they_say(drawn):
    assert drawn.image0.shape == (10, 64, 64, 3)
    back = warp(drawn.image1, drawn.flow)
    error = jnp.abs(back - drawn.image0)[:, 10:-10, 10:-10]
    assert float(jnp.median(error)) < 3  # Grey levels; bilinear.
    still = jnp.abs(drawn.image1 - drawn.image0)[:, 10:-10, 10:-10]
    assert float(jnp.median(still)) > 15
    longest = jnp.linalg.norm(drawn.flow, axis=-1).max(axis=(1, 2))
    assert float(longest.min()) >= 1 - 1e-4
    assert float(longest.max()) <= 8 + 1e-4
    assert len(np.unique(np.round(longest, 3))) == 10


def test_a_scene_is_its_number_and_seed(drawn):
    again = jax.jit(make_draw(64, seed=3))(_codes([7]))
    np.testing.assert_allclose(again.image1[0], drawn.image1[7], atol=1e-3)
    other = jax.jit(make_draw(64, seed=4))(_codes([7]))
    assert float(jnp.abs(other.image1[0] - drawn.image1[7]).mean()) > 10


def test_networks_see_both_images_between_minus_one_and_one(drawn):
    images = make_images(lambda _: drawn, "float32")(_codes(range(10)))
    assert images.shape == (10, 2, 64, 64, 3)
    np.testing.assert_allclose((images[:, 1] + 1) * 127.5, drawn.image1, atol=1e-3)


def test_a_held_out_scene_is_none_of_training():
    train, held_out = SceneSource(), SceneSource(split="eval")
    assert train.clip(300).ravel().tolist() == [0, 1, 44]
    assert held_out.clip(300).ravel().tolist() == [128, 1, 44]
    assert held_out.paths[3] == "scenes/eval/000003"


def test_testing_measures_the_mean_endpoint_error(drawn):
    losses = flow_losses(lambda _: drawn)
    wrong = drawn.flow + jnp.array([3.0, 4.0]).reshape(1, 1, 1, 2)
    rows, told = losses((wrong, {}), {"clip": _codes(range(10))})
    np.testing.assert_allclose(rows, 5.0, rtol=1e-5)
    np.testing.assert_allclose(told["epe"], 5.0, rtol=1e-5)


def test_the_shipped_recipe_is_that_of_the_paper():
    config = load_config("raft_scenes")
    assert make_spec(config).shape == (2, 432, 432, 3)
    assert make_model(config, 1).iterations == 12
    optim = config.optim
    assert (optim.name, optim.schedule, optim.clip_norm) == ("adamw", "onecycle", 1.0)


def test_flow_is_learned_by_networks_of_flow_on_scenes_alone():
    config = load_config("raft_scenes")
    for wrong in ({"model": "tsn_resnet_tiny"}, {"data.source": "synthetic_motion"}):
        with pytest.raises(ValueError, match=r"networks of flow, such as raft_large"):
            make_spec(override(config, wrong))
    with pytest.raises(ValueError, match="raft_tiny does not classify"):
        make_spec(
            override(config, {"model": "raft_tiny", "objective": "classification"})
        )
