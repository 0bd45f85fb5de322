"""`vidjax evaluate` measures segments of any detector, by the rules of a data set."""

import json

import pytest

from vidjax.cli.main import main


@pytest.fixture
def files(tmp_path):
    """Ground truth of two videos, proposals in them, and scores of whole videos."""
    truth = {
        name: {
            "subset": "validation",
            "annotations": [{"label": label, "label_id": i, "segment": [1.0, 5.0]}],
        }
        for i, (name, label) in enumerate({"a": "run", "b": "jump"}.items())
    }
    truth["c"] = {"subset": "training", "annotations": truth["a"]["annotations"]}
    row = {"label": "action", "score": 0.9, "segment": [1.0, 4.8]}
    found = {"a": [row], "b": [row, {**row, "score": 0.5, "segment": [7.0, 9.0]}]}
    contents = {
        "truth": {"database": truth},
        "found": {"results": found},
        "scores": {"class": ["jump", "run"], "results": {"a": [0, 1], "b": [1, 0]}},
        "numbers": {"results": {"a": [5.0, -1.0], "b": [-2.0, 4.0]}},
        "blocked": ["b"],
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return {name: str(tmp_path / f"{name}.json") for name in contents}


def _run(files, *flags, capsys):
    given = ["--predictions", files["found"], "--ground-truth", files["truth"]]
    assert main(["evaluate", *given, *flags, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_scores_of_videos_name_what_is_proposed(files, capsys):
    flags = ["--dataset", "activitynet", "--subset", "validation"]
    # Without names nothing is of a class that there is.
    assert _run(files, *flags, capsys=capsys)["average_map"] == 0
    for scores in ("scores", "numbers"):  # With names, and by the numbers of classes.
        named = ["--video-scores", files[scores]]
        result = _run(files, *flags, *named, capsys=capsys)
        # A tIoU of 0.95 is just reached.
        assert result["map"]["0.95"] == pytest.approx(1.0)
        assert result["recall"]["1x"]["0.50"] == 1.0
        assert result["policy"] == "default"


def test_each_data_set_has_its_thresholds(files, capsys):
    for dataset, levels in (("thumos14", 5), ("epic", 5), ("hacs", 10)):
        flags = ["--dataset", dataset, "--recall", "1", "3", "--policy", "opentad"]
        result = _run(files, *flags, capsys=capsys)
        assert len(result["map"]) == levels
        assert list(result["recall"]) == ["1x", "3x"]
        assert result["policy"] == "opentad"
    assert len(_run(files, "--dataset", "multithumos", capsys=capsys)["map"]) == 9


def test_proposals_are_measured_whatever_their_labels(files, capsys):
    flags = ["--dataset", "activitynet", "--subset", "validation", "--proposals"]
    result = _run(files, *flags, capsys=capsys)
    assert result["average_recall"][-1] == pytest.approx(1.0)
    blocked = _run(files, *flags, "--blocked", files["blocked"], capsys=capsys)
    assert blocked["proposals"][-1] == pytest.approx(100)


def test_the_table_says_what_the_function_does(files, capsys):
    given = ["--predictions", files["found"], "--ground-truth", files["truth"]]
    named = ["--video-scores", files["scores"]]
    flags = [*given, *named, "--dataset", "thumos14", "--subset", "validation"]
    assert main(["evaluate", *flags]) == 0
    out = capsys.readouterr().out
    assert "recall@5x" in out
    assert "100.00" in out
    assert "2 actions of 2 classes, policy default" in out
    assert main(["evaluate", *given, "--dataset", "epic", "--proposals"]) == 0
    assert "AR@100" in capsys.readouterr().out


def test_what_does_not_fit_is_one_sentence(files, tmp_path, capsys):
    given = ["--predictions", files["found"], "--ground-truth", files["truth"]]
    given += ["--dataset", "thumos14"]
    few = tmp_path / "few.json"
    few.write_text(json.dumps({"class": ["run"], "results": {"a": [1.0]}}))
    for flags, message in (
        (["--video-scores", str(few)], "1 of 2 videos have no scores, such as b"),
        (["--blocked", files["scores"] + "x"], "is no JSON list of videos"),
        (["--subset", "test"], "There is no subset 'test'"),
    ):
        assert main(["evaluate", *given, *flags]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
