import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.models.x3d import X3D, X3D_M, Layout, SqueezeExcitation, round_width
from vidjax.ops.platform import compile_for

SMALL = Layout((2,), (2, 4, 4), width=8, hidden=16)


def _run(model, clip):
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0), clip))
    rng = np.random.default_rng(0)
    noise = [a + rng.uniform(0.0, 0.2, a.shape).astype(np.float32) for a in leaves]
    variables = jax.tree.unflatten(tree, noise)
    return variables, *jax.jit(model.apply)(variables, clip)


def _places(name, **arguments):
    model = create_model(name, **arguments)
    clip = jax.ShapeDtypeStruct((1, 4, 64, 64, 3), jnp.float32)
    with compile_for("tpu"):  # Traced faster: one operation for a convolution.
        return jax.eval_shape(model.init, jax.random.key(0), clip)["params"]


def _count(places):
    return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(places))


def test_widths_are_those_of_the_paper():
    params = _places("x3d_m")
    assert params["conv1_xy"]["kernel"].shape == (1, 3, 3, 3, 24)
    assert params["conv1_t"]["kernel"].shape == (5, 1, 1, 1, 24)
    widths = [params[f"layer{i}_0"]["conv3"]["kernel"].shape[-2:] for i in (1, 2, 3, 4)]
    assert widths == [(54, 24), (108, 48), (216, 96), (432, 192)]
    assert params["layer4_0"]["conv2"]["kernel"].shape == (3, 3, 3, 1, 432)
    assert params["conv5"]["kernel"].shape == (1, 1, 1, 192, 432)
    assert params["lin5"]["kernel"].shape == (1, 1, 1, 432, 2048)


def test_every_second_block_weighs_its_channels():
    params = _places("x3d_m")
    squeezed = {
        name: block["se"]["fc1"]["kernel"].shape[-1]
        for name, block in params.items()
        if "se" in block
    }
    even = {
        f"layer{i}_{j}" for i, n in enumerate(X3D_M.blocks, 1) for j in range(0, n, 2)
    }
    assert set(squeezed) == even
    assert [squeezed[f"layer{i}_0"] for i in (1, 2, 3, 4)] == [8, 8, 16, 32]


@pytest.mark.parametrize(
    ("name", "slowfast", "pytorchvideo"),
    [("x3d_m", 3_794_322, 3_794_274), ("x3d_l", 6_153_432, 6_153_384)],
)
def test_pytorchvideo_has_one_norm_less(name, slowfast, pytorchvideo):
    whole, less = _places(name), _places(name, first_shortcut_norm=False)
    assert (_count(whole), _count(less)) == (slowfast, pytorchvideo)
    assert set(whole["layer1_0"]) - set(less["layer1_0"]) == {"downsample_bn"}
    assert "downsample_bn" in less["layer2_0"]


@pytest.mark.parametrize(
    ("shape", "positions"),
    [
        ((2, 16, 16), 1),
        ((2, 20, 16), 2),
        ((3, 20, 20), 8),
        ((1, 8, 8), 1),  # Smaller than in training: the whole map.
    ],
)
def test_the_head_scores_every_position_of_its_window(shape, positions):
    clip = jax.random.normal(jax.random.key(1), (2, *shape, 3))
    _, logits, endpoints = _run(X3D(5, SMALL), clip)
    per_step = endpoints["logits_per_step"]
    assert per_step.shape == (2, positions, 5)
    np.testing.assert_allclose(logits, per_step.mean(1), rtol=1e-5)


def test_a_position_of_the_head_is_the_network_on_its_window():
    """The last layers see a mean of the map, then a ReLU, then the classifier."""
    clip = jax.random.normal(jax.random.key(1), (1, 2, 20, 16, 3))
    variables, _, endpoints = _run(X3D(5, SMALL), clip)
    params = variables["params"]
    for i in (0, 1):
        mean = endpoints["conv5"][0, :, i : i + 4].mean((0, 1, 2))
        hidden = jax.nn.relu(mean @ params["lin5"]["kernel"][0, 0, 0])
        want = hidden @ params["logits"]["kernel"] + params["logits"]["bias"]
        np.testing.assert_allclose(
            endpoints["logits_per_step"][0, i], want, rtol=1e-4, atol=1e-5
        )


def test_channels_are_weighed_by_the_mean_over_all_positions():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 6))
    model = SqueezeExcitation(4, jnp.float32)
    y, variables = model.init_with_output(jax.random.key(1), x)
    p = jax.tree.map(lambda a: a.reshape(a.shape[-2:]), variables["params"]["fc1"])
    q = jax.tree.map(lambda a: a.reshape(a.shape[-2:]), variables["params"]["fc2"])
    hidden = np.maximum(np.mean(x, (1, 2, 3)) @ p["kernel"], 0)
    weights = 1 / (1 + np.exp(-hidden @ q["kernel"]))
    np.testing.assert_allclose(y, x * weights[:, None, None, None], rtol=1e-4)


@pytest.mark.parametrize(
    ("width", "rounded"),
    [(54 / 16, 8), (108 / 16, 8), (216 / 16, 16), (432 / 16, 32), (72 / 16, 8)],
)
def test_widths_are_rounded_to_eights_and_never_far_down(width, rounded):
    assert round_width(width) == rounded


def test_frames_are_never_thinned_out():
    clip = jax.ShapeDtypeStruct((1, 5, 40, 40, 3), jnp.float32)
    model = X3D(5, dataclasses.replace(SMALL, blocks=(1, 1)))
    (_, endpoints), _ = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x), clip
    )
    assert endpoints["conv1"].shape == (1, 5, 20, 20, 8)
    assert endpoints["res2"].shape == (1, 5, 10, 10, 8)
    assert endpoints["res3"].shape == (1, 5, 5, 5, 16)
