import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model

IMAGES = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))


def test_averaging_frames_averages_the_scores_of_the_image_network():
    image, clips = create_model("vit_tiny"), create_model("frame_average_vit_tiny")
    variables = image.init(jax.random.key(1), IMAGES)
    clip = jax.random.normal(jax.random.key(2), (2, 3, 32, 32, 3))
    logits, ends = clips.apply(variables, clip)
    frames = [image.apply(variables, clip[:, t])[0] for t in range(3)]
    np.testing.assert_allclose(logits, np.mean(frames, axis=0), rtol=1e-4, atol=1e-6)
    assert ends["logits_per_step"].shape == (2, 3, 10)
    assert ends["blocks_0"].shape == ends["features"].shape == (2, 3, 4, 4, 48)


def test_tokens_are_told_apart_by_their_positions_only():
    model = create_model("vit_tiny")
    variables = model.init(jax.random.key(1), IMAGES)
    params = variables["params"]
    turned = IMAGES[:, ::-1, ::-1]  # Turns blocks as well as their order ...
    kernel = params["patch_embed"]["kernel"][:, ::-1, ::-1]  # ... which this undoes.
    places = params["pos_embed"][:, 1:]
    table = jnp.concatenate([params["pos_embed"][:, :1], places[:, ::-1]], axis=1)
    patches = {**params["patch_embed"], "kernel": kernel}
    moved = {**params, "patch_embed": patches}
    before, _ = model.apply(variables, IMAGES)
    without, _ = model.apply({"params": moved}, turned)
    assert float(jnp.abs(before - without).max()) > 1e-5
    after, _ = model.apply({"params": {**moved, "pos_embed": table}}, turned)
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-6)


def test_another_size_than_that_of_the_table_is_refused_with_what_helps():
    model = create_model("vit_tiny")
    variables = model.init(jax.random.key(1), IMAGES)
    with pytest.raises(ValueError, match=r"Expected 16 blocks.*got 24.*clip_shape"):
        model.apply(variables, jnp.zeros((1, 32, 48, 3)))


def test_an_image_network_takes_no_clips():
    with pytest.raises(ValueError, match="frame_average"):
        create_model("vit_tiny").init(jax.random.key(1), jnp.zeros((1, 8, 32, 32, 3)))
