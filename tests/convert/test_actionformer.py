"""Published files of detectors load strictly, the moving average first."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.export import to_arrays
from vidjax.convert.variables import flatten
from vidjax.models.registry import create_model, model_card

NAMINGS = {
    "actionformer_tiny": "happyharrycn/actionformer_release",
    "tridet_tiny": "dingfengshi/TriDet",
}
TINY = pytest.mark.parametrize("name", sorted(NAMINGS))


def _arrays(name, seed):
    """Arrays as the published code calls them."""
    features = jnp.zeros((1, *model_card(name).clip.shape))
    variables = jax.jit(create_model(name).init)(jax.random.key(seed), features)
    return to_arrays(name, variables, naming=NAMINGS[name])


def _published(path, name):
    """A file as training writes it: last weights and their average, DataParallel's."""
    states = {
        key: {f"module.{n}": a for n, a in _arrays(name, seed).items()}
        for seed, key in enumerate(("state_dict", "state_dict_ema"))
    }
    path.write_bytes(pickle.dumps({"epoch": 35, "optimizer": {"lr": 1}, **states}))
    return states


@TINY
def test_the_moving_average_is_what_is_loaded(name, tmp_path):
    path = tmp_path / "epoch_035.pth.tar.pkl"
    states = _published(path, name)
    for entry, key in ((None, "state_dict_ema"), ("state_dict", "state_dict")):
        loaded = flatten(convert.load_variables(name, path, entry=entry))
        expected = flatten(convert.from_arrays(name, states[key]))
        assert loaded.keys() == expected.keys()
        for place, array in loaded.items():
            np.testing.assert_array_equal(array, expected[place])


@TINY
def test_a_name_too_many_or_too_few_is_an_error(name):
    arrays = _arrays(name, 0)
    arrays["backbone.rel_pe"] = arrays.pop("reg_head.scale.0.scale")
    with pytest.raises(ValueError, match="rel_pe") as error:
        convert.from_arrays(name, arrays)
    assert "offset_scale_0" in str(error.value)


@TINY
def test_norms_of_another_shape_are_an_error(name):
    arrays = _arrays(name, 0)
    arrays["neck.fpn_norms.0.bias"] = arrays["neck.fpn_norms.0.bias"][0]
    with pytest.raises(ValueError, match=r"\[1, C, 1\]"):
        convert.from_arrays(name, arrays)


@TINY
def test_features_may_have_any_number_of_channels(name):
    arrays = _arrays(name, 0)
    first = arrays["backbone.embd.0.conv.weight"]
    arrays["backbone.embd.0.conv.weight"] = np.repeat(first, 2, axis=1)
    variables = convert.from_arrays(name, arrays)
    assert variables["params"]["embed"]["conv_0"]["kernel"].shape[-2] == 32
