import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.export import to_arrays
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models.registry import create_model, model_card

NAME = "vjepa2_tiny"


def _variables(**arguments):
    places = abstract_variables(
        create_model(NAME, **arguments), model_card(NAME).clip.shape
    )
    random = np.random.default_rng(0)
    return {
        path: random.standard_normal(place.shape).astype(np.float32)
        for path, place in places.items()
    }


def _same(found, wanted):
    found = flatten(found)
    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(found[path], array)


def test_names_of_transformers_are_read_and_written_and_the_predictor_is_left_out():
    wanted = _variables()
    arrays = to_arrays(NAME, unflatten(wanted), "transformers")
    key = arrays["pooler.cross_attention_layer.cross_attn.k_proj.weight"]
    kv = wanted["params/probe/attn/kv/kernel"]
    np.testing.assert_array_equal(key, kv[:, :64].T)
    assert "vjepa2.encoder.layer.1.attention.value.bias" in arrays
    predictor = {"vjepa2.predictor.layer.0.norm1.weight": np.ones(3)}
    _same(convert.from_arrays(NAME, arrays | predictor), wanted)


def test_the_authors_encoder_and_probe_make_one_model():
    wanted = _variables()
    arrays = to_arrays(NAME, unflatten(wanted), "facebookresearch/vjepa2")
    assert "pooler.cross_attention_block.xattn.kv.weight" in arrays
    assert arrays["blocks.1.attn.qkv.bias"].shape == (192,)
    _same(convert.from_arrays(NAME, arrays), wanted)


@pytest.mark.parametrize("entry", ["encoder", "target_encoder"])
def test_an_encoder_of_a_file_of_pre_training_is_read(tmp_path, entry):
    wanted = _variables(num_classes=0)
    arrays = to_arrays(NAME, unflatten(wanted), "facebookresearch/vjepa2")
    other = {name: np.zeros_like(array) for name, array in arrays.items()}
    state = {"encoder": other, "target_encoder": other, "predictor": {}, entry: arrays}
    flat = {
        f"{part}/module.backbone.{name}": array
        for part, own in state.items()
        for name, array in own.items()
    }
    flat[f"{entry}/module.backbone.pos_embed"] = np.ones((1, 4, 64))
    nested = {}
    for name, array in flat.items():
        part, _, own = name.partition("/")
        nested.setdefault(part, {})[own] = array
    with pytest.raises(ValueError, match="entry="):
        convert.from_arrays(NAME, nested, num_classes=0)
    found = convert.from_arrays(NAME, nested[entry], num_classes=0)
    _same(found, wanted)


def test_an_encoder_alone_gets_a_fresh_probe_and_classifier():
    wanted = _variables(num_classes=0)
    arrays = to_arrays(NAME, unflatten(wanted), "transformers")
    with pytest.raises(ValueError, match="probe/query_token: nothing"):
        convert.from_arrays(NAME, arrays)
    found = flatten(convert.from_arrays(NAME, arrays, num_classes=7, head="reset"))
    assert found.keys() == _variables().keys()
    assert found["params/logits/kernel"].shape == (64, 7)
    assert np.abs(found["params/probe/query_token"]).max() > 0
    for path, array in wanted.items():
        np.testing.assert_array_equal(found[path], array)


def test_without_classes_the_probe_of_weights_is_left_out():
    wanted = _variables()
    arrays = to_arrays(NAME, unflatten(wanted), "transformers")
    found = convert.from_arrays(NAME, arrays, num_classes=0)
    _same(found, {p: wanted[p] for p in _variables(num_classes=0)})
