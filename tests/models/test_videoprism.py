import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.models.videoprism import Pooler


def test_features_are_tokens_by_frames_rows_and_columns():
    model = create_model("videoprism_tiny", num_classes=0)
    clip = jax.random.normal(jax.random.key(0), (1, 4, 32, 32, 3))
    variables = jax.jit(model.init)(jax.random.key(1), clip)
    apply = jax.jit(model.apply)
    _, before = apply(variables, clip)
    # A place is seen by the places of its frame, and then by its own in other frames.
    _, after = apply(variables, clip.at[0, 2, 8:16, 16:24].add(1.0))
    assert before["features"].shape == (1, 4 * 16, 48)
    moved = (before["frames"] != after["frames"])[0].any(axis=-1)
    assert not moved[jnp.array([0, 1, 3])].any()
    assert moved[2].all()
    assert (before["features"] != after["features"]).any(axis=-1).all()


def test_scores_of_attention_are_bounded():
    model = create_model("videoprism_tiny", num_classes=0)
    clip = jax.random.normal(jax.random.key(0), (1, 4, 32, 32, 3))
    params = jax.jit(model.init)(jax.random.key(1), clip)["params"]

    def tokens(factor):
        block = params["blocks_0"]
        qkv = block["attn"]["qkv"]
        kernel = qkv["kernel"].at[:, : 2 * 48].multiply(factor)
        attn = {**block["attn"], "qkv": {**qkv, "kernel": kernel}}
        changed = {**params, "blocks_0": {**block, "attn": attn}}
        return model.apply({"params": changed}, clip)[1]["blocks_0"]

    # Scores far beyond the bound all become +-50, and no longer tell tokens apart.
    np.testing.assert_allclose(tokens(1e4), tokens(1e5), atol=1e-3)
    assert float(jnp.abs(tokens(1.0) - tokens(1e4)).max()) > 1e-2


def test_a_frame_that_patches_do_not_divide_is_refused():
    model = create_model("videoprism_base")
    clip = jax.ShapeDtypeStruct((1, 2, 280, 288, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"multiples of \(1, 18, 18\), got"):
        jax.eval_shape(model.init, jax.random.key(0), clip)


def test_the_poolers_scale_begins_as_one():
    # softplus(0) / log 2 = 1: with equal keys the token takes the mean of all values.
    x = jnp.tile(jax.random.normal(jax.random.key(0), (2, 1, 8)), (1, 3, 1))
    pooler = Pooler(2)
    variables = pooler.init(jax.random.key(1), x)
    params = variables["params"]
    query = params["query"]["kernel"]
    assert params["channel_scale"].shape == (4,)
    doubled = {**params, "query": {**params["query"], "kernel": 2 * query}}
    scaled = {**params, "channel_scale": jnp.full(4, jnp.log(3.0))}  # softplus log 4.
    y = jax.random.normal(jax.random.key(2), (2, 5, 8))
    np.testing.assert_allclose(
        pooler.apply({"params": doubled}, y),
        pooler.apply({"params": scaled}, y),
        atol=1e-6,
    )
