"""Logs survive what happens to processes."""

import json
import subprocess
import sys

import pytest

from vidjax.train import log
from vidjax.train.log import MetricsLog, describe_run, read_metrics, write_json


def _steps(path):
    return [line["step"] for line in read_metrics(path)]


def test_lines_hold_step_group_and_metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics:
        metrics.write(10, {"loss": 1.5}, group="train")

    assert path.read_text() == '{"step": 10, "group": "train", "loss": 1.5}\n'


def test_a_line_is_in_the_file_as_soon_as_it_is_written(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics:
        metrics.write(1, {}, group="train")
        assert _steps(path) == [1]


def test_a_resumed_run_drops_what_is_beyond_its_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics:
        for step in (10, 20, 20, 30, 40):
            metrics.write(step, {}, group="train")

    with MetricsLog(path, start_step=20) as metrics:
        metrics.write(30, {}, group="train")

    assert _steps(path) == [10, 20, 20, 30]


def test_an_unfinished_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics:
        metrics.write(10, {"loss": 1.0}, group="train")
    with path.open("a") as file:
        file.write('{"step": 20, "gro')

    assert _steps(path) == [10]
    with MetricsLog(path, start_step=30) as metrics:
        metrics.write(40, {}, group="train")
    assert _steps(path) == [10, 40]


def test_no_file_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_json(path, {"top1": 0.5})

    def die(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(log.os, "fsync", die)  # Between writing and renaming.
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"top1": 0.9})

    assert json.loads(path.read_text()) == {"top1": 0.5}
    visible = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert visible == ["result.json"]


def test_tensorboard_gets_the_same_numbers(tmp_path):
    folder = tmp_path / "tensorboard"
    with MetricsLog(tmp_path / "metrics.jsonl", tensorboard=folder) as metrics:
        metrics.write(7, {"loss": 0.25}, group="eval")

    (events,) = folder.iterdir()
    assert b"eval/loss" in events.read_bytes()


def test_tensorboard_without_its_package_raises_and_says_how_to_get_it(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)

    with pytest.raises(ValueError, match=r'pip install "vidjax\[log\]"'):
        MetricsLog(tmp_path / "m.jsonl", tensorboard=tmp_path / "tensorboard")


def test_a_run_knows_what_it_runs_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = describe_run()

    assert facts["devices"]["count"] == 8
    assert facts["versions"]["jax"]
    assert facts["git_commit"] is None
    json.dumps(facts)


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    clean = describe_run()["git_commit"]
    (tmp_path / "new.txt").write_text("x")

    assert len(clean) == 40
    assert describe_run()["git_commit"] == clean + "+"
