import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.convert.s3d import _unfold_pixels
from vidjax.layers.conv import Conv
from vidjax.models.s3d import S3D, S3D_G_MMV_STAGES, S3D_STAGES, Gate

# What changes the size of maps.
FRAME = tuple(stage for stage in S3D_STAGES if stage[1] != "mixed")


def _abstract(model, shape):
    clip = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    return variables["params"], {k: v.shape for k, v in endpoints.items()}


def test_maps_have_the_sizes_of_torchvisions():
    params, shapes = _abstract(models.create_model("s3d"), (1, 16, 224, 224, 3))
    assert shapes["Conv2d_1a_7x7"] == (1, 8, 112, 112, 64)
    assert shapes["Mixed_3c"] == (1, 8, 28, 28, 480)
    assert shapes["Mixed_4f"] == (1, 4, 14, 14, 832)
    assert shapes["features"] == shapes["Mixed_5c"] == (1, 2, 7, 7, 1024)
    assert shapes["logits_per_step"] == (1, 1, 400)
    assert params["Mixed_3b"]["b1"]["spatial"]["conv"]["kernel"].shape == (
        *(1, 3, 3),
        *(96, 128),
    )
    assert not [name for name in params["Mixed_3b"] if "gate" in name]


def test_odd_maps_are_cut_by_torchvision_and_filled_up_by_tensorflow():
    shape = (1, 24, 232, 224, 3)  # 12, 58 x 56, then 6, 15 x 14.
    _, torch = _abstract(S3D(3, FRAME), shape)
    _, tensorflow = _abstract(S3D(3, FRAME, padding="SAME"), shape)
    before = "MaxPool_4a_3x3"
    assert torch[before] == tensorflow[before] == (1, 6, 15, 14, 192)
    assert torch["features"] == (1, 3, 7, 7, 192)
    assert tensorflow["features"] == (1, 3, 8, 7, 192)


@pytest.mark.usefixtures("unchecked")
def test_clips_too_small_to_pool_are_refused():
    _, shapes = _abstract(S3D(3, FRAME), (1, 5, 17, 17, 3))
    assert shapes["features"] == (1, 1, 1, 1, 192)
    with pytest.raises(ValueError, match="at least 5 frames, got 4"):
        _abstract(S3D(3), (1, 4, 17, 17, 3))
    with pytest.raises(ValueError, match="at least 17 pixels"):
        _abstract(S3D(3), (1, 5, 17, 16, 3))


def test_from_13_frames_on_the_window_is_torchvisions():
    _, below = _abstract(S3D(3, FRAME), (1, 12, 224, 224, 3))
    _, least = _abstract(S3D(3, FRAME), (1, 13, 224, 224, 3))
    assert below["features"][1] == 1
    assert least["features"][1] == 2
    _, larger = _abstract(S3D(3, FRAME), (1, 32, 256, 256, 3))
    assert larger["logits_per_step"] == (1, 3, 3)


def test_a_gate_scales_channels_by_the_mean_of_the_map():
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 6))
    gate = Gate()
    variables = gate.init(jax.random.key(1), x)
    dense = variables["params"]["dense"]
    assert set(dense) == {"kernel", "bias"}  # The bias begins at zero.
    weights = jax.nn.sigmoid(x.mean((1, 2, 3)) @ dense["kernel"])
    want = x * weights[:, None, None, None]
    np.testing.assert_allclose(gate.apply(variables, x), want, atol=1e-6)


def test_gates_follow_separable_convolutions_and_every_branch_but_not_the_stem():
    params, _ = _abstract(models.create_model("s3d_g"), (1, 16, 224, 224, 3))
    assert {name for name in params if "gate" in name} == {"Conv2d_2c_3x3_gate"}
    gates = {name for name in params["Mixed_4b"] if "gate" in name}
    assert gates == {f"b{i}_gate" for i in range(4)}
    assert params["Conv2d_1a_7x7"]["conv"]["kernel"].shape == (7, 7, 7, 3, 64)


def test_the_stem_of_mmv_sees_what_a_kernel_over_blocks_of_pixels_sees():
    generator = np.random.default_rng(0)
    clip = generator.standard_normal((1, 6, 8, 10, 3)).astype(np.float32)
    joined = generator.standard_normal((2, 4, 4, 24, 5)).astype(np.float32)
    blocks = clip.reshape(1, 3, 2, 4, 2, 5, 2, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7)
    _, _, _, kernel, strides, padding = S3D_G_MMV_STAGES[0]

    theirs = _convolve(Conv(5, (2, 4, 4)), joined, blocks.reshape(1, 3, 4, 5, 24))
    ours = _convolve(Conv(5, kernel, strides, padding), _unfold_pixels(joined), clip)

    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def _convolve(conv, kernel, x):
    return jax.jit(conv.apply)({"params": {"kernel": kernel}}, x)
