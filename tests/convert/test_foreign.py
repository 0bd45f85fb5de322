import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.convert import from_arrays
from vidjax.convert.foreign import find_namings
from vidjax.convert.resnet import TSM_MIT, TSN_MIT
from vidjax.convert.rules import translate
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model, model_card

# Ours to torchvision's, for trees of ResNets.
_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel": "weight",
}


def _torchvision_names(name, num_classes=10, channels=3):
    """Random arrays with the names and layouts that torchvision would give a ResNet."""
    model = create_model(name, num_classes=num_classes)
    shape = (*model_card(name).clip.shape[:3], channels)
    generator = np.random.default_rng(0)
    arrays = {}
    for path, place in abstract_variables(model, shape).items():
        _, *layers, leaf = path.split("/")
        source = ".".join(layers).removeprefix("backbone.").replace("logits", "fc")
        source = source.replace("downsample_conv", "downsample.0")
        source = source.replace("downsample_bn", "downsample.1")
        if source.startswith("layer"):
            source = source.replace("_", ".", 1)
        array = generator.uniform(0.5, 1.5, place.shape).astype(np.float32)
        if leaf == "kernel":
            array = np.moveaxis(array, (-1, -2), (0, 1))
        arrays[f"{source}.{_LEAVES[leaf]}"] = array
    return arrays


def _as_tsm(arrays, every=1):
    """Names of mit-han-lab/temporal-shift-module."""
    renamed = {}
    for name, array in arrays.items():
        parts = name.split(".")
        shifted = (
            name.startswith("layer")
            and parts[2] == "conv1"
            and int(parts[1]) % every == 0
        )
        name = name.replace(".conv1.", ".conv1.net.") if shifted else name
        name = "new_fc" + name[2:] if name.startswith("fc") else f"base_model.{name}"
        renamed[f"module.{name}"] = array
    return renamed


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


@pytest.mark.parametrize(
    "name",
    ["frame_average_resnet_tiny", "tsn_resnet_tiny", "tsm_resnet_tiny"],
)
def test_video_models_on_frames_take_image_weights(name):
    arrays = _torchvision_names("resnet_tiny")
    _same(from_arrays(name, arrays), from_arrays("resnet_tiny", arrays))


def test_wrapped_weights_are_the_same():
    arrays = _torchvision_names("resnet_tiny")
    wrapped = {
        "epoch": 7,
        "state_dict": {f"module.{name}": array for name, array in arrays.items()}
        | {"module.bn1.num_batches_tracked": np.array(3)},
    }
    _same(from_arrays("resnet_tiny", wrapped), from_arrays("resnet_tiny", arrays))


def test_half_precision_becomes_float32():
    arrays = _torchvision_names("resnet_tiny")
    halved = {name: array.astype(np.float16) for name, array in arrays.items()}
    kernel = from_arrays("resnet_tiny", halved)["params"]["logits"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel.T, halved["fc.weight"].astype(np.float32))


def test_the_first_kernel_is_spread_over_the_frames_of_early_fusion():
    arrays = _torchvision_names("resnet_tiny")
    image = from_arrays("resnet_tiny", arrays)
    for frames in (8, 4):
        early = from_arrays(
            "early_fusion_resnet_tiny", arrays, clip_shape=(frames, 32, 32, 3)
        )
        kernel = early["params"]["backbone"]["conv1"]["kernel"]
        assert kernel.shape == (3, 3, 3 * frames, 16)
        whole = kernel.reshape(3, 3, frames, 3, 16).sum(axis=2)
        expected = image["params"]["backbone"]["conv1"]["kernel"]
        np.testing.assert_allclose(whole, expected, rtol=1e-6)


def test_weights_for_stacked_flow_keep_their_channels():
    arrays = _as_tsm(_torchvision_names("tsm_resnet_tiny", channels=10))
    variables = from_arrays("tsm_resnet_tiny", arrays)
    assert variables["params"]["backbone"]["conv1"]["kernel"].shape == (3, 3, 10, 16)


def test_weights_with_shifts_do_not_pass_for_weights_without():
    plain = _torchvision_names("resnet_tiny")
    shifted = _as_tsm(plain)
    unshifted = _as_tsm(plain, every=10**6) | {}
    unshifted = {k.replace(".net.", "."): v for k, v in unshifted.items()}
    from_arrays("tsm_resnet_tiny", shifted)
    from_arrays("tsn_resnet_tiny", unshifted)
    with pytest.raises(ValueError, match=r"layer2\.0\.conv1\.net\.weight: matches 0"):
        from_arrays("tsn_resnet_tiny", shifted)
    with pytest.raises(ValueError, match=r"layer2\.0\.conv1\.weight: matches 0 rules"):
        from_arrays("tsm_resnet_tiny", unshifted)


def test_deep_networks_with_a_shift_in_every_second_block_are_understood():
    kernel = np.zeros((2, 2, 1, 1))
    every_second = {
        "base_model.layer3.10.conv1.net.weight": kernel,
        "base_model.layer3.11.conv1.weight": kernel,
    }
    assert translate(every_second, TSM_MIT)[1] == []
    assert len(translate(every_second, TSN_MIT)[1]) == 1


def test_another_number_of_classes_is_an_error_unless_asked_for():
    arrays = _torchvision_names("resnet_tiny", num_classes=6)
    with pytest.raises(ValueError, match=r"6 classes, the model 10.*num_classes=6"):
        from_arrays("resnet_tiny", arrays)
    kept = from_arrays("resnet_tiny", arrays, num_classes=6)
    np.testing.assert_array_equal(kept["params"]["logits"]["bias"], arrays["fc.bias"])

    reset = from_arrays("resnet_tiny", arrays, head="reset")
    again = from_arrays("resnet_tiny", arrays, head="reset")
    _same(reset, again)
    _same({"b": reset["params"]["backbone"]}, {"b": kept["params"]["backbone"]})
    logits = reset["params"]["logits"]
    assert logits["kernel"].shape == (64, 10)
    assert np.std(logits["kernel"]) > 0
    np.testing.assert_array_equal(logits["bias"], np.zeros(10))


def test_match_keeps_a_classifier_that_fits():
    arrays = _torchvision_names("resnet_tiny", num_classes=6)
    six = from_arrays("resnet_tiny", arrays, num_classes=6, head="match")
    np.testing.assert_array_equal(six["params"]["logits"]["bias"], arrays["fc.bias"])
    ten = from_arrays("resnet_tiny", arrays, head="match")
    np.testing.assert_array_equal(ten["params"]["logits"]["bias"], np.zeros(10))
    reset = from_arrays("resnet_tiny", arrays, num_classes=6, head="reset")
    np.testing.assert_array_equal(reset["params"]["logits"]["bias"], np.zeros(6))


def test_no_classes_leave_the_classifier_out():
    arrays = _torchvision_names("resnet_tiny")
    variables = from_arrays("resnet_tiny", arrays, num_classes=0)
    assert variables["params"].keys() == {"backbone"}


def test_a_body_without_classifier_needs_a_new_one():
    arrays = _torchvision_names("resnet_tiny")
    body = {name: a for name, a in arrays.items() if not name.startswith("fc.")}
    with pytest.raises(ValueError, match="params/logits/kernel: nothing was converted"):
        from_arrays("resnet_tiny", body)
    assert "logits" in from_arrays("resnet_tiny", body, head="reset")["params"]


def test_everything_that_does_not_fit_is_in_one_message():
    arrays = _torchvision_names("resnet_tiny")
    del arrays["bn1.running_mean"]
    arrays["extra.weight"] = np.zeros(3)
    arrays["conv1.weight"] = arrays["conv1.weight"][:, :, :2]
    arrays["layer9.0.conv1.weight"] = np.zeros((1, 1, 1, 1))
    with pytest.raises(ValueError, match="torchvision do not fit resnet_tiny") as error:
        from_arrays("resnet_tiny", arrays)
    assert str(error.value).splitlines()[1:] == [
        "  batch_stats/backbone/bn1/mean: nothing was converted to it",
        "  extra.weight: matches 0 rules of torchvision",
        "  params/backbone/conv1/kernel: got (2, 3, 3, 16), expected (3, 3, 3, 16)",
        "  params/backbone/layer9_0/conv1/kernel: the model has no such place",
    ]


@pytest.mark.usefixtures("as_users_run_it")
def test_unknown_names_and_choices_are_errors():
    arrays = _torchvision_names("resnet_tiny")
    with pytest.raises(ValueError, match="resnet_tiny"):
        from_arrays("resnet_tyni", arrays)
    with pytest.raises(ValueError, match="head must be"):
        from_arrays("resnet_tiny", arrays, head="rest")
    with pytest.raises(ValueError, match=r"unknown naming.*torchvision, vidjax"):
        from_arrays("resnet_tiny", {"encoder.weight": np.zeros(3)})


def test_the_large_layer_of_c3d_sees_its_map_channels_last():
    from vidjax.convert.c3d import MMACTION2

    weight = np.arange(2 * 512 * 16, dtype=np.float32).reshape(2, 512 * 16)
    (kernel,) = translate({"backbone.fc6.weight": weight}, MMACTION2)[0].values()
    features = np.random.default_rng(0).standard_normal((512, 1, 4, 4))
    theirs = weight @ features.ravel()
    ours = features.transpose(1, 2, 3, 0).ravel() @ kernel
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_folding_a_scale_changes_nothing():
    from vidjax.convert.i3d import PIERGIAJ

    generator = np.random.default_rng(0)
    kernel = generator.standard_normal((4, 3, 1, 1, 1))
    scale, bias, mean = generator.standard_normal((3, 4))
    arrays = {
        "Conv3d_2b_1x1.conv3d.weight": kernel,
        "Conv3d_2b_1x1.bn.weight": scale,
        "Conv3d_2b_1x1.bn.bias": bias,
        "Conv3d_2b_1x1.bn.running_mean": mean,
        "Conv3d_2b_1x1.bn.running_var": np.ones(4),
    }
    got, problems = translate(arrays, PIERGIAJ)
    assert problems == []
    x = generator.standard_normal(3)
    theirs = scale * (kernel[..., 0, 0, 0] @ x - mean) + bias
    ours = x @ got["params/Conv3d_2b_1x1/conv/kernel"][0, 0, 0]
    ours = ours - got["batch_stats/Conv3d_2b_1x1/bn/mean"]
    ours = ours + got["params/Conv3d_2b_1x1/bn/bias"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def _deepmind_names(prefix, shape):
    """Names of DeepMind's checkpoints; statistics have the shape that `shape` gives."""
    model = create_model("i3d_rgb", num_classes=600)
    branches = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1_reduce": "Branch_1/Conv3d_0a_1x1",
        "b1": "Branch_1/Conv3d_0b_3x3",
        "b2_reduce": "Branch_2/Conv3d_0a_1x1",
        "b2": "Branch_2/Conv3d_0b_3x3",
        "b3": "Branch_3/Conv3d_0b_1x1",
    }
    leaves = {
        "kernel": "conv_3d/w",
        "bias": "batch_norm/beta",
        "mean": "batch_norm/moving_mean",
        "var": "batch_norm/moving_variance",
    }
    arrays = {}
    for path, place in abstract_variables(model, (64, 224, 224, 3)).items():
        _, stage, *rest = path.split("/")
        leaf = leaves[rest[-1]]
        if stage == "logits":
            name, leaf = (
                "Logits/Conv3d_0c_1x1",
                {"k": "conv_3d/w", "b": "conv_3d/b"}[rest[-1][0]],
            )
            array = np.zeros(place.shape)
            array = array[None, None, None] if leaf.endswith("w") else array
        else:
            branch = f"/{branches[rest[0]]}" if stage.startswith("Mixed") else ""
            if stage == "Mixed_5b" and rest[0] == "b2":  # The published slip.
                branch = "/Branch_2/Conv3d_0a_3x3"
            name = stage + branch
            array = np.zeros(place.shape if leaf == "conv_3d/w" else shape(place.shape))
        arrays[f"{prefix}{name}/{leaf}"] = array
    return arrays


@pytest.mark.parametrize("prefix", ["", "RGB/inception_i3d/"])
def test_deepmind_checkpoints_with_optimizer_slots_and_wide_statistics_fit(prefix):
    arrays = _deepmind_names(prefix, lambda shape: (1, 1, 1, 1, *shape))
    slots = {
        f"{name}/Momentum": a for name, a in arrays.items() if "moving" not in name
    }
    assert len(arrays | slots) == 346  # As rgb_scratch_kin600 has.
    variables = from_arrays("i3d_rgb", arrays | slots, num_classes=600)
    kernel = variables["params"]["logits"]["kernel"]
    assert kernel.shape == (1024, 600)


def test_converted_variables_run():
    variables = from_arrays("tsm_resnet_tiny", _torchvision_names("resnet_tiny"))
    model = create_model("tsm_resnet_tiny")
    logits, _ = jax.jit(model.apply)(variables, jnp.zeros((1, 8, 32, 32, 3)))
    assert jnp.isfinite(logits).all()


def test_a_code_base_can_be_named():
    arrays = _torchvision_names("resnet_tiny")
    for naming in ("torchvision", "TorchVision"):
        _same(
            from_arrays("tsn_resnet_tiny", arrays, naming=naming),
            from_arrays("tsn_resnet_tiny", arrays),
        )
    found = find_namings("slowfast_tiny", "slowfast")
    assert [naming.name for naming in found][:1] == ["facebookresearch/SlowFast"]
    with pytest.raises(ValueError, match=r"unknown naming.*namings of MMAction2's TSN"):
        from_arrays("tsn_resnet_tiny", arrays, naming="mmaction2")
    with pytest.raises(ValueError, match=r"no naming 'mmaction'.*It has: mit-han-lab"):
        from_arrays("tsn_resnet_tiny", arrays, naming="mmaction")


def test_weights_of_another_family_say_which():
    arrays = _torchvision_names("resnet_tiny")
    with pytest.raises(ValueError, match="names of torchvision for models of the fami"):
        from_arrays("c3d_tiny", arrays)
