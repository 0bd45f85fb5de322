import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.multiscale import MViT, positions
from vidjax.models.mvit import V1_B, V1_TINY, V2_L, V2_TINY
from vidjax.models.pooled_attention import (
    PooledAttention,
    pooled_extent,
    relative_vectors,
)
from vidjax.models.registry import create_model


def _noisy(variables):
    """Variables with noise on them, so that no bias is zero and no scale one."""
    leaves, tree = jax.tree.flatten(variables)
    rng = np.random.default_rng(0)
    noise = [a + rng.normal(0, 0.3, a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, noise)


def _places(name, **arguments):
    model = create_model(name, **arguments)
    clip = jax.ShapeDtypeStruct((1, 4, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    return jax.tree.map(lambda a: a.shape, variables["params"])


def test_v1_pools_queries_where_it_widens_and_v2_everywhere():
    for name, pooled in [("mvit_v1_b", {1, 3, 14}), ("mvit_v2_s", set(range(16)))]:
        params = _places(name)
        assert {i for i in range(16) if "pool_q" in params[f"blocks_{i}"]["attn"]} == (
            pooled
        )
        assert all("pool_k" in params[f"blocks_{i}"]["attn"] for i in range(16))


def test_v1_widens_in_the_mlp_before_and_v2_in_attention():
    v1, v2 = (_places(name)["blocks_0"] for name in ("mvit_v1_b", "mvit_v2_s"))
    assert v1["mlp"]["fc2"]["kernel"] == (384, 192)
    assert v1["proj"]["kernel"] == (96, 192)
    assert v2["mlp"]["fc2"]["kernel"] == (384, 96)
    v1, v2 = (_places(name)["blocks_1"] for name in ("mvit_v1_b", "mvit_v2_s"))
    assert v1["attn"]["qkv"]["kernel"] == (192, 576)
    assert v2["attn"]["qkv"]["kernel"] == (96, 576)
    assert v2["proj"]["kernel"] == (96, 192)


def test_v1_has_positions_of_tokens_and_v2_of_distances():
    v1, v2 = _places("mvit_v1_b"), _places("mvit_v2_s")
    assert (v1["pos_embed"], v1["time_embed"]) == ((1, 3136, 96), (1, 8, 96))
    assert "rel_pos_h" not in v1["blocks_0"]["attn"]
    assert "pos_embed" not in v2
    rows = [v2[f"blocks_{i}"]["attn"]["rel_pos_h"][0] for i in (0, 1, 3, 14, 15)]
    assert rows == [111, 55, 27, 27, 13]
    assert v2["blocks_0"]["attn"]["rel_pos_t"] == (15, 96)


def test_the_deep_network_of_slowfast_pools_by_its_strides():
    """Its configuration names no kernel: one more than the stride, none for one."""
    params = _places("mvit_v1_b_32x3_slowfast")
    kernels = [
        params[f"blocks_{i}"]["attn"]["pool_k"]["kernel"][:3] for i in (0, 2, 5, 20)
    ]
    assert kernels == [(1, 9, 9), (1, 5, 5), (1, 3, 3), (1, 3, 3)]
    assert "pool_k" not in params["blocks_21"]["attn"]
    assert params["blocks_21"]["attn"]["pool_q"]["kernel"][:3] == (1, 3, 3)


def test_tables_for_312_pixels_are_smaller_than_its_maps():
    """78 tokens become 39, 20 and 10 by pools, but 39, 19 and 9 by the published sum.

    So the tables of blocks from the second pool on are resized at their own clip.
    """
    stages = V2_L.stages()
    assert [stages[i].rows[1] for i in (0, 2, 8, 44, 45)] == [155, 77, 37, 37, 17]
    grid = V2_L.grid
    for stage in stages[:9]:
        grid = pooled_extent(grid, stage.stride)
    assert grid == (20, 20, 20)


def test_positions_stand_between_those_of_the_nearest_distances():
    table = jnp.arange(7.0)[:, None]  # Distances -3 to 3.
    same = relative_vectors(table, 4, 4)[..., 0]
    np.testing.assert_array_equal(same[0], [3, 2, 1, 0])
    np.testing.assert_array_equal(same[3], [6, 5, 4, 3])
    # Fewer queries: they stand two keys apart.
    np.testing.assert_array_equal(
        relative_vectors(table, 2, 4)[..., 0], [[3, 2, 1, 0], [5, 4, 3, 2]]
    )
    # PyTorch's linear interpolation of 7 places to 5: 1.4 i + 0.2.
    resized = relative_vectors(table, 3, 3)[..., 0]
    np.testing.assert_allclose(resized[:, 0], [3.0, 4.4, 5.8], rtol=1e-5)
    np.testing.assert_allclose(resized[0], [3.0, 1.6, 0.2], rtol=1e-5)


def _attention(layout, index, grid):
    stage = layout.stages()[index]
    module = PooledAttention(layout, stage, grid)
    width = stage.width if not layout.widen_in_attention else layout.width
    x = jax.random.normal(jax.random.key(1), (1, 1 + np.prod(grid), width))
    return module, x, _noisy(module.init(jax.random.key(0), x))


def test_the_class_token_is_not_pooled_but_is_normed():
    layout = dataclasses.replace(V1_TINY, residual_pool=False)
    module, x, variables = _attention(layout, 1, (1, 2, 2))
    params = jax.tree.map(np.asarray, variables["params"])
    heads, width = 2, 16
    params["norm_k"] = {"scale": np.zeros(width), "bias": np.zeros(width)}
    # All keys are alike: the mean of the values.
    y = module.apply({"params": jax.tree.map(jnp.asarray, params)}, x)
    qkv = np.asarray(x[0]) @ params["qkv"]["kernel"] + params["qkv"]["bias"]
    value = qkv.reshape(5, 3, heads, width)[:, 2].transpose(1, 0, 2)
    kernel = params["pool_v"]["kernel"][:, :, :, 0]
    maps = np.pad(
        value[:, 1:].reshape(heads, 2, 2, width), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    strides = layout.stages()[1].kv_stride
    places = [(i, j) for i in range(0, 2, strides) for j in range(0, 2, strides)]
    pooled = [
        (maps[:, i : i + 3, j : j + 3] * kernel[1]).sum((1, 2)) for i, j in places
    ]
    values = np.stack([value[:, 0], *pooled], axis=1)
    values = values - values.mean(-1, keepdims=True)
    values = values / np.sqrt(np.square(values).mean(-1, keepdims=True) + 1e-6)
    values = values * params["norm_v"]["scale"] + params["norm_v"]["bias"]
    found = values.mean(1).reshape(-1)
    want = found @ params["proj"]["kernel"] + params["proj"]["bias"]
    np.testing.assert_allclose(
        y[0], np.tile(want, (len(y[0]), 1)), rtol=1e-4, atol=1e-5
    )


def test_queries_are_added_to_what_they_gather_but_for_the_class_token():
    grid = (1, 4, 4)
    module, x, variables = _attention(V2_TINY, 0, grid)
    without = dataclasses.replace(V2_TINY, residual_pool=False)
    other = PooledAttention(without, V2_TINY.stages()[0], grid)
    changed = np.asarray(module.apply(variables, x) != other.apply(variables, x))
    assert not changed[0, 0].any()
    assert changed[0, 1:].any(-1).all()


def test_distances_are_nothing_to_the_class_token():
    module, x, variables = _attention(V2_TINY, 0, (2, 4, 4))
    params = dict(variables["params"])
    y = module.apply(variables, x)
    for axis in "thw":
        other = {**params, f"rel_pos_{axis}": -params[f"rel_pos_{axis}"]}
        changed = np.asarray(module.apply({"params": other}, x) != y)[0].any(-1)
        assert not changed[0]
        assert changed[1:].all()


@pytest.mark.parametrize("layout", [V1_TINY, V2_TINY])
@pytest.mark.parametrize("shape", [(16, 64, 48), (5, 30, 33), (1, 8, 8)])
def test_other_clips_have_the_same_parameters(layout, shape):
    model = MViT(layout, 5)
    own = jax.ShapeDtypeStruct((1, 8, 32, 32, 3), jnp.float32)
    other = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), own)
    again = jax.eval_shape(model.init, jax.random.key(0), other)
    assert jax.tree.all(jax.tree.map(lambda a, b: a.shape == b.shape, variables, again))
    _, endpoints = jax.eval_shape(model.apply, variables, other)
    grid = tuple(-(-n // s) for n, s in zip(shape, (2, 4, 4), strict=True))
    assert endpoints["cube1"].shape == (1, *grid, 16)
    assert endpoints["scale3"].shape[1:4] == pooled_extent(grid, 2)


def test_positions_of_v1_are_stretched_over_longer_and_larger_clips():
    space = jnp.zeros((1, 4, 4, 1)).at[:, 1:].set(1.0)
    time = jnp.array([0.0, 10.0]).reshape(2, 1, 1, 1)
    maps = np.asarray(positions(space, time, (4, 8, 4)))[..., 0]
    np.testing.assert_allclose(maps[:, 7, 0] - 1, [0, 2.5, 7.5, 10], rtol=1e-5)
    np.testing.assert_allclose(
        maps[0, :, 2], [0, 0.25, 0.75, 1, 1, 1, 1, 1], rtol=1e-5, atol=1e-6
    )


def test_tokens_of_v1_carry_their_place_and_time():
    """The class token alone carries its own."""
    clip = jax.random.normal(jax.random.key(1), (1, 8, 32, 32, 3))
    model = MViT(V1_TINY, 5)
    variables = _noisy(jax.jit(model.init)(jax.random.key(0), clip))
    apply = jax.jit(model.apply)
    logits, _ = apply(variables, clip)
    for name in ("cls_token", "cls_pos_embed", "pos_embed", "time_embed"):
        params = {**variables["params"], name: -variables["params"][name]}
        assert not np.allclose(apply({"params": params}, clip)[0], logits, atol=1e-3)


def test_one_classifies_the_class_token_the_other_the_mean_of_the_rest():
    clip = jax.random.normal(jax.random.key(1), (1, 8, 32, 32, 3))
    token = MViT(dataclasses.replace(V2_TINY, classify="class"), 5)
    mean = MViT(dataclasses.replace(V2_TINY, classify="mean"), 5)
    variables = _noisy(jax.jit(token.init)(jax.random.key(0), clip))
    _, ends = jax.jit(token.apply)(variables, clip)
    _, others = jax.jit(mean.apply)(variables, clip)
    norm = variables["params"]["norm"]
    rest = np.asarray(others["scale4"]).mean((1, 2, 3))
    rest = (rest - rest.mean()) / np.sqrt(rest.var() + 1e-6)
    want = rest * np.asarray(norm["scale"]) + np.asarray(norm["bias"])
    np.testing.assert_allclose(others["pooled"], want, rtol=1e-4, atol=1e-5)
    assert not np.allclose(ends["pooled"], others["pooled"], atol=1e-2)


def test_v1_is_the_paper_s_in_four_stages():
    stages = V1_B.stages()
    assert [stage.name for stage in stages] == (
        ["scale2"] + ["scale3"] * 2 + ["scale4"] * 11 + ["scale5"] * 2
    )
    assert [stages[i].heads for i in (0, 1, 3, 14)] == [1, 2, 4, 8]
    assert [stages[i].kv_stride for i in (0, 1, 3, 14)] == [8, 4, 2, 1]
