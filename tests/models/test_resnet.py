import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.models import resnet
from vidjax.models.early_fusion import EarlyFusion
from vidjax.models.frame_average import FrameAverage
from vidjax.models.tsm import TSM
from vidjax.models.tsn import TSN

# One block a stage, eight channels: compiled in a second or two.
BASIC = resnet.Layout("basic", (1, 1), 8, stem_kernel=3, stem_stride=2, stem_pool=False)
BOTTLENECK = dataclasses.replace(BASIC, block="bottleneck", stem_pool=True)


def _clip(frames=4, seed=0):
    return jax.random.normal(jax.random.key(seed), (2, frames, 16, 16, 3))


def _noisy(model, clip):
    """Variables whose norms are not the identity."""
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0), clip))
    rng = np.random.default_rng(0)
    noise = [a + rng.uniform(-0.1, 0.1, a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, noise)


def _run(model, variables, clip):
    return jax.jit(model.apply)(variables, clip)


def test_names_are_those_of_torchvision():
    variables = jax.eval_shape(
        resnet.ResNet(layout=BOTTLENECK).init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32),
    )
    trunk = variables["params"]["backbone"]
    assert set(variables["params"]) == {"backbone", "logits"}
    assert set(trunk) == {"conv1", "bn1", "layer1_0", "layer2_0"}
    parts = {f"{kind}{i}" for kind in ("conv", "bn") for i in (1, 2, 3)}
    assert set(trunk["layer1_0"]) == parts | {"downsample_conv", "downsample_bn"}


def test_images_and_clips_of_one_frame_are_the_same():
    model = resnet.ResNet(3, BASIC)
    images = _clip()[:, 0]
    variables = _noisy(model, images)
    logits, endpoints = _run(model, variables, images)
    np.testing.assert_array_equal(logits, _run(model, variables, images[:, None])[0])
    assert endpoints["features"].shape == (2, 1, 4, 4, 16)


@pytest.mark.parametrize("shape", [(2, 4, 16, 16, 3), (16, 16, 3)])
def test_an_image_classifier_takes_no_longer_clip(shape):
    with pytest.raises(ValueError, match="frame_average"):
        resnet.ResNet(3, BASIC).init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize("layout", [BASIC, BOTTLENECK])
def test_late_fusion_is_the_mean_of_the_image_classifier_over_frames(layout):
    clip = _clip()
    variables = _noisy(FrameAverage(3, layout), clip)
    image = resnet.ResNet(3, layout)

    frames = [_run(image, variables, clip[:, t])[0] for t in range(4)]

    for model in (FrameAverage(3, layout), TSN(3, layout), TSM(3, layout, 0.0)):
        logits, endpoints = _run(model, variables, clip)
        np.testing.assert_allclose(logits, np.mean(frames, 0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            endpoints["logits_per_step"], np.stack(frames, 1), rtol=1e-4, atol=1e-4
        )


def test_late_fusion_does_not_see_the_order_of_frames():
    clip = _clip()
    model = FrameAverage(3, BASIC)
    variables = _noisy(model, clip)
    forward, backward = (
        _run(model, variables, clip),
        _run(model, variables, clip[:, ::-1]),
    )
    np.testing.assert_allclose(forward[0], backward[0], rtol=1e-5, atol=1e-5)


def test_tsm_sees_the_order_of_frames_with_the_same_parameters():
    clip = _clip()
    model = TSM(3, BASIC)
    variables = _noisy(FrameAverage(3, BASIC), clip)
    forward, backward = (
        _run(model, variables, clip),
        _run(model, variables, clip[:, ::-1]),
    )
    assert float(jnp.abs(forward[0] - backward[0]).max()) > 1e-3


@pytest.mark.parametrize("layout", [BASIC, BOTTLENECK])
def test_tsm_on_one_frame_hides_the_shifted_channels_inside_the_branch_only(layout):
    # With one frame, shifted channels are zero: the first kernel then loses its first
    # quarter of input channels, and the shortcut keeps all of them.
    clip = _clip(frames=1)
    model = TSM(3, layout)
    variables = _noisy(model, clip)
    logits, _ = _run(model, variables, clip)

    def cut(path, leaf):
        names = [key.key for key in path]
        if names[-2:] == ["conv1", "kernel"] and names[-3].startswith("layer"):
            return leaf.at[..., : 2 * (leaf.shape[-2] // 8), :].set(0.0)
        return leaf

    variables["params"] = jax.tree_util.tree_map_with_path(cut, variables["params"])
    still, _ = _run(resnet.ResNet(3, layout), variables, clip)
    np.testing.assert_allclose(logits, still, rtol=1e-4, atol=1e-4)


def test_the_deepest_network_shifts_in_every_second_block_only():
    def shifted(layout):
        clip = jax.ShapeDtypeStruct((1, 2, 16, 16, 3), jnp.float32)
        model = TSM(3, layout)
        variables = jax.eval_shape(model.init, jax.random.key(0), clip)
        text = str(jax.make_jaxpr(model.apply)(variables, clip))
        return text.count("] = split") or text.count(" split[")

    tall = dataclasses.replace(BASIC, blocks=(23,))
    assert shifted(tall) == 12
    assert shifted(dataclasses.replace(BASIC, blocks=(22,))) == 22


def test_each_of_the_two_shifts_of_the_tiny_tsm_reaches_one_frame_further():
    clip = jnp.zeros((1, 8, 32, 32, 3))
    model = models.create_model("tsm_resnet_tiny", num_classes=3)
    variables = _noisy(model, clip)
    features = jax.jit(lambda clip: model.apply(variables, clip)[1]["features"])
    change = features(clip.at[:, 0].set(1.0)) - features(clip)
    reached = np.abs(change).max((0, 2, 3, 4)) > 0
    np.testing.assert_array_equal(reached, [True] * 3 + [False] * 5)


def test_tiny_late_fusion_and_tiny_tsm_have_the_same_parameters():
    cards = [models.model_card(f"{n}_resnet_tiny") for n in ("frame_average", "tsm")]
    assert cards[0].params == cards[1].params


def test_tsm_refuses_a_share_outside_its_range():
    with pytest.raises(ValueError, match="fraction"):
        TSM(3, BASIC, 0.7).init(jax.random.key(0), _clip())


def test_early_fusion_stacks_frames_before_channels():
    clip = _clip(frames=2)
    model = EarlyFusion(3, BASIC)
    variables = _noisy(model, clip)
    logits, _ = _run(model, variables, clip)

    # Channel t * 3 + c alone: the same as that channel of that frame alone.
    alone = jnp.zeros_like(clip).at[:, 1, ..., 2].set(clip[:, 1, ..., 2])
    kernel = variables["params"]["backbone"]["conv1"]["kernel"]
    only = jax.tree.map(lambda a: a, variables)
    only["params"]["backbone"]["conv1"]["kernel"] = kernel.at[:, :, :5].set(0.0)
    np.testing.assert_allclose(
        _run(model, only, clip)[0],
        _run(model, variables, alone)[0],
        rtol=1e-4,
        atol=1e-4,
    )
    assert float(jnp.abs(logits - _run(model, variables, alone)[0]).max()) > 1e-3


def test_early_fusion_refuses_a_clip_of_another_length():
    model = EarlyFusion(3, BASIC)
    variables = model.init(jax.random.key(0), _clip(frames=2))
    with pytest.raises(
        ValueError,
        match=r"Expected 6 channels in all frames.* got 4 frames of 3 channels",
    ):
        _run(model, variables, _clip(frames=4))


def test_recomputing_blocks_changes_no_number():
    clip = _clip()
    variables = _noisy(TSM(3, BOTTLENECK), clip)

    def loss(params, remat):
        model = TSM(3, BOTTLENECK, remat=remat)
        (logits, _), _ = model.apply(
            {**variables, "params": params}, clip, train=True, mutable=["batch_stats"]
        )
        return jnp.sum(logits**2)

    grad = jax.jit(jax.grad(loss), static_argnums=1)
    plain, again = (grad(variables["params"], remat) for remat in (False, True))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
