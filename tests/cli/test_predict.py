"""`vidjax predict`: models trained on a folder of videos, and published weights."""

import json

import pytest

from vidjax.cli.main import main
from vidjax.data.buckets import BucketPath
from vidjax.localization import read_score_labels, read_video_scores


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, video_folder):
    """A network trained for two steps on a folder of videos."""
    folder = tmp_path_factory.mktemp("run")
    config = folder / "mine.py"
    config.write_text(
        "from vidjax.config import Config, DataConfig, OptimConfig\n"
        "def get_config():\n"
        "    return Config(\n"
        "        model='tsm_resnet_tiny',\n"
        f"        data=DataConfig(source='folder:{video_folder}', batch_size=8),\n"
        "        optim=OptimConfig(learning_rate=0.01), steps=2)\n"
    )
    assert main(["train", str(config), "--workdir", str(folder / "run")]) == 0
    return folder / "run"


def test_a_model_trained_on_a_folder_uses_its_label_names(
    workdir, video_folder, capsys
):
    there = BucketPath("ram://predict/clip 0.mp4")
    there.parent.mkdir()
    there.write_bytes((video_folder / "right" / "clip 0.mp4").read_bytes())
    videos = [str(video_folder / "left" / "clip 0.mp4"), str(there)]
    assert main(["predict", *videos, "--workdir", str(workdir), "--json"]) == 0
    streams = capsys.readouterr()
    results = json.loads(streams.out)
    assert [result["path"] for result in results] == videos
    for result in results:
        labels = [p["label"] for p in result["predictions"]]
        assert sorted(labels) == ["left", "right"]
        assert sum(p["probability"] for p in result["predictions"]) == pytest.approx(
            1, abs=1e-5
        )
    assert streams.err == ""


def test_a_broken_video_is_one_sentence_and_the_others_are_labelled(
    workdir, video_folder, tmp_path, capsys
):
    text = tmp_path / "no video.mp4"
    text.write_text("hello")
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    good = video_folder / "left" / "clip 1.mp4"
    missing = tmp_path / "missing.mp4"
    paths = [str(p) for p in (text, good, empty, missing)]
    assert main(["predict", *paths, "--workdir", str(workdir), "--json"]) == 1
    streams = capsys.readouterr()
    results = json.loads(streams.out)
    assert ["error" in result for result in results] == [True, False, True, True]
    lines = streams.err.strip().splitlines()
    assert len(lines) == 3
    for line, path in zip(lines, (text, empty, missing), strict=True):
        assert str(path) in line
        assert "Traceback" not in line


def test_the_plot_is_written(workdir, video_folder, tmp_path, capsys):
    picture = tmp_path / "deep" / "labels.png"
    video = str(video_folder / "left" / "clip 2.mp4")
    flags = ["--workdir", str(workdir), "--plot", str(picture), "--top", "1"]
    assert main(["predict", video, *flags]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    out = capsys.readouterr().out.splitlines()
    assert out[0] == video
    assert len(out) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give --model and --weights, or --workdir"),
        (["--model", "i3d_rgb"], "Give --model and --weights"),
        (["--model", "i3d_rbg", "--weights", "kinetics400"], "i3d_rgb"),
        (["--model", "i3d_rgb", "--weights", "kinetics40"], "'kinetics400'"),
        (["--model", "resnet50", "--weights", "imagenet"], "download.pytorch.org"),
    ],
)
def test_wrong_flags_are_one_sentence(flags, message, video_folder, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    assert main(["predict", video, *flags]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_a_workdir_already_says_the_model(workdir, video_folder, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    flags = ["--workdir", str(workdir), "--model", "c3d"]
    assert main(["predict", video, *flags]) == 1
    assert "--workdir already says" in capsys.readouterr().err


def test_scores_of_all_classes_are_written_for_the_evaluation_of_proposals(
    workdir, video_folder, tmp_path
):
    video, out = video_folder / "left" / "clip 0.mp4", tmp_path / "scores.json"
    flags = ["--workdir", str(workdir), "--top", "1", "--scores", str(out)]
    assert main(["predict", str(video), *flags]) == 0
    assert read_score_labels(out) == ("left", "right")
    scores = read_video_scores(out)
    assert list(scores) == ["clip 0"]
    assert scores["clip 0"].sum() == pytest.approx(1, abs=1e-5)
