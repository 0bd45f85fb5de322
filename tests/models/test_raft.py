"""RAFT: any size, warm starts, training, memory; its numbers are in tests/parity."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.models.registry import create_model, list_models, model_card

TINY = create_model("raft_tiny")


@functools.cache
def _setting():
    """Variables of the tiny network, and two pairs of frames of odd size."""
    keys = jax.random.split(jax.random.key(1), 2)
    images = [jax.random.uniform(k, (2, 70, 77, 3), minval=-1.0) for k in keys]
    variables = jax.jit(functools.partial(TINY.init, iterations=1))(
        jax.random.key(0), *images
    )
    return variables, *images


@functools.cache
def _compiled(iterations=3, **arguments):
    model = create_model("raft_tiny", **arguments)
    return jax.jit(functools.partial(model.apply, iterations=iterations))


@functools.cache
def _trained():
    """Flow, endpoints, new statistics and gradients of a training pass."""
    variables, image0, image1 = _setting()

    def loss(params):
        (flow, endpoints), state = TINY.apply(
            {**variables, "params": params},
            image0,
            image1,
            iterations=3,
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.mean(jnp.abs(endpoints["flows"] - 1.0)), (flow, endpoints, state)

    step = jax.jit(jax.grad(loss, has_aux=True))
    gradients, (flow, endpoints, state) = step(variables["params"])
    return gradients, flow, endpoints, state


def test_flow_has_the_size_of_the_images():
    variables, image0, image1 = _setting()
    flow, endpoints = _compiled()(variables, image0, image1)
    assert flow.shape == (2, 70, 77, 2)
    assert flow.dtype == jnp.float32
    assert endpoints["coarse"].shape == (2, 9, 10, 2)
    assert "flows" not in endpoints
    assert bool(jnp.isfinite(flow).all())


def test_a_clip_of_two_frames_is_a_pair():
    variables, image0, image1 = _setting()
    flow, _ = _compiled()(variables, image0, image1)
    same, _ = _compiled()(variables, jnp.stack([image0, image1], axis=1))
    np.testing.assert_allclose(same, flow, atol=1e-6)


def test_images_of_a_batch_do_not_see_each_other():
    variables, image0, image1 = _setting()
    flow, _ = _compiled()(variables, image0, image1)
    other, _ = _compiled()(variables, image0, image1.at[1].set(0.0))
    np.testing.assert_allclose(other[0], flow[0], atol=1e-5)
    assert float(jnp.abs(other[1] - flow[1]).max()) > 1e-3


def test_a_warm_start_goes_on_where_it_is_told():
    variables, image0, image1 = _setting()
    _, once = _compiled(1)(variables, image0, image1)
    start = once["coarse"] + 2.0
    flow, cold = _compiled(1)(variables, image0, image1)
    warm_flow, warm = _compiled(1)(variables, image0, image1, flow_init=start)
    again, _ = _compiled(1)(variables, image0, image1, flow_init=jnp.zeros_like(start))
    np.testing.assert_allclose(again, flow, atol=1e-6)
    assert float(jnp.abs(warm["coarse"] - cold["coarse"]).min()) > 0.5
    assert warm_flow.shape == flow.shape


def test_low_memory_gives_the_same_flow():
    variables, image0, image1 = _setting()
    flow, _ = _compiled()(variables, image0, image1)
    for form in ("gather", "matmul"):
        small = _compiled(volume_bytes=0, lookup=form)
        np.testing.assert_allclose(small(variables, image0, image1)[0], flow, atol=2e-4)


def test_borders_are_repeated_below_where_kittis_way_is_asked_for():
    variables, image0, image1 = _setting()
    bottom = _compiled(padding="bottom")
    padded = [
        jnp.pad(x, ((0, 0), (0, 2), (1, 2), (0, 0)), mode="edge")
        for x in (image0, image1)
    ]
    flow, _ = bottom(variables, image0, image1)
    whole, _ = bottom(variables, *padded)
    np.testing.assert_allclose(flow, whole[:, :70, 1:-2], atol=1e-5)


def test_training_gives_the_flow_of_every_iteration():
    _, flow, endpoints, _ = _trained()
    assert endpoints["flows"].shape == (2, 3, 70, 77, 2)
    np.testing.assert_array_equal(endpoints["flows"][:, -1], flow)
    assert float(jnp.abs(endpoints["flows"][:, 0] - flow).max()) > 0


def test_gradient_reaches_every_parameter():
    gradients = _trained()[0]
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        where = jax.tree_util.keystr(path)
        assert bool(jnp.isfinite(gradient).all()), where
        # A bias before an instance or batch norm has no effect.
        if "bias" not in where or "update" in where:
            assert float(jnp.abs(gradient).max()) > 0, where


def test_statistics_move_in_training_unless_they_are_frozen():
    variables, image0, image1 = _setting()
    moved = _trained()[3]["batch_stats"]
    before = variables["batch_stats"]
    different = jax.tree.map(lambda a, b: bool((a != b).any()), before, moved)
    assert all(jax.tree.leaves(different))

    frozen = create_model("raft_tiny", freeze_norm=True)
    apply = functools.partial(
        frozen.apply, iterations=1, train=True, mutable=["batch_stats"]
    )
    _, kept = jax.jit(apply)(variables, image0, image1)
    jax.tree.map(np.testing.assert_array_equal, before, kept["batch_stats"])


def test_frames_of_1080p_fit_without_the_volume_of_all_correlations():
    frame = jax.ShapeDtypeStruct((1, 1080, 1920, 3), jnp.float32)
    model = create_model("raft_small", volume_bytes=2**28)
    variables = jax.eval_shape(model.init, jax.random.key(0), frame, frame)

    def bytes_of(model):
        step = jax.jit(functools.partial(model.apply, iterations=2))
        analysis = step.lower(variables, frame, frame).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert bytes_of(model) < 2**31
    assert bytes_of(model.clone(volume_bytes=2**33)) > 5 * 2**30


@pytest.mark.parametrize("name", list_models(task="flow"))
def test_parameters_are_as_many_as_the_card_says(name):
    card = model_card(name)
    clip = jax.ShapeDtypeStruct((1, *card.clip.shape), jnp.float32)
    variables = jax.eval_shape(create_model(name).init, jax.random.key(0), clip)
    leaves = jax.tree.leaves(variables["params"])
    assert sum(math.prod(leaf.shape) for leaf in leaves) == card.params
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {
        jnp.dtype(jnp.float32)
    }


def test_bfloat16_is_near_float32():
    variables, image0, image1 = _setting()
    flow, _ = _compiled()(variables, image0, image1)
    low, _ = _compiled(dtype="bfloat16")(variables, image0, image1)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, flow, atol=0.1 * float(jnp.abs(flow).max()))


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_pair_is_refused():
    variables, image0, image1 = _setting()
    apply = functools.partial(jax.eval_shape, TINY.apply, variables)
    with pytest.raises(ValueError, match=r"at least 64 pixels.*63 x 77"):
        apply(image0[:, :63], image1[:, :63])
    with pytest.raises(ValueError, match=r"same shape \[B, H, W, C\].*70.*69"):
        apply(image0, image1[:, :69])
    with pytest.raises(ValueError, match=r"two frames, got 3"):
        apply(jnp.zeros((1, 3, 64, 64, 3)))
    with pytest.raises(ValueError, match=r"3 channels, got 1"):
        apply(image0[..., :1], image1[..., :1])
    with pytest.raises(TypeError, match="uint8"):
        apply(image0.astype(jnp.uint8), image1.astype(jnp.uint8))


@pytest.mark.usefixtures("unchecked")
def test_what_makes_no_run_is_refused():
    def apply(model, **arguments):
        jax.eval_shape(functools.partial(model.apply, **arguments), *_setting())

    with pytest.raises(ValueError, match="at least 1, got 0"):
        apply(TINY, iterations=0)
    with pytest.raises(ValueError, match=r"\(2, 9, 10, 2\).*got \(2, 8, 8, 2\)"):
        apply(TINY, flow_init=jnp.zeros((2, 8, 8, 2)))
    with pytest.raises(ValueError, match="'top'"):
        apply(create_model("raft_tiny", padding="top"))


def test_the_public_function_takes_bytes():
    variables, image0, image1 = _setting()
    pixels = [jnp.round((x + 1) * 127.5).astype(jnp.uint8) for x in (image0, image1)]
    flow = jax.jit(
        functools.partial(vidjax.flow.raft, model="raft_tiny", iterations=1)
    )(*pixels, variables=variables)
    values = [x.astype(jnp.float32) / 127.5 - 1 for x in pixels]
    expected, _ = _compiled(1)(variables, *values)
    np.testing.assert_allclose(flow, expected, atol=1e-4)
