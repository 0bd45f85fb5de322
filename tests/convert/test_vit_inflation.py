"""A vision transformer as a video transformer: what a still clip gives then."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.convert import inflate
from vidjax.convert.inflation import explain_inflation
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models import timesformer, vit, vivit
from vidjax.models.registry import create_model, model_card

CLIP = (8, 32, 32, 3)
LAYOUT = vit.Layout(48, 2, 4, patch=8)
VIVIT = vivit.TINY


def _vivit(factorised, frames=8, **arguments):
    """A ViViT and the shape of its clips; tubelets are of two frames."""
    more = {"time_depth": 1} if factorised == "encoder" else {}
    layout = dataclasses.replace(VIVIT, factorised=factorised, **more)
    model = vivit.ViViT(num_classes=10, layout=layout, **arguments)
    return model, (frames, *CLIP[1:])


def _timesformer(scheme):
    return timesformer.TimeSformer(num_classes=10, layout=LAYOUT, scheme=scheme)


@functools.cache
def _image_side():
    """An image transformer with weights, two images, and what it makes of them."""
    model = vit.ViT(num_classes=10, layout=LAYOUT)
    images = jax.random.normal(jax.random.key(1), (2, *CLIP[1:]))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    generator = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda a: a + jnp.asarray(0.2 * generator.uniform(-1, 1, a.shape), "float32"),
        variables,
    )
    logits, endpoints = jax.jit(model.apply)(variables, images)
    return variables, images, logits, endpoints


def _still(model, shape=CLIP, temporal="average", **how):
    """What an inflated model makes of the images, repeated over time."""
    variables, images, *_ = _image_side()
    inflated = inflate(variables, model, shape, temporal, **how)
    clip = jnp.repeat(images[:, None], shape[0], axis=1)
    return jax.jit(model.apply)(inflated, clip)


def _assert_near(found, expected, tolerance=1e-4):
    scale = float(jnp.abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def test_timesformers_give_a_still_clip_the_logits_of_its_image():
    *_, logits, _ = _image_side()

    divided, _ = _still(_timesformer("divided"), time_attention="zero")
    space, _ = _still(_timesformer("space"))

    _assert_near(divided, logits)
    _assert_near(space, logits)


def test_as_published_the_first_block_alone_sees_time_in_a_still_clip():
    model = _timesformer("divided")
    variables, _, logits, _ = _image_side()
    found = explain_inflation(variables, model, CLIP)
    params = found.variables["params"]

    for i in range(2):
        block = params[f"blocks_{i}"]
        for time, space in (("temporal_attn", "attn"), ("temporal_norm1", "norm1")):
            jax.tree.map(np.testing.assert_array_equal, block[time], block[space])
        assert bool(block["temporal_fc"]["kernel"].any()) == (i == 0)
    assert not params["time_embed"].any()
    assert all("/temporal_fc/" in p or "/time_embed" in p for p in found.fresh)
    published, endpoints = _still(model)
    assert not np.allclose(published, logits, rtol=1e-2)
    assert _spread_over_time(endpoints["features"]) < 1e-5


def _spread_over_time(features):
    scale = float(jnp.abs(features).max())
    return float(jnp.abs(features - features[:, :1]).max()) / scale


@pytest.mark.parametrize("temporal", ["average", "center"])
def test_the_frames_of_a_factorised_encoder_have_the_features_of_the_image(temporal):
    *_, expected = _image_side()
    model, shape = _vivit("encoder")

    _, endpoints = _still(model, shape, temporal)

    image = jnp.repeat(expected["features"], 4, axis=1)
    # ViViT's GELU is an approximation of ViT's.
    _assert_near(endpoints["frames"], image, tolerance=2e-3)


@pytest.mark.parametrize(
    "factorised",
    ["joint", "self_attention", "dot_product"],
)
def test_more_equal_frames_give_what_one_tubelet_gives(factorised):
    short, endpoints = _still(*_vivit(factorised, frames=2, pool="mean"))

    logits, long = _still(*_vivit(factorised, frames=8, pool="mean"))

    _assert_near(logits, short)
    _assert_near(long["features"], jnp.repeat(endpoints["features"], 4, axis=1))


@pytest.mark.parametrize("build", ["vivit", "timesformer"])
def test_with_a_class_token_joint_attention_keeps_all_times_alike(build):
    joint = _vivit("joint") if build == "vivit" else (_timesformer("joint"), CLIP)
    *_, expected, _ = _image_side()

    logits, endpoints = _still(*joint)

    assert _spread_over_time(endpoints["features"]) < 1e-5
    # The class token gathers from four or eight times as many.
    assert not np.allclose(logits, expected, rtol=1e-2)


def test_attention_over_time_of_vivit_begins_as_nothing_and_learns():
    model, shape = _vivit("self_attention", pool="mean")
    variables, images, *_ = _image_side()
    found = explain_inflation(variables, model, shape)
    block = found.variables["params"]["blocks_1"]

    assert not block["time_attn"]["proj"]["kernel"].any()
    np.testing.assert_array_equal(
        block["time_attn"]["qkv"]["kernel"], block["attn"]["qkv"]["kernel"]
    )
    assert {p.split("/")[-3] for p in found.zeroed} == {"time_attn"}
    assert found.dropped == ("params/cls_token",)
    clip = jnp.repeat(images[:, None], 8, axis=1)

    def loss(params):
        return jnp.sum(jnp.square(model.apply({"params": params}, clip)[0]))

    grads = jax.jit(jax.grad(loss))(found.variables["params"])
    assert grads["blocks_1"]["time_attn"]["proj"]["kernel"].any()

    copied = inflate(variables, model, shape, time_attention="copy")["params"]
    for name in ("qkv", "proj"):
        np.testing.assert_array_equal(
            copied["blocks_0"]["time_attn"][name]["kernel"],
            copied["blocks_0"]["attn"][name]["kernel"],
        )


def test_the_kernel_of_patches_fills_tubelets():
    model, shape = _vivit("joint")
    variables, *_ = _image_side()
    kernel = variables["params"]["patch_embed"]["kernel"][0]

    average, center = (
        inflate(variables, model, shape, temporal)["params"]["patch_embed"]["kernel"]
        for temporal in ("average", "center")
    )

    np.testing.assert_allclose(average, jnp.stack([kernel, kernel]) / 2)
    np.testing.assert_array_equal(center, jnp.stack([0 * kernel, kernel]))


@pytest.mark.parametrize(
    ("source", "target", "fresh"),
    [
        ("vit_b_16", "timesformer_base", 1 + 12 * 2),
        ("vit_b_16", "timesformer_base_joint", 1),
        ("vit_b_16", "frame_average_vit_b_16", 0),
        ("vit_b_16", "vivit_base", 0),
        ("vit_b_16", "vivit_base_factorised_encoder", 4 * 12 + 4),
        ("vit_b_16", "vivit_base_factorised_self_attention", 0),
        ("vit_b_16", "vivit_base_factorised_dot_product", 0),
    ],
)
def test_registered_networks_fit_at_full_size(source, target, fresh):
    image_model = create_model(source)
    places = abstract_variables(image_model, model_card(source).clip.shape)
    variables = unflatten(
        {path: np.broadcast_to(np.float32(1), p.shape) for path, p in places.items()}
    )
    model = create_model(target, num_classes=1000)

    found = explain_inflation(variables, model, model_card(target).clip.shape)

    assert len(found.fresh) == fresh
    parts = (found.taken, found.inflated, found.copied, found.zeroed, found.fresh)
    assert sorted(sum(parts, ())) == sorted(flatten(found.variables))


def test_what_has_no_attention_over_time_cannot_begin_it():
    variables, *_ = _image_side()
    with pytest.raises(ValueError, match="attend over time by themselves"):
        inflate(variables, _timesformer("joint"), CLIP, time_attention="zero")


@pytest.mark.usefixtures("as_users_run_it")
def test_an_unknown_beginning_is_an_error():
    variables, *_ = _image_side()
    with pytest.raises(ValueError, match=r'"copy" or "zero", got .zeros'):
        inflate(variables, _timesformer("divided"), CLIP, time_attention="zeros")


def test_a_table_for_another_size_is_an_error_that_names_it():
    variables, *_ = _image_side()
    with pytest.raises(ValueError, match=r"pos_embed: \(1, 17, 48\) cannot become"):
        inflate(variables, _timesformer("joint"), (8, 40, 40, 3))
