import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.models.c3d import C3D, STAGES

# Channels of the published table cut down; everything else stays.
NARROW = tuple(
    row if row[1] == "pool" else (row[0], "conv", 4, row[3]) for row in STAGES
)


def _shapes(model, shape):
    clip = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    return variables["params"], {k: v.shape for k, v in endpoints.items()}


def test_maps_have_the_sizes_of_the_paper_and_the_last_border_of_mmaction2():
    params, shapes = _shapes(models.create_model("c3d"), (1, 16, 112, 112, 3))
    assert shapes["pool1"] == (1, 16, 56, 56, 64)
    assert shapes["pool4"] == (1, 2, 7, 7, 512)
    assert shapes["features"] == (1, 1, 4, 4, 512)
    assert shapes["fc6"] == shapes["pooled"] == (1, 4096)
    assert params["fc6"]["kernel"].shape == (8192, 4096)
    assert set(params["conv1a"]) == {"conv"}
    assert set(params["conv1a"]["conv"]) == {"kernel", "bias"}


@pytest.mark.usefixtures("unchecked")
def test_clips_too_small_to_pool_are_refused():
    model = C3D(3, NARROW, hidden=(8,))
    for shape, what in [
        ((1, 15, 32, 32, 3), "16 frames"),
        ((1, 16, 8, 8, 3), "pixels"),
    ]:
        with pytest.raises(ValueError, match=what):
            model.init(jax.random.key(0), jnp.zeros(shape))


def test_the_smallest_clip_that_is_accepted_gives_a_finite_result():
    clip = jnp.ones((1, 16, 16, 16, 3))
    model = C3D(3, NARROW, hidden=(8,))
    (logits, endpoints), _ = jax.jit(model.init_with_output)(jax.random.key(0), clip)
    assert endpoints["features"].shape == (1, 1, 1, 1, 4)
    assert bool(jnp.isfinite(logits).all())


def test_dropout_follows_both_linear_layers():
    # All weights are one: an unit that is dropped shows in what comes after it.
    model = C3D(1, NARROW[:2], hidden=(64, 64), dropout_rate=0.5)
    clip = jnp.ones((1, 1, 4, 4, 3))
    variables = jax.tree.map(jnp.ones_like, model.init(jax.random.key(0), clip))
    plain, ends = model.apply(variables, clip)
    dropped, ends2 = model.apply(
        variables, clip, train=True, rngs={"dropout": jax.random.key(0)}
    )
    np.testing.assert_array_equal(ends["fc6"], ends2["fc6"])
    assert float(ends2["fc7"][0, 0]) != float(ends["fc7"][0, 0])
    kept = (dropped[0, 0] - 1) / 2 / ends2["fc7"][0, 0]
    assert abs(float(kept) - round(float(kept))) < 1e-3
    assert 16 < kept < 48
    assert float(plain[0, 0]) != float(dropped[0, 0])
