import json
import pathlib

import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.backward import restore
from vidjax.convert.foreign import find_naming
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.convert.video_swin import IMAGE, MMACTION2, ORIGINAL, TORCHVISION
from vidjax.models.registry import create_model, list_models

CASES = pathlib.Path(__file__).parent.parent / "parity" / "cases"
ORIGINAL_CASE = "video_swin__tiny_patch244_window877_k400_1k"
NAMINGS = {
    "torchvision__swin3d_t": TORCHVISION,
    ORIGINAL_CASE: ORIGINAL,
    "mmaction2__swin_tiny": MMACTION2,
}


def _arrays(case):
    """Arrays of zeros, named and shaped as in a published checkpoint."""
    with np.load(CASES / f"{case}.npz") as file:
        tensors = json.loads(file["spec"].tobytes())["tensors"]
    return {name: np.zeros(shape, np.float32) for name, shape, _ in tensors}


@pytest.mark.parametrize("case", NAMINGS)
def test_each_code_base_is_told_by_its_names(case):
    assert find_naming("swin3d_t", _arrays(case)) is NAMINGS[case]


def test_indices_of_positions_are_made_here_and_not_read():
    arrays = _arrays(ORIGINAL_CASE)
    index = "backbone.layers.0.blocks.0.attn.relative_position_index"
    arrays[index] = np.zeros((392, 392), int)
    convert.from_arrays("swin3d_t", arrays)


@pytest.mark.parametrize("name", list_models("swin3d_[tsbl]*"))
def test_every_variant_has_a_name_for_every_place_in_all_code_bases(name):
    model = create_model(name)
    places = abstract_variables(model, (4, 32, 32, 3))
    variables = {path: np.zeros(p.shape, np.float32) for path, p in places.items()}
    merges = len(model.layout.depths) - 1
    count = 13 * sum(model.layout.depths) + 3 * merges + 8
    for naming in (ORIGINAL, MMACTION2, TORCHVISION):
        assert len(restore(variables, naming)) == len(places) == count


def test_wide_windows_have_longer_tables():
    places = abstract_variables(create_model("swin3d_b_ssv2"), (4, 32, 32, 3))
    table = places["params/layer1_0/relative_position_bias_table"]
    assert table.shape == (31 * 13 * 13, 4)


def _image_weights():
    """Weights of microsoft/Swin-Transformer for our Swin-T, filled with noise."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, array in _arrays(ORIGINAL_CASE).items():
        name = name.removeprefix("backbone.").replace("cls_head.fc_cls", "head")
        shape = array.shape
        if name == "patch_embed.proj.weight":
            shape = (96, 3, 4, 4)
        elif name.endswith("relative_position_bias_table"):
            shape = (169, shape[1])
        arrays[name] = rng.normal(0, 0.05, shape).astype(np.float32)
    arrays["layers.0.blocks.1.attn_mask"] = np.zeros((64, 49, 49), np.float32)
    arrays["layers.0.blocks.1.attn.relative_position_index"] = np.zeros((49, 49), int)
    return arrays


def test_image_weights_are_spread_over_time():
    arrays = _image_weights()
    assert find_naming("swin3d_t", arrays) is IMAGE
    flat = flatten(convert.from_arrays("swin3d_t", arrays))
    kernel = flat["params/patch_embed/kernel"]
    want = arrays["patch_embed.proj.weight"].transpose(2, 3, 1, 0) / 2
    np.testing.assert_array_equal(kernel, np.stack([want, want]))
    table = flat["params/layer3_5/relative_position_bias_table"].reshape(15, 169, 12)
    source = arrays["layers.2.blocks.5.attn.relative_position_bias_table"]
    assert all(np.array_equal(rows, source) for rows in table)
