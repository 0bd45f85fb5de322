import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.models.vivit import TINY, ViViT
from vidjax.models.vivit_blocks import time_and_space
from vidjax.ops.position import resize_linear


@functools.cache
def _tiny(name, **arguments):
    model = create_model(name, **arguments)
    clip = jax.random.normal(jax.random.key(1), (2, 8, 32, 32, 3))
    return model, jax.jit(model.init)(jax.random.key(0), clip), clip


def _replaced(variables, **tables):
    return {"params": {**variables["params"], **tables}}


def test_in_model_3_space_or_time_may_come_first_with_the_same_parameters():
    name = "vivit_factorised_self_attention_tiny"
    model, variables, clip = _tiny(name)
    other = create_model(name, space_first=True)
    first, second = (m.apply(variables, clip)[0] for m in (model, other))
    assert not np.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("factorised", ["self_attention", "dot_product"])
def test_models_3_and_4_have_no_class_token(factorised):
    model = ViViT(layout=dataclasses.replace(TINY, factorised=factorised))
    with pytest.raises(ValueError, match='pool="mean", got pool="token"'):
        model.init(jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3)))


def test_the_first_heads_look_over_time_and_the_others_over_space():
    # Value 10 t + n; equal scores: every head takes the mean of what it sees.
    grid = 10.0 * jnp.arange(2)[:, None] + jnp.arange(3)[None, :]
    value = jnp.tile(grid.reshape(1, 6, 1, 1), (1, 1, 2, 1))
    x = time_and_space(jnp.zeros_like(value), jnp.zeros_like(value), value, steps=2)
    np.testing.assert_allclose(x[0, :, 0, 0], [5, 6, 7, 5, 6, 7], rtol=1e-6)
    np.testing.assert_allclose(x[0, :, 1, 0], [1, 1, 1, 11, 11, 11], rtol=1e-6)


def test_an_odd_number_of_heads_cannot_be_halved():
    x = jnp.zeros((1, 6, 3, 4))
    with pytest.raises(ValueError, match="even number of heads, got 3"):
        time_and_space(x, x, x, steps=2)


def test_a_factorised_encoder_resizes_its_tables_for_longer_and_larger_clips():
    model, variables, _ = _tiny("vivit_factorised_encoder_tiny")
    clip = jax.random.normal(jax.random.key(2), (1, 12, 40, 40, 3))
    params = variables["params"]
    space = resize_linear(params["pos_embed"], (4, 4), (5, 5), extra=1)
    time = resize_linear(params["time_embed"], (4,), (6,), extra=1)
    resized = _replaced(variables, pos_embed=space, time_embed=time)
    found, expected = (model.apply(v, clip)[0] for v in (variables, resized))
    np.testing.assert_array_equal(found, expected)


def test_a_joint_table_of_the_cards_size_is_resized_over_time_and_space():
    model, variables, _ = _tiny("vivit_tiny")
    clip = jax.random.normal(jax.random.key(2), (1, 4, 40, 48, 3))
    table = resize_linear(
        variables["params"]["pos_embed"], (4, 4, 4), (2, 5, 6), extra=1
    )
    resized = _replaced(variables, pos_embed=table)
    found, expected = (model.apply(v, clip)[0] for v in (variables, resized))
    np.testing.assert_array_equal(found, expected)


def test_a_joint_table_of_an_unknown_grid_is_refused():
    model, variables, clip = _tiny("vivit_tiny")
    odd = _replaced(variables, pos_embed=jnp.zeros((1, 71, 48)))
    with pytest.raises(ValueError, match=r"70, got \(4, 4, 4\) .*\[B, T, H, W, C\]"):
        model.apply(odd, clip)


@pytest.mark.parametrize("name", ["vivit_tiny", "vivit_factorised_self_attention_tiny"])
def test_branches_that_are_not_dropped_are_not_scaled_up(name):
    _, variables, clip = _tiny(name)
    model = create_model(name, drop_path_rate=0.5)
    _, whole = model.apply(variables, clip)

    @jax.jit
    def block(key):
        _, found = model.apply(variables, clip, train=True, rngs={"dropout": key})
        return found["blocks_1"]

    keys = jax.random.split(jax.random.key(0), 24)
    outcomes = [np.asarray(clip) for key in keys for clip in block(key)]
    for expected in (whole["blocks_0"], whole["blocks_1"]):
        near = [np.allclose(x, e, atol=1e-5) for x in outcomes for e in expected]
        assert any(near)
