import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.models.i3d import I3D, INCEPTION_V1

POOL = (("pool", "pool", (3, 3, 3), (2, 2, 2)),)


def _abstract(model, shape):
    clip = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    return variables, {name: value.shape for name, value in endpoints.items()}


@pytest.mark.parametrize(
    # Sum of the trainable variables listed in the index of the checkpoints of
    # google-deepmind/kinetics-i3d (rgb_imagenet, flow_imagenet).
    ("name", "expected"),
    [("i3d_rgb", 12_689_984), ("i3d_flow", 12_668_032)],
)
def test_parameter_count_is_that_of_the_official_checkpoint(name, expected):
    assert models.model_card(name).params == expected


def test_maps_have_the_sizes_of_the_paper():
    variables, shapes = _abstract(models.create_model("i3d_rgb"), (1, 64, 224, 224, 3))
    assert shapes["Conv3d_1a_7x7"] == (1, 32, 112, 112, 64)
    assert shapes["Mixed_3c"] == (1, 32, 28, 28, 480)
    assert shapes["Mixed_4f"] == (1, 16, 14, 14, 832)
    assert shapes["features"] == shapes["Mixed_5c"] == (1, 8, 7, 7, 1024)
    assert shapes["logits_per_step"] == (1, 7, 400)
    block = variables["params"]["Mixed_3b"]
    assert set(block) == {"b0", "b1_reduce", "b1", "b2_reduce", "b2", "b3"}
    assert set(block["b0"]["bn"]) == {"bias"}
    assert "conv" in variables["params"]["Conv3d_1a_7x7"]


@pytest.mark.usefixtures("unchecked")
def test_too_few_frames_for_the_last_pool_are_refused():
    _, shapes = _abstract(I3D(3), (1, 9, 32, 32, 3))
    assert shapes["logits_per_step"] == (1, 1, 3)
    with pytest.raises(ValueError, match="at least 9 frames"):
        _abstract(I3D(3), (1, 8, 32, 32, 3))


def test_logits_are_the_mean_over_overlapping_pairs_of_steps():
    clip = jax.random.normal(jax.random.key(0), (2, 5, 4, 4, 3))
    model = I3D(3, stages=(("max", "pool", (1, 1, 1), (1, 1, 1)),))  # No trunk at all.
    variables = model.init(jax.random.key(1), clip)
    logits, endpoints = model.apply(variables, clip)
    frames = clip.mean((2, 3))
    pairs = (frames[:, 1:] + frames[:, :-1]) / 2
    scores = pairs @ variables["params"]["logits"]["kernel"]
    np.testing.assert_allclose(endpoints["logits_per_step"], scores, atol=1e-5)
    np.testing.assert_allclose(logits, scores.mean(1), atol=1e-5)


def test_maps_larger_than_seven_are_averaged_over_windows_of_seven():
    # DeepMind's pool has windows of 7 x 7: positions inside count more than borders.
    clip = jax.random.normal(jax.random.key(0), (1, 2, 8, 9, 3))
    model = I3D(0, stages=(("max", "pool", (1, 1, 1), (1, 1, 1)),))
    pooled, _ = model.apply({}, clip)
    windows = [clip[:, :, i : i + 7, j : j + 7] for i in (0, 1) for j in (0, 1, 2)]
    want = np.mean([window.mean((1, 2, 3)) for window in windows], 0)
    np.testing.assert_allclose(pooled, want, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    # Windows of three frames with stride two, over frames 0 to T - 1; a rising clip
    # shows the last frame of each, a falling one the first.
    ("frames", "windows"),
    [
        (8, [(0, 2), (2, 4), (4, 6), (6, 7)]),
        (7, [(0, 1), (1, 3), (3, 5), (5, 6)]),
    ],
)
def test_pools_cover_these_frames(frames, windows, sign):
    clip = sign * jnp.arange(1.0, frames + 1).reshape(1, -1, 1, 1, 1)
    model = I3D(0, stages=POOL)
    _, endpoints = model.apply({}, jnp.tile(clip, (1, 1, 2, 2, 1)))
    got = sign * endpoints["features"][0, :, 0, 0, 0] - 1
    assert got.tolist() == [window[1 if sign > 0 else 0] for window in windows]


def test_an_odd_number_of_frames_is_rounded_up_as_in_tensorflow():
    # hassony2's port pads by the parity of T, to the same end (786fbae, i3dpt.py).
    _, shapes = _abstract(I3D(3), (1, 33, 32, 32, 3))
    assert shapes["Conv3d_1a_7x7"][1] == 17
    assert shapes["MaxPool3d_4a_3x3"][1] == 9
    assert shapes["Mixed_5c"][1] == 5


def test_the_first_rows_of_the_table_make_a_network():
    clip = jax.random.normal(jax.random.key(0), (1, 4, 32, 32, 3))
    model = I3D(3, stages=INCEPTION_V1[:3])
    (logits, endpoints), _ = jax.jit(model.init_with_output)(jax.random.key(0), clip)
    assert endpoints["features"].shape == (1, 2, 8, 8, 64)
    assert bool(jnp.isfinite(logits).all())
