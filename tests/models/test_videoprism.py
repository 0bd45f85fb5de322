import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.norm import LayerNorm
from vidjax.models.registry import create_model
from vidjax.models.videoprism import Pooler, _capped
from vidjax.ops.attention import attention


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
    # Scores 200 and 400, both beyond 50, hardly tell their values 0 and 1 apart.
    query = jnp.full((1, 1, 1, 1), 200.0)
    key = jnp.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    value = jnp.array([0.0, 1.0]).reshape(1, 2, 1, 1)
    score = 50 * np.tanh(400 / 50) - 50 * np.tanh(200 / 50)
    expected = 1 / (1 + np.exp(-score))
    np.testing.assert_allclose(_capped(query, key, value).item(), expected, rtol=1e-5)


def test_a_frame_that_patches_do_not_divide_is_refused():
    model = create_model("videoprism_base")
    clip = jax.ShapeDtypeStruct((1, 2, 280, 288, 3), jnp.float32)
    with pytest.raises(ValueError, match=r"multiples of \(1, 18, 18\), got"):
        jax.eval_shape(model.init, jax.random.key(0), clip)


def test_the_poolers_channel_scale_begins_as_one():
    x = jax.random.normal(jax.random.key(0), (2, 5, 8))
    pooler = Pooler(2)
    params = pooler.init(jax.random.key(1), x)["params"]
    assert params["channel_scale"].shape == (4,)
    query = params["query_token"] @ params["query"]["kernel"]
    query = jnp.broadcast_to(query.reshape(1, 1, 2, 4), (2, 1, 2, 4))
    both = (x @ params["kv"]["kernel"]).reshape(2, 5, 2, 2, 4)
    y = attention(query, both[:, :, 0], both[:, :, 1]).reshape(2, 1, 8)
    expected = LayerNorm().apply(
        {"params": params["norm"]}, y @ params["proj"]["kernel"]
    )
    np.testing.assert_allclose(pooler.apply({"params": params}, x), expected, atol=1e-5)
