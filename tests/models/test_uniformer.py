import jax
import jax.numpy as jnp
import numpy as np

from vidjax.models.registry import create_model


def test_the_first_stage_halves_the_frames_and_the_last_norm_is_over_the_batch():
    model = create_model("uniformer_tiny")
    clip = jax.random.normal(jax.random.key(0), (1, 7, 64, 96, 3))
    variables = jax.jit(model.init)(jax.random.key(1), clip)
    _, endpoints = jax.jit(model.apply)(variables, clip)
    shapes = [endpoints[f"blocks{i}"].shape for i in (1, 2, 3, 4)]
    assert shapes[0] == (1, 4, 16, 24, 16)
    assert shapes[3] == endpoints["features"].shape == (1, 4, 2, 3, 32)
    # Running statistics at the start are mean 0 and variance 1.
    np.testing.assert_allclose(
        endpoints["features"], endpoints["blocks4"] / jnp.sqrt(1 + 1e-5), rtol=1e-5
    )


def test_attention_sees_the_whole_clip_in_the_last_stages_only():
    model = create_model("uniformer_tiny")
    clip = jax.random.normal(jax.random.key(0), (1, 32, 32, 32, 3))
    variables = jax.jit(model.init)(jax.random.key(1), clip)
    apply = jax.jit(model.apply)
    before = apply(variables, clip)[1]
    after = apply(variables, clip.at[0, 0].add(1.0))[1]
    moved = {
        name: (before[name] != after[name])[0].any(axis=(1, 2, 3))
        for name in ("blocks2", "blocks3")
    }
    assert not moved["blocks2"][-1]
    assert moved["blocks3"].all()
