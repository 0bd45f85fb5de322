"""From drawn videos to a detector of what happens in them, by commands alone."""

import dataclasses
import json

import numpy as np
import pytest

from vidjax import data
from vidjax.cli.main import main
from vidjax.data.untrimmed import UntrimmedSettings, draw_untrimmed
from vidjax.tasks.detection_data import feature_sources
from vidjax.tasks.untrimmed import write_untrimmed
from vidjax.tasks.workdir import load_workdir, read_config

SETTINGS = UntrimmedSettings(num_train=2, num_eval=1, num_frames=120, size=16)


def test_files_hold_what_was_drawn(tmp_path):
    told = []
    path = write_untrimmed(tmp_path, SETTINGS, on_video=lambda *n: told.append(n))
    assert told == [(1, 3), (2, 3), (3, 3)]
    videos = json.loads(path.read_text())["database"]
    assert list(videos) == ["training_0000", "training_0001", "validation_0000"]
    for name, split, index in (
        ("training_0001", "train", 1),
        ("validation_0000", "eval", 0),
    ):
        actions, frames = draw_untrimmed(index, split=split, settings=SETTINGS)
        file, entry = tmp_path / "videos" / f"{name}.mp4", videos[name]
        info = data.probe(file)
        assert (info.num_frames, info.fps) == (120, entry["fps"])
        assert info.duration == pytest.approx(entry["duration"])
        shown = data.read_frames(file, range(120)).astype(int)
        assert np.abs(shown - np.concatenate(list(frames))).mean() < 12
        rows = [(r["label"], *r["segment"]) for r in entry["annotations"]]
        assert rows == [(a.label, a.first / 24, a.end / 24) for a in actions]


def test_a_folder_is_finished_when_asked_again_and_never_taken_from_others(tmp_path):
    write_untrimmed(tmp_path / "a", SETTINGS)
    video = tmp_path / "a" / "videos" / "training_0000.mp4"
    content = video.read_bytes()
    video.unlink()
    write_untrimmed(tmp_path / "a", SETTINGS)
    assert video.read_bytes() == content
    with pytest.raises(ValueError, match="holds other annotations"):
        write_untrimmed(tmp_path / "a", dataclasses.replace(SETTINGS, seed=1))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("x")
    with pytest.raises(ValueError, match="holds something else"):
        write_untrimmed(tmp_path / "b", SETTINGS)
    with pytest.raises(ValueError, match="num_eval must be"):
        write_untrimmed(tmp_path / "c", dataclasses.replace(SETTINGS, num_eval=0))


def _run(command, flags):
    words = [str(word) for pair in flags.items() for word in pair]
    assert main([*command.split(), *words]) == 0


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """The commands of docs/localization.md, "The whole chain", with less of all."""
    folder = tmp_path_factory.mktemp("chain")
    drawn = {"--untrimmed.num-train": 24, "--untrimmed.num-eval": 8}
    drawn |= {"--untrimmed.num-frames": 240, "--untrimmed.size": 16}
    command = "prepare synthetic_untrimmed --untrimmed.classes left approach"
    _run(command, {"--out": folder / "untrimmed", **drawn})
    recognition = {
        "--workdir": folder / "recognition",
        "--data.source": f"activitynet:{folder / 'untrimmed'}",
        "--data.size": 16,
        "--data.batch-size": 16,
        "--data.eval-batch-size": 16,
        "--optim.warmup-steps": 5,
        **dict.fromkeys(("--steps", "--eval-every", "--save-every"), 40),
    }
    _run("train untrimmed_recognition", recognition)
    videos = sorted((folder / "untrimmed" / "videos").glob("*.mp4"))
    features = {"--workdir": folder / "recognition", "--out": folder / "features"}
    features |= {"--window": 8, "--stride": 4, "--batch": 32}
    _run(" ".join(["features", *map(str, videos)]), features)
    detector = {
        "--workdir": folder / "detector",
        "--features.folder": folder / "features",
        "--features.annotations": folder / "untrimmed" / "annotations.json",
        "--features.length": 60,
        "--optim.learning-rate": 0.01,
        "--optim.warmup-steps": 10,
        "--optim.average-decay": 0.95,
        **dict.fromkeys(("--steps", "--eval-every", "--save-every"), 150),
    }
    _run("train untrimmed_actionformer", detector)
    return folder


def test_the_whole_chain_finds_actions_in_videos_it_has_not_seen(chain):
    result = json.loads((chain / "detector" / "result.json").read_text())
    assert result["metrics"]["examples"] == 8
    assert result["metrics"]["map_0.50"] > 0.5
    # The run says how to make the features of another video.
    made = load_workdir(chain / "detector").features
    assert (made.window, made.stride, made.streams[0].model) == (8, 4, "c3d_tiny")


def test_a_run_is_tested_by_the_command_and_by_what_it_found(chain, capsys):
    folder, truth = chain / "detector", chain / "untrimmed" / "annotations.json"
    features = {"--features.folder": chain / "features", "--features.length": 60}
    features |= {"--workdir": folder, "--features.annotations": truth}
    _run("evaluate untrimmed_actionformer --json", features)
    found = json.loads(capsys.readouterr().out)
    best = json.loads((folder / "result.json").read_text())["best_metrics"]
    assert found["average_map"] == pytest.approx(best["average_map"], abs=1e-6)
    files = {"--predictions": folder / "predictions.json", "--ground-truth": truth}
    _run("evaluate --dataset thumos14 --subset validation --json", files)
    again = json.loads(capsys.readouterr().out)
    assert again["average_map"] == pytest.approx(found["average_map"], abs=1e-6)

    # What does not fit is one sentence.
    flags = [str(word) for pair in features.items() for word in pair]
    for more, message in (
        (["--weights", "x"], "Give either workdir or weights."),
        (
            ["--model", "tridet_tiny"],
            "holds actionformer_tiny for ('left'",
        ),
    ):
        assert main(["evaluate", "untrimmed_actionformer", *flags, *more]) == 1
        assert message in capsys.readouterr().err


def _told(source, shift):
    """Share of what happens that features tell, were it `shift` steps later."""
    rows, happens = [], []
    for index in range(source.num_examples):
        example = source.example(index)
        steps = np.arange(len(example.features))[:, None] - shift
        inside = (steps >= example.segments[:, 0]) & (steps <= example.segments[:, 1])
        rows.append(example.features)
        happens.append(inside.any(axis=1))
    x = np.pad(np.concatenate(rows), ((0, 0), (0, 1)), constant_values=1.0)
    y = np.concatenate(happens).astype(float)
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - rest.var() / y.var()


def test_features_and_annotations_lie_at_the_same_time(chain):
    # A detector would learn a shift that training and test share; this would not.
    source, _, _ = feature_sources(read_config(chain / "detector"))
    told = {shift: _told(source, shift) for shift in range(-4, 5)}
    assert max(told, key=told.get) == 0
    assert told[0] > 0.3
