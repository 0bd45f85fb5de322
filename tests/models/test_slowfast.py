import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.pathways import slow_frames
from vidjax.models.registry import create_model, model_card
from vidjax.models.slowfast import SLOWFAST_TINY


@functools.cache
def _small():
    model = create_model("slowfast_tiny")
    clip = jax.random.normal(jax.random.key(1), (2, 8, 32, 32, 3))
    return model, jax.jit(model.init)(jax.random.key(0), clip), clip


def _replaced(**changes):
    return dataclasses.replace(SLOWFAST_TINY, **changes)


@pytest.mark.parametrize(
    ("frames", "alpha", "picked"),
    [
        # linspace(0, T - 1, T / alpha) without fractions.
        (32, 8, [0, 10, 20, 31]),
        (32, 4, [0, 4, 8, 13, 17, 22, 26, 31]),
        (64, 4, [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]),
        (4, 4, [0]),
    ],
)
def test_slow_frames_are_spread_to_the_last_one(frames, alpha, picked):
    assert list(slow_frames(frames, alpha, "spread")) == picked


@pytest.mark.parametrize(("alpha", "last"), [(8, 24), (4, 28)])
def test_mmaction2_takes_every_alphath_frame(alpha, last):
    assert slow_frames(32, alpha, "strided") == tuple(range(0, last + 1, alpha))


@pytest.mark.parametrize(
    ("name", "picked"),
    [
        ("slowfast_4x16_resnet50", (0, 10, 20, 31)),
        ("slowfast_4x16_resnet50_mmaction2", (0, 8, 16, 24)),
    ],
)
def test_models_take_the_frames_of_their_code_base(name, picked):
    layout = create_model(name).layout
    assert layout.frames(model_card(name).clip.num_frames) == picked


def test_one_clip_gives_what_the_pair_picked_from_it_gives():
    model, variables, clip = _small()
    apply = jax.jit(model.apply)
    one, _ = apply(variables, clip)
    pair, _ = apply(variables, (clip[:, (0, 7), :], clip))
    other, _ = apply(variables, (clip[:, (0, 4), :], clip))
    np.testing.assert_allclose(one, pair, atol=1e-6)
    assert not np.allclose(one, other)


def test_both_pathways_reach_the_logits():
    model, variables, clip = _small()

    def score(slow, fast):
        return model.apply(variables, (slow, fast))[0].sum()

    slow, fast = jax.jit(jax.grad(score, argnums=(0, 1)))(clip[:, ::4], clip)
    assert all(float(jnp.abs(g).max(axis=(2, 3, 4)).min()) > 0 for g in (slow, fast))


def test_pooled_features_are_those_of_both_pathways_in_the_published_order():
    model, variables, clip = _small()
    _, endpoints = jax.jit(model.apply)(variables, clip)
    slow = endpoints["features"].mean((1, 2, 3))
    fast = endpoints["fast_features"].mean((1, 2, 3))
    want = jnp.concatenate([slow, fast], axis=-1)
    np.testing.assert_allclose(endpoints["pooled"], want, atol=1e-5)
    reversed_model = model.clone(layout=_replaced(first="fast"))
    _, endpoints = jax.jit(reversed_model.apply)(variables, clip)
    want = jnp.concatenate([fast, slow], axis=-1)
    np.testing.assert_allclose(endpoints["pooled"], want, atol=1e-5)


def test_without_norm_laterals_are_the_bare_convolution():
    model = create_model("slowfast_tiny", layout=_replaced(fusion_norm=False))
    clip = jax.ShapeDtypeStruct((2, 8, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    laterals = [v for k, v in variables["params"].items() if k.startswith("fuse_")]
    assert len(laterals) == 2
    assert all(set(lateral) == {"conv"} for lateral in laterals)
    assert all(set(lateral["conv"]) == {"kernel"} for lateral in laterals)


@pytest.mark.parametrize(
    ("slow", "fast", "message"),
    [
        (None, 30, "multiple of 4 frames.*got 30"),
        (None, 2, "at least 4 frames"),
        (2, 12, "4 fast frames for each slow one"),
        (12, 3, "4 fast frames for each slow one"),
    ],
)
def test_frames_that_do_not_fit_are_refused(slow, fast, message):
    model, variables, _ = _small()
    clip = jnp.zeros((1, fast, 32, 32, 3))
    if slow:
        clip = (jnp.zeros((1, slow, 32, 32, 3)), clip)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.apply, variables, clip)


@pytest.mark.usefixtures("unchecked")
def test_three_clips_are_refused():
    model, variables, clip = _small()
    with pytest.raises(ValueError, match=r"pair of clips \(slow, fast\), got 3"):
        jax.eval_shape(model.apply, variables, (clip, clip, clip))


@pytest.mark.parametrize("shape", [(64, 256, 320, 3), (4, 100, 60, 3)])
def test_other_frame_counts_and_sizes_work(shape):
    model = create_model("slowfast_8x8_resnet50")
    clip = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    logits, endpoints = jax.eval_shape(model.apply, variables, clip)
    assert logits.shape == (1, 400)
    assert endpoints["features"].shape[1] == shape[0] // 4
    assert endpoints["fast_features"].shape[1] == shape[0]
