import json
import pathlib

import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.backward import restore
from vidjax.convert.foreign import find_naming
from vidjax.convert.mvit import MMACTION2, PYTORCHVIDEO, SLOWFAST, TORCHVISION
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model

CASES = pathlib.Path(__file__).parent.parent / "parity" / "cases"
PUBLISHED = [
    ("torchvision__mvit_v2_s", "mvit_v2_s", TORCHVISION),
    ("pytorchvideo__mvit_base_16x4", "mvit_v1_b", PYTORCHVIDEO),
    ("slowfast__MVIT_B_16x4", "mvit_v1_b", SLOWFAST),
    ("mmaction2__mvit_small", "mvit_v2_s", MMACTION2),
]


def _arrays(case):
    """Arrays of noise, named and shaped as in a published checkpoint."""
    with np.load(CASES / f"{case}.npz") as file:
        tensors = json.loads(file["spec"].tobytes())["tensors"]
    rng = np.random.default_rng(0)
    return {n: rng.normal(size=shape).astype(np.float32) for n, shape, _ in tensors}


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path, array in left.items():
        np.testing.assert_array_equal(array, right[path], path)


@pytest.mark.parametrize(("case", "name", "naming"), PUBLISHED)
def test_each_code_base_is_told_by_its_names(case, name, naming):
    assert find_naming(name, _arrays(case)) is naming


def _apart(arrays):
    """Weights from before queries, keys and values shared a layer."""
    old = {}
    for name, array in arrays.items():
        if ".qkv." in name:
            for part, rows in zip("qkv", np.split(array, 3), strict=True):
                old[name.replace(".qkv.", f".{part}.")] = rows
        else:
            old[name] = array
    return old


def test_old_files_of_slowfast_with_three_layers_give_the_same():
    arrays = _arrays("slowfast__MVIT_B_16x4")
    old = _apart(arrays)
    assert len(old) == len(arrays) + 4 * 16
    _same(*(convert.from_arrays("mvit_v1_b", a) for a in (old, arrays)))


def test_modules_that_pytorchvideo_saves_twice_must_agree():
    arrays = _arrays("pytorchvideo__mvit_base_16x4")
    variables = convert.from_arrays("mvit_v1_b", arrays)
    twice = dict(arrays)
    for name in arrays:
        for part in "qkv":
            for what in ("pool", "norm"):
                old = f"attn.{what}_{part}."
                new = f"attn._attention_pool_{part}.{what}."
                if old in name:
                    twice[name.replace(old, new)] = arrays[name]
    assert len(twice) > len(arrays) + 3 * 32
    _same(convert.from_arrays("mvit_v1_b", twice), variables)
    wrong = "blocks.3.attn._attention_pool_k.norm.bias"
    with pytest.raises(ValueError, match=wrong):
        convert.from_arrays("mvit_v1_b", {**twice, wrong: twice[wrong] + 1})


def test_layers_before_a_norm_are_scaled_to_its_epsilon_in_pytorchvideo():
    """Block 0 does not pool its queries, so they meet no norm."""
    arrays = _arrays("pytorchvideo__mvit_base_16x4")
    params = convert.from_arrays("mvit_v1_b", arrays)["params"]
    kernel = params["blocks_0"]["attn"]["qkv"]["kernel"]
    parts = zip("qkv", np.split(kernel, 3, axis=1), strict=True)
    for part, found in parts:
        source = arrays[f"blocks.0.attn.{part}.weight"].T
        factor = 1.0 if part == "q" else np.sqrt(0.1)
        np.testing.assert_allclose(found, factor * source, rtol=1e-6)
    bias = params["blocks_1"]["attn"]["qkv"]["bias"][:192]
    source = arrays["blocks.1.attn.q.bias"]
    np.testing.assert_allclose(bias, np.sqrt(0.1) * source, rtol=1e-6)


def test_class_tokens_of_torchvision_gain_two_axes():
    arrays = _arrays("torchvision__mvit_v2_s")
    token = convert.from_arrays("mvit_v2_s", arrays)["params"]["cls_token"]
    assert token.shape == (1, 1, 96)
    np.testing.assert_array_equal(token[0, 0], arrays["pos_encoding.class_token"])


@pytest.mark.parametrize(
    "name", ["mvit_v1_b_32x3", "mvit_v1_b_32x3_slowfast", "mvit_v2_s_maskfeat"]
)
def test_every_variant_has_a_name_for_every_place(name):
    model = create_model(name)
    places = abstract_variables(model, (4, 32, 32, 3))
    variables = {path: np.zeros(p.shape, np.float32) for path, p in places.items()}
    assert len(restore(variables, SLOWFAST)) == len(places)
    named = restore(variables, TORCHVISION)
    assert len(named) == len(places)
    assert named["pos_encoding.class_token"].shape == (model.layout.width,)
    if model.layout.relative:
        assert len(restore(variables, MMACTION2)) == len(places)
    else:
        assert named["pos_encoding.spatial_pos"].shape == (3136, 96)
        assert named["pos_encoding.temporal_pos"].shape == (
            model.layout.frames // 2,
            96,
        )
