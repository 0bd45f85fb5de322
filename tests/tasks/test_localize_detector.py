"""A video in, the segments of a trained detector out: features are made on the way."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

import vidjax
from vidjax import data
from vidjax.cli.main import main
from vidjax.config import Config, DataConfig, FeaturesConfig, OptimConfig
from vidjax.convert import save_variables
from vidjax.localization import make_detector, pad_features, to_segments
from vidjax.localization.presets import preset
from vidjax.models.registry import clip_spec, create_model
from vidjax.tasks.fit import fit
from vidjax.tasks.localize import localize
from vidjax.tasks.workdir import load_workdir
from vidjax.typing import FeatureGrid

MODEL, WINDOW, STRIDE = "c3d_tiny", 8, 4
LABELS = ("dive", "jump")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("localize")


@pytest.fixture(scope="module")
def weights(folder):
    """Random weights of a model that makes features."""
    clip = np.zeros((1, *clip_spec(MODEL).shape), np.float32)
    path = folder / "weights.safetensors"
    save_variables(path, jax.jit(create_model(MODEL).init)(jax.random.key(0), clip))
    return path


@pytest.fixture(scope="module")
def videos(folder, save_video):
    """Two videos of noise, of 100 frames."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (2, 100, 40, 48, 3), np.uint8)
    return [save_video(folder / f"v{i}.mp4", clip) for i, clip in enumerate(frames)]


@pytest.fixture(scope="module")
def run(folder, videos, weights):
    """A detector after a step of training on the features of the videos."""
    features = folder / "features"
    made = ["--model", MODEL, "--weights", str(weights), "--window", str(WINDOW)]
    made += ["--stride", str(STRIDE), "--out", str(features)]
    assert main(["features", *map(str, videos), *made]) == 0
    actions = [
        {"label": label, "label_id": i, "segment": [i + 0.5, i + 1.5]}
        for i, label in enumerate(LABELS)
    ]
    database = {
        video.stem: {
            "subset": ("training", "validation")[i],
            "fps": 25.0,
            "duration": 4.0,
            "annotations": actions,
        }
        for i, video in enumerate(videos)
    }
    annotations = folder / "annotations.json"
    annotations.write_text(json.dumps({"database": database}))
    channels = np.load(features / "v0.npy").shape[1]
    config = Config(
        model="actionformer_tiny",
        objective="localization",
        data=DataConfig(batch_size=8),
        features=FeaturesConfig(
            folder=str(features), annotations=str(annotations), channels=channels
        ),
        optim=OptimConfig(name="adamw", learning_rate=0.01),
        steps=1,
    )
    fit(config, folder / "run")
    return folder / "run"


def _by_hand(run, features, fps=25.0):
    trained = load_workdir(run)
    decoding = preset("actionformer_tiny").decoding
    detector = jax.jit(make_detector(trained.model, decoding))
    batch, mask = pad_features([np.load(features)], trained.spec)
    kept = jax.tree.map(lambda a: a[0], detector(trained.variables, batch, mask))
    return to_segments(
        kept, FeatureGrid(float(STRIDE), float(WINDOW), fps), 4.0, LABELS
    )


def test_a_video_gives_what_its_features_give(run, videos, folder, capsys):
    counted = []
    found = vidjax.localize(
        videos[1],
        workdir=run,
        min_score=0.0,
        progress=lambda *count: counted.append(count),
    )
    assert counted[-1] == (24, 24)
    wanted = _by_hand(run, folder / "features" / "v1.npy")
    assert found
    assert [s.label for s in found] == [s.label for s in wanted]
    np.testing.assert_allclose(
        [dataclasses.astuple(s)[:2] for s in found],
        [dataclasses.astuple(s)[:2] for s in wanted],
        atol=1e-3,
    )
    # No video is needed where there are features, and low scores are left out.
    least = float(np.median([s.score for s in wanted]))
    flags = ["--features", str(folder / "features" / "v1.npy"), "--workdir", str(run)]
    assert main(["localize", *flags, "--json", "--min-score", str(least)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == sum(s.score >= least for s in wanted)
    assert rows[0]["label"] == wanted[0].label
    assert rows[0]["start"] == pytest.approx(wanted[0].start_sec, abs=1e-3)


def test_features_that_are_not_as_in_training_are_refused(run, folder, tmp_path):
    path = tmp_path / "v.npy"
    beside = json.loads((folder / "features" / "v1.json").read_text())
    beside |= {"stride": 5, "window": 9}
    beside["streams"][0]["weights_sha256"] = "1" * 64
    path.with_suffix(".json").write_text(json.dumps(beside))
    np.save(path, np.zeros((20, 7), np.float32))
    with pytest.raises(ValueError, match="are not those that actionformer_tiny") as e:
        localize(features=path, workdir=run)
    for told in ("7 channels", "a stride of 5", "a window of 9", "other weights"):
        assert told in str(e.value)
    beside["streams"][0]["model"] = "c3d"
    path.with_suffix(".json").write_text(json.dumps(beside))
    with pytest.raises(ValueError, match="made by c3d, not c3d_tiny"):
        localize(features=path, workdir=run)


def test_weights_that_were_moved_are_named_and_must_be_the_same(
    run, videos, weights, tmp_path
):
    moved = tmp_path / "moved.safetensors"
    shutil.copy(weights, moved)
    assert localize(videos[1], workdir=run, features_weights=moved, min_score=0.0)
    clip = np.zeros((1, *clip_spec(MODEL).shape), np.float32)
    other = jax.jit(create_model(MODEL).init)(jax.random.key(1), clip)
    save_variables(moved, other)
    with pytest.raises(ValueError, match="are not those that are wanted"):
        localize(videos[1], workdir=run, features_weights=moved)
    with pytest.raises(ValueError, match="trained on features of c3d_tiny, not of c3d"):
        localize(videos[1], workdir=run, features_model="c3d", features_weights=weights)


def test_a_detector_of_a_file_says_what_it_needs(folder, videos, weights, tmp_path):
    name = "actionformer_tiny"
    spec = vidjax.model_card(name).clip
    shape = (1, *spec.shape)
    variables = jax.jit(create_model(name).init)(
        jax.random.key(0), np.zeros(shape, np.float32), np.ones(shape[:2], bool)
    )
    path = tmp_path / "detector.safetensors"
    save_variables(path, variables)
    names = tmp_path / "labels.txt"
    names.write_text("a\nb\nc\n")
    features = tmp_path / "features.npy"
    np.save(features, np.zeros((20, spec.channels), np.float32))
    how = {"detector": name, "weights": path}
    found = localize(features=features, labels=names, min_score=0.0, **how)
    assert {s.label for s in found} <= {"a", "b", "c"}
    # Nothing stands beside them: their steps are those of the published features.
    assert max(s.end_sec for s in found) <= (19 * 4 + 16) / 30
    with pytest.raises(ValueError, match="features_model, features_weights"):
        localize(videos[0], **how)
    wrong = {"features_model": MODEL, "features_weights": weights}
    with pytest.raises(ValueError, match=f"not {spec.channels}"):
        localize(videos[0], **how, **wrong)
    names.write_text("a\nb\n")
    with pytest.raises(ValueError, match="Expected 3 labels"):
        localize(features=features, labels=names, **how)


def test_ways_that_do_not_go_together_are_told(run, videos, tmp_path):
    video = videos[0]
    for how, told in (
        ({}, "Say one of"),
        ({"model": MODEL, "workdir": run}, "Got workdir and model"),
        ({"model": MODEL}, "needs weights"),
        ({"model": MODEL, "weights": "x", "labels": "y"}, "does not take labels"),
        ({"workdir": run, "labels": "y"}, "does not take labels"),
        ({"workdir": run, "features_model": MODEL}, "needs features_weights"),
        ({"workdir": run, "features_preset": "x"}, "No published features 'x'"),
        (
            {"workdir": run, "features_preset": "thumos14_i3d", "features_model": "x"},
            "already says",
        ),
        ({"detector": "c3d", "weights": "x"}, "is no detector"),
        ({"detector": "actionformer_tiny", "weights": "x", "labels": "y"}, "no text"),
    ):
        with pytest.raises(ValueError, match=told):
            localize(video, **how)
    with pytest.raises(ValueError, match="Give a video, or features of it"):
        localize(workdir=run)


def test_a_video_that_cannot_be_read_is_one_sentence(run, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(data.VideoError, match=r"broken\.mp4"):
        localize(broken, workdir=run)
