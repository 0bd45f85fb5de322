import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.mobilenet_v2 import (
    MOBILENET_V2,
    MOBILENET_V2_TINY,
    Layout,
    MobileNetV2,
    MobileNetV2Trunk,
)
from vidjax.models.tsm import TSM

# Shortcuts are where widths and maps agree: not in the first block, nor in the third.
SMALL = Layout(((1, 3, 8, 1, 1), (2, 3, 8, 2, 1), (2, 3, 16, 1, 2)), stem=8, head=16)


def _variables(model, clip):
    """Parameters and statistics that leave no norm the identity."""
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0), clip))
    rng = np.random.default_rng(0)
    noise = [a + rng.uniform(0.0, 0.2, a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, noise)


def test_blocks_are_named_by_stage_and_parts_by_what_they_do():
    model = MobileNetV2(layout=MOBILENET_V2)
    clip = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    trunk = jax.eval_shape(model.init, jax.random.key(0), clip)["params"]["backbone"]
    depths = [blocks for *_, blocks, _ in MOBILENET_V2.stages]
    blocks = {f"layer{s + 1}_{i}" for s, d in enumerate(depths) for i in range(d)}
    assert set(trunk) == blocks | {"conv1", "bn1", "conv2", "bn2"}
    assert len(blocks) == 17
    assert "expand" not in trunk["layer1_0"]
    assert trunk["layer2_0"]["expand"]["kernel"].shape == (1, 1, 16, 96)
    assert trunk["layer2_0"]["depthwise"]["kernel"].shape == (3, 3, 1, 96)
    assert trunk["layer2_0"]["project"]["kernel"].shape == (1, 1, 96, 24)


def test_activations_are_cut_at_six_and_the_last_of_a_block_are_not():
    model = MobileNetV2(2, SMALL)
    images = 100 * jax.random.normal(jax.random.key(1), (1, 16, 16, 3))
    _, endpoints = jax.jit(model.apply)(_variables(model, images), images)
    assert float(endpoints["conv1"].max()) == 6.0
    assert float(endpoints["conv1"].min()) == 0.0
    assert float(endpoints["layer1"].min()) < 0.0
    assert float(endpoints["conv2"].max()) <= 6.0


def test_the_branch_of_a_block_can_see_something_else_than_its_shortcut():
    """Where it does: blocks with a shortcut and an expansion, named."""
    trunk = MobileNetV2Trunk(SMALL)
    clip = jax.random.normal(jax.random.key(1), (1, 2, 16, 16, 3))
    variables = _variables(trunk, clip)
    called = []

    def shift(x, block):
        called.append((block, x.shape))
        return jnp.zeros_like(x)

    changed, _ = trunk.apply(variables, clip, shift)
    same, _ = trunk.apply(variables, clip, lambda x, _: x)
    plain, _ = trunk.apply(variables, clip)

    shape = (1, 2, 8, 8, 8)
    assert called == [("layer2_0", shape), ("layer2_1", shape)]
    assert not np.allclose(changed, plain)
    np.testing.assert_array_equal(same, plain)


def test_tsm_without_shift_is_the_image_network_on_every_frame():
    clip = jax.random.normal(jax.random.key(1), (2, 3, 16, 16, 3))
    image = MobileNetV2(4, SMALL)
    variables = _variables(image, clip[:, 0])
    still = TSM(4, SMALL, shift_fraction=0.0)
    shifting = TSM(4, SMALL, shift_fraction=0.25)

    _, endpoints = jax.jit(still.apply)(variables, clip)
    logits, _ = jax.jit(image.apply)(variables, clip[:, 1])
    moved, _ = jax.jit(shifting.apply)(variables, clip)

    np.testing.assert_allclose(endpoints["logits_per_step"][:, 1], logits, rtol=1e-4)
    assert not np.allclose(moved, jnp.mean(endpoints["logits_per_step"], 1), rtol=1e-3)


def test_a_frame_of_tsm_sees_both_neighbours():
    clip = jax.random.normal(jax.random.key(1), (1, 5, 16, 16, 3))
    model = TSM(4, SMALL, shift_fraction=0.25)  # Two blocks shift: two frames away.
    variables = _variables(model, clip)
    steps = jax.jit(lambda x: model.apply(variables, x)[1]["logits_per_step"][0])
    touched = (steps(clip) != steps(clip.at[0, 2].add(1.0))).any(-1)
    assert touched.tolist() == [True] * 5
    touched = (steps(clip) != steps(clip.at[0, 0].add(1.0))).any(-1)
    assert touched.tolist() == [True, True, True, False, False]


def test_stochastic_depth_drops_branches_of_blocks_with_a_shortcut():
    clip = jax.random.normal(jax.random.key(1), (8, 16, 16, 3))
    layout = dataclasses.replace(MOBILENET_V2_TINY, stages=((2, 3, 16, 2, 1),))
    model = MobileNetV2(4, layout, drop_path_rate=0.9)
    variables = _variables(model, clip)

    def train(key):
        rngs = {"dropout": jax.random.key(key)}
        return model.apply(
            variables, clip, train=True, rngs=rngs, mutable=["batch_stats"]
        )[0][0]

    assert not np.allclose(train(0), train(1))
    np.testing.assert_array_equal(train(0), train(0))


@pytest.mark.parametrize("shape", [(2, 3, 32, 32, 3), (32, 32, 3)])
def test_an_image_network_takes_no_longer_clip(shape):
    with pytest.raises(ValueError, match="Expected images"):
        MobileNetV2(3, SMALL).init(jax.random.key(0), jnp.zeros(shape))
