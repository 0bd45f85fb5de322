"""`vidjax localize`: one sentence for what is wrong, and nothing but JSON if asked."""

import json

import jax
import pytest

from vidjax.cli.main import main
from vidjax.convert import save_variables
from vidjax.models.registry import clip_spec, create_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = create_model("c3d_tiny")
    clip = jax.numpy.zeros((1, *clip_spec("c3d_tiny").shape))
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_variables(path, jax.jit(model.init)(jax.random.key(0), clip))
    return ["--model", "c3d_tiny", "--weights", str(path)]


def test_json_is_one_array_and_nothing_else(video_folder, weights, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    assert main(["localize", video, *weights, "--json"]) == 0
    for row in json.loads(capsys.readouterr().out):
        assert set(row) == {"start", "end", "label", "score"}


def test_a_page_a_picture_and_clips_are_made(video_folder, weights, tmp_path, capsys):
    video = video_folder / "left" / "clip 0.mp4"
    page, picture, clips = (tmp_path / n for n in ("page.html", "plot.png", "clips"))
    outputs = ["--html", str(page), "--plot", str(picture), "--clip-out", str(clips)]
    arguments = [str(video), *weights, "--min-score", "0", *outputs]
    assert main(["localize", *arguments]) == 0
    # A video of half a second, and weights that know nothing: little stands out.
    rows = [line for line in capsys.readouterr().out.splitlines() if "class " in line]
    assert f"{len(rows)} action" in page.read_text()
    assert "found by c3d_tiny" in page.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(list(clips.iterdir())) == len(rows) > 0


def test_what_is_wrong_is_one_sentence(video_folder, weights, tmp_path, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    for arguments, told in (
        ([video], "model and weights; the workdir"),
        ([str(tmp_path / "missing.mp4"), *weights], "does not exist"),
        ([video, *weights, "--stride", "0"], "at least 1"),
        ([video, *weights, "--html", "page.pdf"], "must end in .html"),
        ([video, *weights, "--clip-out", str(video_folder)], "is not empty"),
        ([*weights, "--plot", "plot.png"], "need the video"),
    ):
        assert main(["localize", *arguments]) == 1
        error = capsys.readouterr().err
        assert told in error
        assert len(error.strip().splitlines()) == 1
