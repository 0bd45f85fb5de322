import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax import convert
from vidjax.cli.main import main
from vidjax.convert.variables import flatten


@pytest.fixture(scope="module")
def image_weights(tmp_path_factory):
    """A file of weights of resnet_tiny."""
    model = vidjax.create_model("resnet_tiny")
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    path = tmp_path_factory.mktemp("weights") / "image.safetensors"
    convert.save_variables(path, variables)
    return path


def _inflate(weights, out, *flags, target="tsm_resnet_tiny"):
    arguments = ["--from", "resnet_tiny", "--to", target, "--out", str(out), *flags]
    return main(["inflate", str(weights), *arguments])


def test_the_file_loads_into_the_video_network(image_weights, tmp_path, capsys):
    out = tmp_path / "video.safetensors"
    assert _inflate(image_weights, out, target="early_fusion_resnet_tiny") == 0
    shown = capsys.readouterr().out
    assert "resnet_tiny as early_fusion_resnet_tiny, 10 classes" in shown
    assert "1 arrays given a time axis" in shown
    variables = vidjax.load_variables("early_fusion_resnet_tiny", out)
    source = vidjax.load_variables("resnet_tiny", image_weights)
    stem = variables["params"]["backbone"]["conv1"]["kernel"]
    expected = np.tile(
        source["params"]["backbone"]["conv1"]["kernel"] / 8, (1, 1, 8, 1)
    )
    np.testing.assert_allclose(stem, expected, rtol=1e-6)


def test_json_is_all_that_is_printed_and_lists_what_starts_afresh(
    image_weights, tmp_path, capsys
):
    out = tmp_path / "video.safetensors"
    assert _inflate(image_weights, out, "--num-classes", "3", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fresh"] == ["params/logits/bias", "params/logits/kernel"]
    assert report["num_classes"] == 3
    variables = vidjax.load_variables("tsm_resnet_tiny", out, num_classes=3)
    kinds = ("taken", "inflated", "widened", "fresh")
    listed = [path for kind in kinds for path in report[kind]]
    assert sorted(listed) == sorted(flatten(variables))


def test_channels_make_a_network_for_flow(image_weights, tmp_path):
    out = tmp_path / "flow.safetensors"
    assert _inflate(image_weights, out, "--channels", "10") == 0
    variables = vidjax.load_variables("tsm_resnet_tiny", out)
    assert variables["params"]["backbone"]["conv1"]["kernel"].shape == (3, 3, 10, 16)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("c3d_tiny", "networks do not match"),
        ("tsm_resnet_tny", "tsm_resnet_tiny"),
    ],
)
def test_wrong_pairs_are_one_sentence_and_leave_no_file(
    image_weights, tmp_path, capsys, target, message
):
    out = tmp_path / "video.safetensors"
    assert _inflate(image_weights, out, target=target) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_video_network_is_no_source(image_weights, tmp_path, capsys):
    flags = ["--to", "c3d_tiny", "--out", str(tmp_path / "o.safetensors")]
    code = main(["inflate", str(image_weights), "--from", "tsm_resnet_tiny", *flags])
    assert code == 1
    assert "tsm_resnet_tiny takes clips" in capsys.readouterr().err
