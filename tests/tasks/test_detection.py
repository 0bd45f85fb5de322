"""Detectors train on features through the same run as everything else."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from vidjax.cli.progress import ProgressView
from vidjax.config import (
    Config,
    DataConfig,
    FeaturesConfig,
    LogConfig,
    OptimConfig,
    list_configs,
    load_config,
)
from vidjax.config import override as override_config
from vidjax.models.registry import create_model, model_card
from vidjax.tasks import events
from vidjax.tasks.detection_data import feature_sources, feature_spec
from vidjax.tasks.feature_options import FeatureOptions, Sidecar, Stream
from vidjax.tasks.fit import fit
from vidjax.tasks.report import report
from vidjax.tasks.run import prepare_run
from vidjax.tasks.workdir import load_workdir
from vidjax.train.optim import make_schedule
from vidjax.typing import FeatureGrid

# None of the numbers of a published detector.
CHANNELS, FPS, STRIDE, WINDOW = 8, 24.0, 3.0, 12.0
MADE = FeatureOptions((Stream("c3d_tiny", "runs/x", "0" * 64),), int(WINDOW), 3)


def _video(rng, steps):
    """Noise in which each class raises a channel of its own while it lasts."""
    features = 0.3 * rng.standard_normal((steps, CHANNELS))
    annotations, end = [], 0
    while (start := end + int(rng.integers(3, 8))) < steps - 12:
        end = start + int(rng.integers(4, 12))
        label = int(rng.integers(2))
        features[start:end, label] += 2
        grid = FeatureGrid(STRIDE, WINDOW, FPS)
        segment = [float(grid.to_seconds(t - 0.5)) for t in (start, end)]
        row = {"label": "ab"[label], "label_id": label, "segment": segment}
        annotations.append(row)
    return features.astype(np.float32), annotations


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Features and annotations of 24 videos, four of them held out."""
    folder = tmp_path_factory.mktemp("features")
    rng, database = np.random.default_rng(0), {}
    for i in range(24):
        steps = int(rng.integers(30, 40)) if i % 4 else 30
        features, annotations = _video(rng, steps)
        np.save(folder / f"video_{i}.npy", features)
        duration = steps * STRIDE / FPS + WINDOW / FPS
        beside = Sidecar(MADE, FPS, duration).to_dict()
        (folder / f"video_{i}.json").write_text(json.dumps(beside))
        database[f"video_{i}"] = {
            "subset": "validation" if i < 4 else "training",
            "fps": 30.0,  # Of the video; it was read at another rate.
            "duration": duration,
            "annotations": annotations,
        }
    path = folder / "annotations.json"
    path.write_text(json.dumps({"database": database}))
    return folder, path


@pytest.fixture(scope="module")
def make(data):
    """A short experiment; overrides by field."""
    folder, annotations = data

    def make(**values):
        config = Config(
            model="actionformer_tiny",
            objective="localization",
            data=DataConfig(batch_size=8),
            features=FeaturesConfig(
                folder=str(folder), annotations=str(annotations), channels=CHANNELS
            ),
            optim=OptimConfig(
                name="adamw",
                learning_rate=0.003,
                warmup_steps=2,
                weight_decay=0.05,
                clip_norm=1.0,
                average_decay=0.9,
            ),
            steps=4,
            eval_every=2,
            save_every=2,
            log=LogConfig(every=1),
        )
        return override_config(
            config, {k.replace("__", "."): v for k, v in values.items()}
        )

    return make


class CrashError(Exception):
    pass


def _leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(make, tmp_path):
    whole = fit(make(), tmp_path / "whole")

    def crash(event):
        if isinstance(event, events.Progress) and event.step == 3:
            raise CrashError

    with pytest.raises(CrashError):
        fit(make(), tmp_path / "parts", on_event=crash)
    parts = fit(make(), tmp_path / "parts")
    assert parts.start_step == 2
    for a, b in zip(_leaves(whole.variables), _leaves(parts.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    # Losses are the same to the last bit only if what divides them went on as well.
    last = [
        next(h for h in run.history[::-1] if h["group"] == "train")
        for run in (whole, parts)
    ]
    assert last[0]["loss"] == last[1]["loss"]
    assert {"cls_loss", "reg_loss"} <= last[0].keys()
    assert {"average_map", "map_0.50", "examples"} <= whole.metrics.keys()
    found = load_workdir(tmp_path / "whole", best=False)
    assert found.label_names == ("a", "b")
    assert found.spec.channels == CHANNELS
    assert found.features == MADE


def test_a_detector_learns_to_find_actions(make, tmp_path, capsys):
    config = make(steps=120, eval_every=120, save_every=120, optim__learning_rate=0.01)
    with ProgressView() as view:
        result = fit(config, tmp_path / "run", on_event=view)
    assert result.metrics["map_0.50"] > 0.8
    told, expected = capsys.readouterr().out, result.metrics["average_map"]
    assert f"held-out average mAP {expected:.1%}  (best so far)" in told
    (row,) = report(tmp_path / "run").rows
    assert row.result == ("average mAP", f"{100 * expected:.1f} %")
    assert "features in" in (tmp_path / "run" / "report.html").read_text()
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["detection"]["policy"] == "default"


@pytest.mark.parametrize(
    "name", [n for n in list_configs() if n.startswith(("actionformer", "tridet"))]
)
def test_a_shipped_recipe_fits_its_detector(name):
    config = load_config(name)
    assert config.model == name
    assert feature_spec(config) == model_card(name).clip
    rates = make_schedule(config.optim, config.steps)
    last = float(rates(config.steps))
    assert last == pytest.approx(config.optim.end_rate)
    assert 0 < config.optim.warmup_steps < config.steps
    proposes = create_model(name).num_classes == 1
    assert config.features.class_agnostic == proposes


def test_proposals_are_of_one_class(make):
    train, held_out, _ = feature_sources(make(features__class_agnostic=True))
    assert train.label_names == held_out.label_names == ("action",)
    assert {int(x) for v in train.videos for x in v.labels} == {0}
    assert (train.num_examples, held_out.num_examples) == (20, 4)


def test_what_is_missing_is_said_before_a_step(make, tmp_path):
    for values, message in (
        ({"features__folder": ""}, "needs features.folder"),
        ({"features__folder": "none"}, "no features none"),
        ({"features__eval_subset": "test"}, "no subset 'test'"),
        ({"features__prefix": "v_"}, "No video of the subset 'training'"),
        ({"model": "frame_average_resnet_tiny"}, "is no detector"),
        ({"objective": "classification"}, "does not classify"),
        ({"optim__label_smoothing": 0.1}, "label_smoothing"),
        ({"optim__accumulate": 2}, "optim.accumulate is for losses of single clips"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(make(**values), tmp_path / "run")


def test_one_bad_file_costs_one_line_and_not_the_run(make, data, tmp_path, caplog):
    folder, _ = data
    bad = [folder / name for name in ("video_1.npy", "video_9.npy")]
    whole = [path.read_bytes() for path in bad]
    for path in bad:
        path.write_bytes(path.read_bytes()[:200])
    try:
        result = fit(make(), tmp_path / "run")
    finally:
        for path, content in zip(bad, whole, strict=True):
            path.write_bytes(content)
    assert (result.metrics["examples"], result.metrics["failed"]) == (3, 1)
    for path in bad:
        assert f"{path} holds no features" in caplog.text


def test_grids_are_those_that_stand_beside_features(make, data):
    for source in feature_sources(make())[:2]:
        assert (source.stride, source.window) == (STRIDE, WINDOW)
        assert {video.fps for video in source.videos} == {FPS}
    # What the config says goes before it.
    given = make(features__stride=3.0, features__window=5.0, features__fps=10.0)
    source, _, options = feature_sources(given)
    assert (source.stride, source.window, source.videos[0].fps) == (3.0, 5.0, 10.0)
    assert options == MADE


def test_classes_without_an_annotation_begin_low(make, tmp_path):
    config = dataclasses.replace(make(), model_args={"num_classes": 4})
    run = prepare_run("run", config, tmp_path)
    assert run.sources.eval.label_names == ("a", "b", "class 2", "class 3")
    assert run.model.empty_classes == (2, 3)
