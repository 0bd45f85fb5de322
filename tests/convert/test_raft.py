"""The authors' names of RAFT; torchvision's are tested on its own numbers."""

import json
import pathlib
import re

import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.variables import flatten

CASES = pathlib.Path(__file__).parents[1] / "parity" / "cases"


def _torchvision(name):
    with np.load(CASES / f"torchvision__{name}.npz") as file:
        spec = json.loads(file["spec"].tobytes())
    generator = np.random.default_rng(0)
    return {
        tensor: generator.standard_normal(shape).astype(np.float32)
        for tensor, shape, _ in spec["tensors"]
    }


# From torchvision's names to those of core/extractor.py and core/update.py.
_NAMES = (
    (r"^feature_encoder", "fnet"),
    (r"^context_encoder", "cnet"),
    (r"^(.net)\.conv\.", r"\1.conv2."),
    (r"^(.net)\.convnormrelu\.0", r"\1.conv1"),
    (r"^(.net)\.convnormrelu\.1", r"\1.norm1"),
    (r"convnormrelu(\d)\.0", r"conv\1"),
    (r"convnormrelu(\d)\.1", r"norm\1"),
    (r"motion_encoder\.convcorr(\d)\.0", r"encoder.convc\1"),
    (r"motion_encoder\.convflow(\d)\.0", r"encoder.convf\1"),
    (r"motion_encoder\.conv\.0", "encoder.conv"),
    (r"recurrent_block\.convgru(\d)\.(conv.)", r"gru.\2\1"),
    (r"^mask_predictor\.convrelu\.0", "update_block.mask.0"),
    (r"^mask_predictor\.conv", "update_block.mask.2"),
)


def _princeton(arrays, small):
    renamed = {}
    for name, array in arrays.items():
        for pattern, template in _NAMES:
            name = re.sub(pattern, template, name)
        renamed[re.sub(r"(gru\.conv.)1", r"\1", name) if small else name] = array
    for name in [name for name in renamed if "cnet" in name and "downsample.1" in name]:
        renamed[name.replace("downsample.1", "norm3")] = renamed[name]
    counters = {
        re.sub("running_mean$", "num_batches_tracked", name): np.array(7)
        for name in renamed
        if name.endswith("running_mean")
    }
    return {f"module.{name}": array for name, array in (renamed | counters).items()}


@pytest.mark.parametrize("name", ["raft_large", "raft_small"])
def test_the_authors_names_lead_where_torchvisions_do(name):
    arrays = _torchvision(name)
    expected = flatten(convert.from_arrays(name, arrays))
    theirs = _princeton(arrays, small=name == "raft_small")

    found = flatten(convert.from_arrays(name, theirs))

    assert found.keys() == expected.keys()
    for path in found:
        np.testing.assert_array_equal(found[path], expected[path])


def test_a_shortcuts_norm_that_differs_from_its_copy_is_refused():
    theirs = _princeton(_torchvision("raft_large"), small=False)
    name = "module.cnet.layer2.0.norm3.weight"
    theirs[name] = theirs[name] + 1
    with pytest.raises(ValueError, match=r"norm3\.weight.*downsample\.1\.weight"):
        convert.from_arrays("raft_large", theirs)


def test_a_missing_tensor_and_one_too_many_are_named_together():
    arrays = _torchvision("raft_small")
    arrays["feature_encoder.extra.weight"] = np.zeros(3, np.float32)
    del arrays["update_block.flow_head.conv2.bias"]
    with pytest.raises(ValueError, match=r"(?s)extra.*update/flow_head2/bias"):
        convert.from_arrays("raft_small", arrays)


@pytest.mark.parametrize("name", ["raft_large", "raft_small"])
def test_both_namings_can_be_written(name):
    arrays = _torchvision(name)
    variables = convert.from_arrays(name, arrays)
    again = convert.to_arrays(name, variables)
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[key], arrays[key]) for key in arrays)
