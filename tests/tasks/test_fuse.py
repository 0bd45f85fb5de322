"""Runs on colours and on flow, trained apart, give one result together."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from vidjax.cli.main import main
from vidjax.eval.stored import load_scores, save_scores
from vidjax.tasks.evaluate import SCORES, evaluate
from vidjax.tasks.fit import fit
from vidjax.tasks.fuse import fuse_runs
from vidjax.tasks.judgement import join_scores
from vidjax.tasks.predict import load_trained_recognizer
from vidjax.tasks.workdir import read_config


@pytest.fixture(scope="module")
def runs(tmp_path_factory, make_config):
    """A run on colours, evaluated, and one on flow, which is not."""
    folder = tmp_path_factory.mktemp("runs")
    common = {"steps": 2, "data__size": 16, "data__num_frames": 2}
    rgb = make_config(**common)
    fit(rgb, folder / "rgb")
    evaluate(rgb, folder / "rgb")
    flow = make_config(
        **common,
        model="tsn_resnet_tiny",
        data__modality="flow",
        data__flow_length=2,
        data__flow_method="farneback",
    )
    fit(flow, folder / "flow")
    return folder / "rgb", folder / "flow"


@pytest.mark.parametrize("at", ["logits", "softmax"])
def test_scores_of_runs_are_added_with_their_weights(runs, at):
    fused = fuse_runs(runs, weights=(1.0, 1.5), at=at)

    rgb, flow = (join_scores(run / SCORES, average=at).probabilities for run in runs)
    if at == "logits":
        expected = jax.nn.softmax(np.log(rgb) + 1.5 * np.log(flow))
    else:
        expected = (rgb + 1.5 * flow) / 2.5
    np.testing.assert_allclose(fused.probabilities, expected, rtol=1e-4)
    assert fused.metrics["examples"] == 20
    right = expected.argmax(axis=1) == fused.labels
    assert fused.metrics["top1"] == pytest.approx(np.mean(right))
    assert fused.protocol == "fusion of frame_average_resnet_tiny + tsn_resnet_tiny"


def test_a_run_that_was_not_evaluated_is_evaluated_first(runs, tmp_path):
    again = tmp_path / "flow"
    shutil.copytree(runs[1], again)
    (again / SCORES).unlink(missing_ok=True)
    fuse_runs([runs[0], again])
    assert (again / SCORES).is_file()


def test_the_command_fuses(runs, capsys):
    folders = [str(run) for run in runs]
    code = main(["evaluate", "--fuse", *folders, "--weights", "1", "1.5", "--json"])
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"] == fuse_runs(runs, weights=(1.0, 1.5)).metrics


def test_runs_that_do_not_fit_are_refused(runs, tmp_path):
    with pytest.raises(ValueError, match="two runs or more to fuse, got 1"):
        fuse_runs(runs[:1])
    with pytest.raises(ValueError, match="Expected 2 weights"):
        fuse_runs(runs, weights=(1.0,))
    other = tmp_path / "other"
    shutil.copytree(runs[0], other)
    stored = load_scores(other / SCORES)
    moved = dataclasses.replace(
        stored, paths=stored.paths[::-1], labels=stored.labels[::-1]
    )
    save_scores(other / SCORES, moved)
    with pytest.raises(ValueError, match=r"videos and labels differ"):
        fuse_runs([runs[0], other])


def test_a_run_on_flow_labels_a_video(runs, video_folder):
    assert read_config(runs[1]).data.modality == "flow"
    recognizer = load_trained_recognizer(runs[1])
    assert recognizer.spec.modality == "flow"
    result = recognizer.label(video_folder / "left" / "clip 0.mp4", top=2)
    assert result.error is None
    assert len(result.predictions) == 2
    assert result.frames.shape == (6, 16, 16, 3)
