"""`vidjax cost` and `vidjax models`: tables, JSON, pictures, errors."""

import json

import pytest

from vidjax.cli.main import main
from vidjax.models.registry import list_models

# jaxtyping triples the time of tracing, and hides our own errors.
pytestmark = pytest.mark.usefixtures("unchecked")


def test_the_table_has_blocks_totals_and_the_rule(capsys):
    assert main(["cost", "tsm_resnet_tiny"]) == 0
    out = capsys.readouterr().out
    assert "backbone/layer3_0" in out
    assert "total" in out
    assert "73,370" in out
    assert "15.570" in out
    assert "tsm_resnet_tiny on one clip of 8x32x32x3; convention: macs." in out


def test_json_is_one_object_and_nothing_else(capsys):
    flags = ["--frames", "4", "--size", "48", "--batch", "2", "--json"]
    assert main(["cost", "tsm_resnet_tiny", *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clip_shape"] == [4, 48, 48, 3]
    assert found["batch"] == 2
    assert found["gmacs"] == found["macs"] / 1e9
    assert sum(row["macs"] for row in found["layers"]) == found["macs"]
    assert (
        sum(row["training_bytes"] for row in found["layers"])
        == (found["training_bytes"])
    )


def test_conventions_and_attributes_change_the_count(capsys):
    def macs(*flags):
        assert main(["cost", "tsm_resnet_tiny", "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)["macs"]

    plain = macs()
    assert macs("--convention", "pytorchvideo") > plain
    assert macs("--model-args.num_classes", "11") == plain + 8 * 64


def test_every_layer_is_shown_when_asked_for(capsys):
    assert main(["cost", "tsm_resnet50", "--frames", "1", "--size", "32"]) == 0
    joined = capsys.readouterr().out
    flags = ["--frames", "1", "--size", "32", "--layers"]
    assert main(["cost", "tsm_resnet50", *flags]) == 0
    layers = capsys.readouterr().out
    assert "backbone/layer3_5/conv2" in layers
    assert "backbone/layer3_5/conv2" not in joined
    assert "backbone/layer3_5" in joined


def test_a_picture_of_bars_is_drawn(tmp_path, capsys):
    from matplotlib import image

    path = tmp_path / "cost.png"
    assert main(["cost", "i3d_tiny", "--plot", str(path), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert image.imread(path).std() > 0.01


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["c3dd"], "Unknown model 'c3dd'"),
        (["c3d", "--frames", "0"], "four positive numbers"),
        (["c3d", "--batch", "0"], "batch must be at least 1"),
        (["i3d_rgb", "--frames", "4"], "at least"),
        (["c3d", "--model-args.hiden", "3"], "did you mean 'hidden'?"),
        (["c3d", "--model-args.hidden"], "needs a value"),
    ],
)
def test_wrong_input_is_one_sentence_and_code_1(flags, message, capsys):
    assert main(["cost", *flags]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vidjax cost: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_an_unknown_convention_is_wrong_usage(capsys):
    assert main(["cost", "c3d", "--convention", "flops"]) == 2
    assert "flops" in capsys.readouterr().err


def test_models_are_listed_with_what_was_published(capsys):
    assert main(["models", "tsm_resnet*"]) == 0
    out = capsys.readouterr().out
    names = list_models("tsm_resnet*")
    assert all(name in out for name in names)
    assert "24.33 M" in out
    assert "74.1" in out
    assert "c3d" not in out


def test_models_come_as_markdown_and_by_family(capsys):
    assert main(["models", "i3d_*", "--markdown"]) == 0
    assert "| i3d_rgb | i3d | 64x224x224x3 |" in capsys.readouterr().out
    assert main(["models", "i3d_*", "--families"]) == 0
    assert "| [i3d](docs/models.md#i3d) | 2 |" in capsys.readouterr().out


def test_no_such_model_is_an_error(capsys):
    assert main(["models", "nothing*"]) == 1
    assert "No model's name matches 'nothing*'" in capsys.readouterr().err
