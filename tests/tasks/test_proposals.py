"""BMN trains on features through the same run as everything else."""

import dataclasses
import json

import numpy as np
import pytest

from vidjax.config import load_config
from vidjax.tasks.detection_data import feature_sources
from vidjax.tasks.fit import fit
from vidjax.tasks.report import report
from vidjax.tasks.workdir import load_workdir

STEPS, CHANNELS, SECONDS = 12, 16, 36.0
ACTIONS = [[6.0, 15.0], [21.0, 33.0]]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One video, to train on and to test on: features as the published ones are."""
    folder = tmp_path_factory.mktemp("features")
    features = 0.1 * np.random.default_rng(0).standard_normal((STEPS, CHANNELS))
    for start, end in ACTIONS:
        features[int(start / 3) : int(end / 3), :8] += 1
    names = ",".join(f"f{i}" for i in range(CHANNELS))
    np.savetxt(folder / "v_x.csv", features, delimiter=",", header=names, comments="")
    rows = [{"label": f"c{i}", "segment": row} for i, row in enumerate(ACTIONS)]
    entry = {"subset": "training", "duration": SECONDS, "annotations": rows}
    path = folder / "annotations.json"
    path.write_text(json.dumps({"database": {"x": entry}}))
    return folder, path


@pytest.fixture
def config(data):
    """The shipped recipe, on a tiny model and one video."""
    folder, annotations = data
    changes = {
        "model": "bmn_tiny",
        "data.batch_size": 8,
        "features.folder": str(folder),
        "features.annotations": str(annotations),
        "features.eval_subset": "training",
        "steps": 80,
        "eval_every": 80,
        "save_every": 80,
        "optim.drops": (70,),
        "optim.learning_rate": 0.01,
        "log.every": 1,
    }
    return load_config("bmn_activitynet", changes)


def test_steps_lie_evenly_over_the_video(config):
    source, _, _ = feature_sources(config)
    example = source.example(0)
    # A step stands for its middle: 1.5 s, 4.5 s and so on.
    np.testing.assert_allclose(example.segments, np.array(ACTIONS) / 3 - 0.5)
    assert example.features.shape == (STEPS, CHANNELS)


def test_it_learns_where_the_actions_of_a_video_are(config, tmp_path):
    result = fit(config, tmp_path / "run")
    losses = [h for h in result.history if h["group"] == "train"]
    parts = ("boundary_loss", "regression_loss", "classification_loss")
    first, last = ([h[part] for part in parts] for h in (losses[0], losses[-1]))
    assert all(b < 0.5 * a for a, b in zip(first, last, strict=True))
    assert result.metrics["auc"] > 0.95
    assert {"ar_1", "ar_100", "examples", "failed"} <= result.metrics.keys()
    (row,) = report(tmp_path / "run").rows
    assert row.result == ("AUC", f"{100 * result.metrics['auc']:.1f} %")
    trained = load_workdir(tmp_path / "run")
    assert trained.label_names == ("action",)


def test_a_model_that_proposes_is_asked_for_no_classes(config, tmp_path):
    features = dataclasses.replace(config.features, class_agnostic=False)
    with pytest.raises(ValueError, match=r"bmn_tiny proposes: set features\.class_ag"):
        fit(dataclasses.replace(config, features=features), tmp_path / "run")
