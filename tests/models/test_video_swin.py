import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.models.swin_blocks import PatchMerging, SwinBlock
from vidjax.models.video_swin import (
    SWIN_B,
    SWIN_S,
    SWIN_T,
    SWIN_TINY,
    VideoSwin,
)
from vidjax.ops.windows import relative_position_index


def _noisy(variables):
    """Variables with noise on them, so that no bias is zero and no scale one."""
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(0)
    noise = [a + rng.normal(0, 0.3, a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, noise)


def _block(shape, window, *, shifted, **arguments):
    """A block with weights as a function, and a map of noise."""
    block = SwinBlock(2, window, shifted, **arguments)
    x = jax.random.normal(jax.random.key(1), shape)
    variables = _noisy(jax.jit(block.init)(jax.random.key(0), x))
    return jax.jit(lambda x: block.apply(variables, x)), x, variables


def _changed(function, x, place):
    """Where the result of a map changes with one token of it, [T, H, W]."""
    other = x.at[(0, *place)].multiply(-3.0)
    return np.asarray((function(x) != function(other)).any((0, -1)))


@pytest.mark.parametrize(
    ("name", "layout", "params"),
    # models.md names these; they are the sums over the published checkpoints.
    [("t", SWIN_T, 28_158_070), ("s", SWIN_S, 49_816_678), ("b", SWIN_B, 88_048_984)],
)
def test_parameters_are_as_many_as_published(name, layout, params):
    model = create_model(f"swin3d_{name}")
    clip = jax.ShapeDtypeStruct((1, 4, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    assert model.layout == layout
    assert sum(a.size for a in jax.tree.leaves(variables)) == params


def test_a_token_is_seen_in_its_window_and_nowhere_else():
    function, x, _ = _block((1, 4, 4, 6, 8), (2, 2, 3), shifted=False)
    seen = np.zeros((4, 4, 6), bool)
    seen[2:4, 0:2, 3:6] = True
    np.testing.assert_array_equal(_changed(function, x, (3, 1, 4)), seen)


def test_shifted_windows_begin_half_a_window_later():
    function, x, _ = _block((1, 4, 4, 8, 8), (2, 2, 4), shifted=True)
    seen = np.zeros((4, 4, 8), bool)
    seen[1:3, 1:3, 2:6] = True
    np.testing.assert_array_equal(_changed(function, x, (2, 1, 4)), seen)


def test_the_ends_of_a_shifted_map_do_not_see_each_other():
    """They share a window once the map is rolled."""
    function, x, _ = _block((1, 4, 4, 8, 8), (2, 2, 4), shifted=True)
    seen = np.zeros((4, 4, 8), bool)
    seen[0, 0, :2] = True
    np.testing.assert_array_equal(_changed(function, x, (0, 0, 1)), seen)


def test_a_cut_window_takes_the_first_biases_of_the_whole_one():
    """Not those of its own distances: the quirk of all published code."""
    shape = (1, 2, 2, 2, 8)
    cut, x, variables = _block(shape, (2, 3, 3), shifted=False)
    index = relative_position_index((2, 3, 3))[:8, :8]
    own = relative_position_index((2, 2, 2))
    table = variables["params"]["relative_position_bias_table"]
    fitted = np.zeros((27, 2), np.float32)
    fitted[own.ravel()] = np.asarray(table)[index.ravel()]
    # No table for (2, 2, 2) says the same: equal distances have unequal biases.
    assert (fitted[own] != np.asarray(table)[index]).any()

    block = SwinBlock(2, (2, 2, 2), shifted=False)
    params = {**variables["params"], "relative_position_bias_table": fitted}
    assert not np.allclose(block.apply({"params": params}, x), cut(x), atol=1e-3)

    y = _plain_attention(variables["params"], x, np.asarray(table)[index])
    np.testing.assert_allclose(cut(x), y, rtol=2e-4, atol=2e-5)


def _plain_attention(params, x, bias):
    """A block over one window, written out for one clip; bias [N, N, H]."""

    def norm(x, p):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-5)
        return x * p["scale"] + p["bias"]

    def dense(x, p):
        return x @ p["kernel"] + p["bias"]

    params = jax.tree.map(np.asarray, params)
    tokens = np.asarray(x).reshape(-1, x.shape[-1])
    qkv = dense(norm(tokens, params["norm1"]), params["attn"]["qkv"])
    q, k, v = qkv.reshape(len(tokens), 3, 2, -1).transpose(1, 2, 0, 3)
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]) + bias.transpose(2, 0, 1)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found = (shares @ v).transpose(1, 0, 2).reshape(tokens.shape)
    tokens = tokens + dense(found, params["attn"]["proj"])
    hidden = dense(norm(tokens, params["norm2"]), params["mlp"]["fc1"])
    hidden = np.asarray(jax.nn.gelu(hidden, approximate=False))
    return (tokens + dense(hidden, params["mlp"]["fc2"])).reshape(x.shape)


def test_zeros_that_fill_the_last_window_are_seen():
    shape, window = (1, 2, 3, 3, 8), (2, 2, 2)
    function, x, variables = _block(shape, window, shifted=False)
    filled = jnp.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)))
    # Zeros before the norm become its bias; those that fill stand behind the norm.
    params = dict(variables["params"])
    whole = SwinBlock(2, window, shifted=False).apply({"params": params}, filled)
    inner = np.asarray(function(x))
    np.testing.assert_allclose(
        inner[:, :, :2, :2], whole[:, :, :2, :2], rtol=1e-4, atol=1e-6
    )
    assert not np.allclose(inner[:, :, 2, 2], whole[:, :, 2, 2], atol=1e-3)
    params["norm1"] = {"scale": params["norm1"]["scale"], "bias": jnp.zeros(8)}
    inner = SwinBlock(2, window, shifted=False).apply({"params": params}, x)
    whole = SwinBlock(2, window, shifted=False).apply({"params": params}, filled)
    np.testing.assert_allclose(inner, whole[:, :, :3, :3], rtol=1e-4, atol=1e-5)


def test_merging_takes_corners_column_by_column_and_fills_odd_sizes():
    x = jnp.arange(6.0).reshape(1, 1, 2, 3, 1)  # [[0, 1, 2], [3, 4, 5]]
    merge = PatchMerging()
    params = merge.init(jax.random.key(0), x)["params"]
    params["reduction"]["kernel"] = jnp.eye(4)[:, :2]
    first = merge.apply({"params": params}, x)
    params["reduction"]["kernel"] = jnp.eye(4)[:, 2:]
    last = merge.apply({"params": params}, x)
    found = np.concatenate([first, last], -1)[0, 0, 0]

    def normed(row):
        row = np.array(row, np.float32)
        return (row - row.mean()) / np.sqrt(row.var() + 1e-5)

    np.testing.assert_allclose(found[0], normed([0, 3, 1, 4]), rtol=1e-4)
    np.testing.assert_allclose(found[1], normed([2, 5, 0, 0]), rtol=1e-4)


def test_any_clip_is_filled_up_to_whole_blocks_of_pixels():
    model = VideoSwin(SWIN_TINY, 5)
    clip = jax.random.normal(jax.random.key(1), (1, 7, 30, 33, 3))
    filled = jnp.pad(clip, ((0, 0), (0, 1), (0, 2), (0, 3), (0, 0)))
    variables = jax.jit(model.init)(jax.random.key(0), clip)
    logits, endpoints = jax.jit(model.apply)(variables, clip)
    np.testing.assert_allclose(logits, model.apply(variables, filled)[0], rtol=1e-4)
    assert endpoints["layer1"].shape == (1, 4, 8, 9, 24)
    assert endpoints["features"].shape == (1, 4, 4, 5, 48)


def test_paths_are_dropped_for_whole_clips_and_never_in_the_first_block():
    layout = dataclasses.replace(SWIN_TINY, depths=(1, 1))
    model = VideoSwin(layout, 5, drop_path_rate=0.5)
    clip = jax.random.normal(jax.random.key(1), (8, 4, 16, 16, 3))
    variables = jax.jit(model.init)(jax.random.key(0), clip)
    rngs = {"dropout": jax.random.key(2)}
    run = {
        train: model.apply(variables, clip, train=train, rngs=rngs)[1]
        for train in (False, True)
    }
    np.testing.assert_allclose(run[True]["layer1"], run[False]["layer1"], rtol=1e-5)
    changed = (run[True]["layer2"] != run[False]["layer2"]).any((1, 2, 3, 4))
    assert changed.any()
