import functools
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from vidjax.models.c2d import C2D_MMACTION2
from vidjax.models.i3d_resnet import I3D, I3D_MMACTION2
from vidjax.models.registry import create_model
from vidjax.models.resnet3d import average_windows
from vidjax.models.slowfast import SLOWFAST_R101_50_50


@functools.cache
def _small(name, **arguments):
    model = create_model(name, **arguments)
    clip = jax.random.normal(jax.random.key(1), (2, 8, 32, 32, 3))
    return model, jax.jit(model.init)(jax.random.key(0), clip), clip


def _shapes(name, clip_shape, **arguments):
    """Shapes of parameters by path, and those of endpoints; nothing is computed."""
    model = create_model(name, **arguments)
    clip = jax.ShapeDtypeStruct((1, *clip_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    _, endpoints = jax.eval_shape(model.apply, variables, clip)
    params = traverse_util.flatten_dict(variables["params"], sep="/")
    shapes = jax.tree.map(lambda array: array.shape, (params, endpoints))
    return cast("tuple[dict[str, tuple], dict[str, tuple]]", shapes)


def test_every_position_of_the_window_is_averaged_over_all_frames():
    features = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 6))
    got = average_windows(features, 4)
    want = [features[:, :, :, i : i + 4].mean((1, 2, 3)) for i in range(2)]
    np.testing.assert_allclose(got, np.stack(want, axis=1), atol=1e-6)


@pytest.mark.parametrize("pool_size", [None, 7])
def test_a_window_larger_than_the_map_averages_all_of_it(pool_size):
    features = jax.random.normal(jax.random.key(0), (2, 3, 4, 5, 6))
    got = average_windows(features, pool_size)
    np.testing.assert_allclose(got[:, 0], features.mean((1, 2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("pool_size", "positions"), [(7, 4), (None, 1)], ids=["pytorchvideo", "mmaction2"]
)
def test_larger_crops_are_classified_at_every_position(pool_size, positions):
    _, endpoints = _shapes("slow_8x8_resnet50", (8, 256, 256, 3), pool_size=pool_size)
    assert endpoints["features"] == (1, 8, 8, 8, 2048)
    assert endpoints["logits_per_step"] == (1, positions, 400)


def test_logits_are_the_mean_of_the_scores_at_all_positions():
    model, variables, clip = _small("slow_tiny", pool_size=3)
    logits, endpoints = jax.jit(model.apply)(variables, clip)
    scores = endpoints["logits_per_step"]
    assert scores.shape == (2, 2 * 2, 10)
    assert float(jnp.std(scores, axis=1).min()) > 0
    np.testing.assert_allclose(logits, scores.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "frames", "left"),
    [
        ("c2d_nopool_resnet50", 1, 1),
        ("c2d_resnet50", 2, 1),
        ("c2d_resnet50", 9, 4),
        ("slow_8x8_resnet50", 5, 5),
        ("i3d_resnet50", 16, 8),
        ("i3d_resnet50_mmaction2", 5, 1),
        ("i3d_resnet50_mmaction2", 32, 4),
        ("i3d_resnet50_heavy_mmaction2", 32, 16),
    ],
)
def test_time_is_pooled_as_published_and_any_frames_work(name, frames, left):
    _, endpoints = _shapes(name, (frames, 64, 48, 3))
    assert endpoints["features"] == (1, left, 2, 2, 2048)


@pytest.mark.parametrize(("layout", "fewest"), [(I3D, 2), (I3D_MMACTION2, 5)])
def test_clips_too_short_to_pool_are_refused(layout, fewest):
    assert layout.min_frames == fewest
    name = "i3d_resnet50" if layout is I3D else "i3d_resnet50_mmaction2"
    with pytest.raises(ValueError, match=f"at least {fewest} frames"):
        _shapes(name, (fewest - 1, 64, 64, 3))


def test_frames_too_small_for_a_pool_without_border_are_refused():
    assert C2D_MMACTION2.min_size == 5
    _shapes("c2d_resnet50_mmaction2", (2, 5, 5, 3))
    with pytest.raises(ValueError, match="at least 5 pixels"):
        _shapes("c2d_resnet50_mmaction2", (2, 5, 4, 3))


def test_mmaction2_s_c2d_pools_without_border_after_the_stem():
    # (112 - 3) // 2 + 1 = 55 positions where a border gives 56.
    _, ours = _shapes("c2d_resnet50", (8, 224, 224, 3))
    _, theirs = _shapes("c2d_resnet50_mmaction2", (8, 224, 224, 3))
    assert ours["layer1"][2:4] == (56, 56)
    assert theirs["layer1"][2:4] == (55, 55)


def test_kernels_of_i3d_alternate_in_time():
    stages = [[I3D.time_kernel(stage, i) for i in range(3)] for stage in range(4)]
    assert stages == [[3, 3, 3], [3, 1, 3], [3, 1, 3], [1, 3, 1]]


def test_slowfast_101_50_50_looks_along_time_in_six_blocks_of_the_third_stage():
    for pathway in (SLOWFAST_R101_50_50.slow, SLOWFAST_R101_50_50.fast):
        kernels = [pathway.time_kernel(2, i) for i in range(23)]
        assert kernels == [3] * 6 + [1] * 17


@pytest.mark.parametrize(
    ("name", "second", "third"),
    # NONLOCAL.LOCATION of SlowFast's configs/Kinetics/c2/I3D_NLN_8x8_R50.yaml, and
    # `non_local` of MMAction2's configs/recognition/{i3d,slowonly}/*nl*.py.
    [
        ("i3d_resnet50_nonlocal", (1, 3), (1, 3, 5)),
        ("i3d_resnet50_nonlocal_mmaction2", (1, 3), (1, 3, 5)),
        ("slow_4x16_resnet50_nonlocal_mmaction2", (0, 2), (0, 2, 4)),
    ],
)
def test_non_local_blocks_follow_the_published_ones(name, second, third):
    params, _ = _shapes(name, (8, 64, 64, 3))
    found = {path.split("/")[1] for path in params if "_non_local/" in path}
    blocks = [f"layer2_{i}" for i in second] + [f"layer3_{i}" for i in third]
    assert found == {f"{block}_non_local" for block in blocks}


@pytest.mark.parametrize("name", ["c2d_resnet50", "i3d_resnet50", "slow_8x8_resnet50"])
def test_paths_are_those_of_the_2d_network(name):
    """By them a 2D network is inflated: only the kernels' axis of time is new."""
    flat, _ = _shapes("resnet50", (1, 64, 64, 3), num_classes=400)
    deep, _ = _shapes(name, (8, 64, 64, 3))
    assert flat.keys() == deep.keys()
    for path, shape in flat.items():
        inflated = len(shape) == 4
        assert (deep[path][1:] if inflated else deep[path]) == shape, path


@pytest.mark.parametrize("name", ["i3d_resnet_tiny", "slowfast_tiny"])
def test_frames_repeated_at_the_edges_keep_a_still_clip_still(name):
    model, variables, clip = _small(name, time_padding="edge")
    still = jnp.repeat(clip[:, :1], 8, axis=1)
    _, endpoints = jax.jit(model.apply)(variables, still)
    for name, maps in endpoints.items():
        if maps.ndim == 5:
            first = jnp.broadcast_to(maps[:, :1], maps.shape)
            np.testing.assert_allclose(maps, first, atol=1e-5, err_msg=name)


def test_recomputation_gives_the_same_gradient():
    model, variables, clip = _small("i3d_resnet_tiny")

    def loss(params, model):
        logits, _ = model.apply({**variables, "params": params}, clip)
        return logits[:, 0].sum()

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    kept = gradient(variables["params"], model)
    again = gradient(variables["params"], model.clone(remat=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), kept, again)


def test_paths_are_dropped_in_training_only():
    model, variables, clip = _small("slowfast_tiny", drop_path_rate=0.9)
    plain = model.clone(drop_path_rate=0.0)

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def logits(model, train):
        rngs = {"dropout": jax.random.key(0)}
        mutable = ["batch_stats"]
        (logits, _), _ = model.apply(
            variables, clip, train=train, rngs=rngs, mutable=mutable
        )
        return logits

    np.testing.assert_array_equal(logits(model, False), logits(plain, False))
    assert not np.allclose(logits(model, True), logits(plain, True))
