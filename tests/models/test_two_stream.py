"""Two-stream networks: each stream is the network alone, and how they are joined."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.models.i3d import I3D
from vidjax.models.registry import create_model, model_card
from vidjax.models.resnet import RESNET_TINY
from vidjax.models.tsn import TSN
from vidjax.models.two_stream import TwoStream, split_streams


@functools.cache
def _streams():
    """Two trained networks, as if in runs of their own, and a clip for both."""
    clip = jax.random.normal(jax.random.key(0), (2, 3, 32, 32, 15))
    network = TSN(num_classes=4, layout=RESNET_TINY)
    parts = split_streams(clip, 6)
    init = jax.jit(network.init)
    rgb = init(jax.random.key(1), parts["rgb"])
    flow = init(jax.random.key(2), parts["flow"])
    return network, parts, rgb, flow, clip


def _tiny(**arguments):
    return create_model("two_stream_resnet_tiny", num_classes=4, **arguments)


@pytest.mark.parametrize("at", ["logits", "softmax"])
def test_streams_trained_apart_are_put_together_and_their_scores_added(at):
    network, parts, rgb, flow, clip = _streams()
    apply = jax.jit(network.apply)
    theirs = [apply(rgb, parts["rgb"])[0], apply(flow, parts["flow"])[0]]

    joined = convert.join_streams(rgb, flow)
    model = _tiny(weights=(1.0, 1.5), fuse_at=at)
    logits, endpoints = jax.jit(model.apply)(joined, clip)

    np.testing.assert_allclose(endpoints["rgb_logits"], theirs[0], atol=1e-5)
    np.testing.assert_allclose(endpoints["flow_logits"], theirs[1], atol=1e-5)
    if at == "logits":
        expected = theirs[0] + 1.5 * theirs[1]
    else:
        share = jax.nn.softmax(theirs[0]) + 1.5 * jax.nn.softmax(theirs[1])
        expected = jnp.log(share / 2.5)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_a_file_of_joined_streams_is_read_and_takes_new_classes(tmp_path):
    _, _, rgb, flow, _ = _streams()
    path = tmp_path / "joined.safetensors"
    convert.save_variables(path, convert.join_streams(rgb, flow))
    load = functools.partial(
        convert.load_variables, "two_stream_resnet_tiny", path, num_classes=4
    )
    np.testing.assert_array_equal(
        load()["params"]["flow"]["logits"]["kernel"],
        flow["params"]["logits"]["kernel"],
    )
    other = convert.load_variables(
        "two_stream_resnet_tiny", path, num_classes=9, head="match"
    )["params"]
    assert other["rgb"]["logits"]["bias"].shape == (9,)
    assert other["flow"]["logits"]["kernel"].shape == (64, 9)
    np.testing.assert_array_equal(
        other["flow"]["backbone"]["conv1"]["kernel"],
        flow["params"]["backbone"]["conv1"]["kernel"],
    )
    with pytest.raises(ValueError, match="the weights have 4 classes, the model 9"):
        convert.load_variables("two_stream_resnet_tiny", path, num_classes=9)


def test_i3d_adds_the_logits_of_both_its_streams():
    model = create_model("i3d_two_stream")
    assert isinstance(model, TwoStream)
    assert (model.stream, model.weights, model.fuse_at) == (I3D, (1.0, 1.0), "logits")
    parts = [model_card(f"i3d_{name}") for name in ("rgb", "flow")]
    card = model_card("i3d_two_stream")
    assert card.params == sum(part.params for part in parts)
    assert card.gmacs == pytest.approx(sum(part.gmacs for part in parts))
    assert card.clip.mean == parts[0].clip.mean + parts[1].clip.mean


def test_partial_norm_moves_the_statistics_of_the_first_norm_only():
    _, parts, rgb, _, _ = _streams()
    model = TSN(num_classes=4, layout=RESNET_TINY, partial_norm=True)
    apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    _, state = jax.jit(apply)(rgb, parts["rgb"])
    before = jax.tree_util.tree_leaves_with_path(rgb["batch_stats"])
    after = jax.tree.leaves(state["batch_stats"])
    moved = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for (path, a), b in zip(before, after, strict=True)
        if (a != b).any()
    }
    assert moved == {"backbone/bn1/mean", "backbone/bn1/var"}


def test_convolutional_fusion_begins_as_a_blurred_sum_of_the_streams():
    model = create_model("conv_fusion_resnet_tiny")
    clip = jax.random.normal(jax.random.key(0), (1, 4, 64, 64, 15))
    (_, endpoints), variables = jax.jit(model.init_with_output)(jax.random.key(1), clip)
    kernel = variables["params"]["fuse"]["kernel"]
    np.testing.assert_allclose(
        kernel.sum(axis=(0, 1, 2)),
        np.concatenate([0.25 * np.eye(32), 0.75 * np.eye(32)]),
        atol=1e-6,
    )
    mixed = 0.25 * endpoints["rgb"] + 0.75 * endpoints["flow"]
    blurred = jnp.zeros(mixed.shape[-1])
    taps = np.exp([-0.5, 0.0, -0.5]) / np.exp([-0.5, 0.0, -0.5]).sum()
    for t in range(3):
        for y in range(3):
            for x in range(3):
                weight = taps[t] * taps[y] * taps[x]
                blurred = blurred + weight * mixed[0, t, 1 + y, 2 + x]
    np.testing.assert_allclose(endpoints["features"][0, 1, 2, 3], blurred, atol=1e-5)


def test_a_clip_of_another_stack_of_flows_is_refused():
    with pytest.raises(ValueError, match=r"15 channels, got 9"):
        _tiny().init(jax.random.key(0), jnp.zeros((1, 3, 32, 32, 9)))


def test_a_clip_spec_becomes_one_of_flow():
    clip = model_card("tsn_resnet50").clip.with_modality("flow", flow_length=5)
    assert clip.shape == (8, 224, 224, 10)
    # Bytes 0 and 255 become -1 and 1.
    low = (clip.value_range[0] - clip.mean[0]) / clip.std[0]
    high = (clip.value_range[1] - clip.mean[0]) / clip.std[0]
    assert (low, high) == (-1.0, 1.0)
    assert model_card("i3d_flow").clip.shape == (64, 224, 224, 2)
    with pytest.raises(ValueError, match=r"of colours.*'flow'"):
        clip.with_modality("rgb")
    with pytest.raises(ValueError, match=r"flow_length of at least 1.*0"):
        model_card("tsn_resnet50").clip.with_modality("flow", flow_length=0)
