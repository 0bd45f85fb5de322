import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

import vidjax
from vidjax import convert
from vidjax.cli.main import main
from vidjax.convert.card import read_metadata
from vidjax.convert.variables import abstract_variables, flatten, unflatten

NAME = "resnet_tiny"


@pytest.fixture(scope="module")
def variables():
    places = abstract_variables(vidjax.create_model(NAME), (1, 32, 32, 3))
    generator = np.random.default_rng(0)
    return unflatten(
        {
            path: generator.uniform(0.5, 1.5, place.shape).astype(np.float32)
            for path, place in places.items()
        }
    )


@pytest.fixture
def weights(tmp_path, variables):
    """A file as torchvision's names have it."""
    arrays = convert.to_arrays(NAME, variables)
    arrays["bn1.num_batches_tracked"] = np.array(3)
    path = tmp_path / "torchvision.safetensors"
    safetensors.numpy.save_file(arrays, path)
    return path


def _convert(weights, out, *flags):
    return main(
        ["convert", str(weights), "--model", NAME, "--out", str(out), *map(str, flags)]
    )


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


def test_a_file_is_converted_and_says_what_it_is(tmp_path, weights, variables, capsys):
    out = tmp_path / "out.safetensors"
    assert _convert(weights, out, "--licence", "bsd-3-clause") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("torchvision.safetensors as resnet_tiny, 10 classes")
    assert lines[1:-1] == [
        "  naming   torchvision",
        "  loaded   37 arrays, 8 of them to another layout",
        "  ignored  1: bn1.num_batches_tracked",
        "  fresh    nothing",
    ]
    _same(vidjax.load_variables(NAME, out), variables)
    metadata = read_metadata(out)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert metadata["model"] == NAME
    assert metadata["vidjax"] == vidjax.__version__
    assert metadata["classes"] == "10"
    assert metadata["licence"] == "bsd-3-clause"
    assert metadata["source_sha256"] == digest
    assert json.loads(metadata["clip"])["mean"] == [0.485, 0.456, 0.406]
    assert {f.name for f in tmp_path.iterdir()} == {weights.name, out.name}


def test_a_new_classifier_is_made_only_when_asked_for(tmp_path, weights, capsys):
    out = tmp_path / "out.safetensors"
    assert _convert(weights, out, "--num-classes", 3) == 1
    assert 'head="reset" makes a new one' in capsys.readouterr().err
    assert not out.exists()
    assert _convert(weights, out, "--num-classes", 3, "--head", "reset", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_classes"] == 3
    assert found["fresh"] == ["params/logits/bias", "params/logits/kernel"]
    assert set(found["ignored"]) >= {"fc.weight", "fc.bias"}
    assert found["moves"]["conv1.weight"] == "params/backbone/conv1/kernel"
    body = vidjax.load_variables(NAME, out, num_classes=3)
    assert body["params"]["logits"]["kernel"].shape == (64, 3)
    assert read_metadata(out)["head"] == "fresh"


def test_every_move_is_shown_when_asked_for(tmp_path, weights, capsys):
    assert _convert(weights, tmp_path / "out.safetensors", "--verbose") == 0
    text = capsys.readouterr().out
    assert "conv1.weight 16x3x3x3\n    -> params/backbone/conv1/kernel 3x3x3x16" in text


def test_labels_come_from_a_file(tmp_path, weights, capsys):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {i}\n" for i in range(10)))
    out = tmp_path / "out.safetensors"
    assert _convert(weights, out, "--labels", names) == 0
    assert json.loads(read_metadata(out)["labels"])[9] == "class 9"
    assert _convert(weights, out, "--labels", "kinetics400") == 1
    assert "400 labels do not name 10 classes" in capsys.readouterr().err


def test_a_named_part_of_a_file_is_taken(tmp_path, weights, variables, capsys):
    arrays = convert.read_arrays(weights)
    both = {f"model/{k}": a for k, a in arrays.items()}
    both |= {f"model_ema/{k}": 2 * a for k, a in arrays.items()}
    from flax import serialization, traverse_util

    path = tmp_path / "both.msgpack"
    tree = traverse_util.unflatten_dict(both, sep="/")
    path.write_bytes(serialization.msgpack_serialize(tree))
    out = tmp_path / "out.safetensors"
    assert _convert(path, out) == 1
    assert 'entry="model" takes one of them' in capsys.readouterr().err
    assert _convert(path, out, "--entry", "model") == 0
    _same(vidjax.load_variables(NAME, out), variables)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--naming", "torchvison"], "no naming 'torchvison'. Did you mean 'torchvis"),
        (["--naming", "vidjax"], "unknown naming"),
        (["--out", "out.npz"], "a path that ends in .safetensors"),
        (["--model", "resnet_tyni"], "resnet_tiny"),
        (["--model", "c3d_tiny"], "of torchvision for models of the family 'resnet'"),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path, weights, capsys, flags, message):
    assert _convert(weights, tmp_path / "out.safetensors", *flags) == 1
    error = capsys.readouterr().err
    assert error.startswith("vidjax convert: ")
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out.safetensors").exists()


def test_a_missing_file_is_one_sentence(tmp_path, weights, capsys):
    missing = weights.with_name("torchvision.safetensor")
    assert _convert(missing, tmp_path / "out.safetensors") == 1
    assert "Did you mean 'torchvision.safetensors'?" in capsys.readouterr().err


def test_a_converted_file_is_refused_for_another_model(tmp_path, weights, capsys):
    out = tmp_path / "out.safetensors"
    assert _convert(weights, out) == 0
    with pytest.raises(ValueError, match="of resnet_tiny, not of tsn_resnet_tiny"):
        vidjax.load_variables("tsn_resnet_tiny", out)
    again = tmp_path / "again.safetensors"
    assert _convert(out, again, "--model", "tsn_resnet_tiny") == 1
    assert "not of tsn_resnet_tiny" in capsys.readouterr().err
