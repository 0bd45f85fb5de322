"""Names of vision transformers: there and back, traps, and tables for other clips."""

import jax
import numpy as np
import pytest

from vidjax.convert import from_arrays, to_arrays
from vidjax.convert.foreign import namings
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models.registry import create_model, model_card
from vidjax.ops.position import sines_and_cosines

TINY = {
    "vit_tiny": ["torchvision", "timm"],
    "frame_average_vit_tiny": ["torchvision", "timm"],
    "timesformer_tiny": ["facebookresearch/TimeSformer", "transformers", "MMAction2"],
    "timesformer_joint_tiny": [
        "facebookresearch/TimeSformer",
        "transformers",
        "MMAction2's undivided",
    ],
    "timesformer_space_tiny": [
        "facebookresearch/TimeSformer",
        "transformers",
        "MMAction2's undivided",
    ],
    "videomae_tiny": [
        "MCG-NJU/VideoMAE",
        "transformers",
        "transformers, version 4",
        "MMAction2",
    ],
    "videomae_pretrain_tiny": [
        "MCG-NJU/VideoMAE",
        "transformers",
        "transformers, version 4",
    ],
}
PAIRS = [(name, naming) for name, known in TINY.items() for naming in known]


def _variables(name, clip_shape=None):
    """Random numbers for every place of a model."""
    random = np.random.default_rng(0)
    places = abstract_variables(
        create_model(name), clip_shape or model_card(name).clip.shape
    )
    return unflatten(
        {
            path: random.standard_normal(place.shape).astype(np.float32)
            for path, place in places.items()
        }
    )


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


@pytest.mark.parametrize(("name", "naming"), PAIRS)
def test_weights_go_to_other_names_and_come_back(name, naming):
    variables = _variables(name)
    arrays = to_arrays(name, variables, naming)
    _same(from_arrays(name, arrays), variables)


@pytest.mark.parametrize(("name", "naming"), PAIRS)
def test_a_missing_and_a_superfluous_array_are_errors(name, naming):
    arrays = to_arrays(name, _variables(name), naming)
    first = next(key for key in arrays if "patch" in key or "conv_proj" in key)
    kept = arrays.pop(first)
    with pytest.raises(ValueError, match=r"patch_embed.*nothing was converted"):
        from_arrays(name, arrays, naming=naming)
    with pytest.raises(ValueError, match="one_more: matches 0 rules"):
        from_arrays(name, {**arrays, first: kept, "one_more": kept}, naming=naming)


def test_files_of_torchvision_from_before_its_0_13_have_other_names_of_mlps():
    variables = _variables("vit_tiny")
    arrays = to_arrays("vit_tiny", variables)
    old = {
        key.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): array
        for key, array in arrays.items()
    }
    assert old.keys() != arrays.keys()
    _same(from_arrays("vit_tiny", old), variables)


def test_published_wrappers_and_prefixes_are_taken_off():
    variables = _variables("timesformer_tiny")
    arrays = to_arrays("timesformer_tiny", variables, "facebookresearch/TimeSformer")
    wrapped = {"model_state": {f"model.{k}": a for k, a in arrays.items()}, "epoch": 3}
    _same(from_arrays("timesformer_tiny", wrapped), variables)
    variables = _variables("videomae_tiny")
    arrays = to_arrays("videomae_tiny", variables, "MCG-NJU/VideoMAE")
    _same(from_arrays("videomae_tiny", {"module": arrays}), variables)


def test_divided_and_undivided_weights_do_not_pass_for_each_other():
    divided = to_arrays("timesformer_tiny", _variables("timesformer_tiny"), "MMAction2")
    with pytest.raises(ValueError, match="no such place"):
        from_arrays("timesformer_joint_tiny", divided)
    name = "timesformer_joint_tiny"
    joint = to_arrays(name, _variables(name), "transformers")
    with pytest.raises(ValueError, match=r"temporal_fc.*nothing was converted"):
        from_arrays("timesformer_tiny", joint)


@pytest.mark.parametrize(
    ("name", "made_for"),
    [
        ("vit_tiny", (1, 64, 64, 3)),
        ("timesformer_tiny", (5, 48, 48, 3)),
        ("timesformer_space_tiny", (8, 48, 48, 3)),
    ],
)
def test_weights_for_other_clips_are_taken_as_they_are(name, made_for):
    variables = _variables(name, made_for)
    arrays = to_arrays(name, variables, next(iter(namings(name))))
    _same(from_arrays(name, arrays), variables)


def test_images_of_another_size_take_a_table_resized_by_cubics():
    variables = _variables("vit_tiny")
    table = variables["params"]["pos_embed"]
    # A plane: away from the edges, which go on flat, cubics keep it.
    rows, columns = np.mgrid[:4, :4]
    table[0, 1:] = (rows + 10.0 * columns).reshape(16, 1)
    arrays = to_arrays("vit_tiny", variables)
    got = from_arrays("vit_tiny", arrays, clip_shape=(1, 56, 32, 3))
    resized = got["params"]["pos_embed"]
    assert resized.shape == (1, 1 + 7 * 4, 48)
    np.testing.assert_array_equal(resized[:, 0], table[:, 0])
    grid = resized[0, 1:, 0].reshape(7, 4)
    np.testing.assert_allclose(grid[::2], rows + 10.0 * columns, atol=1e-5)
    np.testing.assert_allclose(grid[3] - grid[0], 1.5, atol=1e-5)
    # torch.nn.functional.interpolate: a = -0.75, so the edge counts -0.09375.
    weights = np.array([-0.09375 + 0.59375, 0.59375, -0.09375])
    np.testing.assert_allclose(grid[1, 0], weights @ [0.0, 1.0, 2.0], atol=1e-5)


def test_timesformers_table_is_resized_along_the_flattened_grid_when_it_is_loaded():
    name = "timesformer_tiny"
    variables = _variables(name)
    params = variables["params"]
    arrays = to_arrays(name, variables, "transformers")
    got = from_arrays(name, arrays, clip_shape=(12, 64, 64, 3))["params"]
    np.testing.assert_array_equal(got["pos_embed"][:, 0], params["pos_embed"][:, 0])
    places = got["pos_embed"][0, 1:]
    # 16 places in a row become 64 in a row: each stands four times, side by side.
    np.testing.assert_array_equal(places, params["pos_embed"][0, 1:].repeat(4, axis=0))
    times = got["time_embed"][0]
    nearest = [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7]
    np.testing.assert_array_equal(times, params["time_embed"][0, nearest])


def test_query_and_value_have_a_bias_and_the_key_has_none():
    name = "videomae_tiny"
    variables = _variables(name)
    attn = variables["params"]["blocks_1"]["attn"]
    prefix = "videomae.encoder.layer.1.attention.attention"
    new = to_arrays(name, variables, "transformers")
    old = to_arrays(name, variables, "transformers, version 4")
    for part, column in (("query", 0), ("value", 2)):
        bias = attn[f"{part[0]}_bias"]
        np.testing.assert_array_equal(new[f"{prefix}.{part}.bias"], bias)
        np.testing.assert_array_equal(old[f"{prefix}.{part[0]}_bias"], bias)
        kernel = attn["qkv"]["kernel"][:, 48 * column : 48 * (column + 1)]
        np.testing.assert_array_equal(new[f"{prefix}.{part}.weight"], kernel.T)
    assert f"{prefix}.key.weight" in new
    assert f"{prefix}.key.bias" not in new
    # Early transformers 5 dropped these biases in silence.
    del new[f"{prefix}.query.bias"]
    with pytest.raises(ValueError, match="q_bias: nothing was converted"):
        from_arrays(name, new)


def test_a_stored_table_is_dropped_if_it_is_the_fixed_one_and_used_if_not():
    name = "videomae_tiny"
    variables = _variables(name)
    arrays = to_arrays(name, variables, "MMAction2")
    fixed = sines_and_cosines(64, 48)
    _same(from_arrays(name, {**arrays, "backbone.pos_embed": fixed}), variables)
    own = from_arrays(name, {**arrays, "backbone.pos_embed": 2 * fixed})
    np.testing.assert_array_equal(own["params"].pop("pos_embed"), 2 * fixed)
    _same(own, variables)
    own["params"]["pos_embed"] = 2 * fixed
    _same(from_arrays(name, to_arrays(name, own, "MMAction2")), own)
    _same(from_arrays(name, flatten(own)), own)


def test_transformers_masked_autoencoder_may_have_no_norm_behind_its_encoder():
    name = "videomae_pretrain_tiny"
    variables = _variables(name)
    arrays = to_arrays(name, variables, "transformers")
    bare = {key: a for key, a in arrays.items() if "videomae.layernorm" not in key}
    assert len(bare) == len(arrays) - 2
    got = from_arrays(name, bare)
    del variables["params"]["norm"]
    _same(got, variables)
    _same(from_arrays(name, flatten(got)), got)
    original = to_arrays(name, _variables(name), "MCG-NJU/VideoMAE")
    del original["encoder.norm.weight"], original["encoder.norm.bias"]
    with pytest.raises(ValueError, match="params/norm/scale: nothing was converted"):
        from_arrays(name, original)
    model = create_model(name)
    clip = np.ones((1, 8, 32, 32, 3), np.float32)
    assert jax.eval_shape(model.apply, got, clip)[0].shape == (1, 384)


@pytest.mark.parametrize(
    "naming", ["MCG-NJU/VideoMAE", "transformers", "transformers, version 4"]
)
def test_a_masked_autoencoders_encoder_begins_a_classifier(naming):
    variables = _variables("videomae_pretrain_tiny")
    arrays = to_arrays("videomae_pretrain_tiny", variables, naming)
    got = from_arrays("videomae_tiny", arrays, head="reset")["params"]
    for part in ("patch_embed", "blocks_0", "blocks_2"):
        _same({"p": got[part]}, {"p": variables["params"][part]})
    np.testing.assert_array_equal(got["fc_norm"]["scale"], np.ones(48))
    np.testing.assert_array_equal(got["fc_norm"]["bias"], np.zeros(48))
    with pytest.raises(ValueError, match="params/logits/kernel: nothing was converted"):
        from_arrays("videomae_tiny", arrays)
