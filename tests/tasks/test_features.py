"""Features of videos: what they see, what is written, and what survives a stop."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import data
from vidjax.cli.main import main
from vidjax.config import Config, DataConfig, SyntheticConfig
from vidjax.convert import save_variables
from vidjax.data.buckets import BucketPath
from vidjax.data.windows import centre_frames
from vidjax.flow.encode import flow_to_unit
from vidjax.models.registry import clip_spec, create_model
from vidjax.ops.pixels import normalize
from vidjax.tasks.feature_options import read_sidecar, shared_options
from vidjax.tasks.features import FeatureOptions, Stream, extract_features
from vidjax.tasks.fit import fit
from vidjax.tasks.flow import FlowOptions, iter_flows
from vidjax.tasks.workdir import load_workdir

NAME = "c3d_tiny"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of random weights, and the model and variables of it."""
    model, spec = create_model(NAME), clip_spec(NAME)
    clip = np.zeros((1, *spec.shape), np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), clip)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_variables(path, variables)
    return path, model, variables


@pytest.fixture
def options(weights):
    return FeatureOptions((Stream(NAME, str(weights[0])),), window=8, stride=3)


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """A video of 27 frames: seven windows of eight frames, three apart."""
    frames = np.random.default_rng(0).integers(0, 255, (27, 40, 56, 3), np.uint8)
    return save_video(tmp_path_factory.mktemp("video") / "long one.mp4", frames)


def test_a_feature_is_what_the_model_says_of_its_window(
    video, weights, options, tmp_path
):
    (result,) = extract_features([video], tmp_path, options=options, batch=3)
    features = np.load(tmp_path / "long one.npy")
    assert result.path == tmp_path / "long one.npy"
    assert result.steps == len(features) == 7
    _, model, variables = weights
    spec = clip_spec(NAME)
    for step in (0, 6):
        frames = data.read_frames(
            video, range(3 * step, 3 * step + 8), short_side=spec.short_side
        )
        top, left = ((n - spec.size) // 2 for n in frames.shape[1:3])
        frames = frames[None, :, top : top + spec.size, left : left + spec.size]
        clip = normalize(
            jnp.asarray(frames),
            value_range=spec.value_range,
            mean=spec.mean,
            std=spec.std,
        )
        _, endpoints = model.apply(variables, clip)
        np.testing.assert_allclose(features[step], endpoints["pooled"][0], atol=1e-4)
    about = json.loads((tmp_path / "long one.json").read_text())
    assert about["steps"] == 7
    assert about["channels"] == features.shape[1]
    assert (about["fps"], about["window"], about["stride"]) == (25.0, 8, 3)
    assert len(about["streams"][0]["weights_sha256"]) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "long one.json",
        "long one.npy",
    ]


def test_a_run_that_was_stopped_goes_on_and_gives_the_same(video, options, tmp_path):
    extract_features([video], tmp_path / "whole", options=options, batch=2)

    def stop(_, done, __):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features([video], tmp_path, options=options, batch=2, progress=stop)
    assert not (tmp_path / "long one.npy").exists()
    (result,) = extract_features([video], tmp_path, options=options, batch=2)
    assert result.computed == 3
    np.testing.assert_array_equal(
        np.load(tmp_path / "long one.npy"), np.load(tmp_path / "whole/long one.npy")
    )
    (again,) = extract_features([video], tmp_path, options=options, batch=2)
    assert again.computed == 0


def test_features_that_were_made_otherwise_are_refused(video, options, tmp_path):
    extract_features([video], tmp_path, options=options)
    other = FeatureOptions(options.streams, window=8, stride=4)
    with pytest.raises(ValueError, match="stride 3 instead of 4"):
        extract_features([video], tmp_path, options=other)


def test_flow_stands_behind_colours_and_that_of_the_last_frame_is_repeated(
    video, weights, tmp_path
):
    model = create_model("i3d_flow")
    spec = clip_spec("i3d_flow")
    shape = (1, 9, spec.size, spec.size, 2)
    variables = jax.jit(model.init)(jax.random.key(1), np.zeros(shape, np.float32))
    path = tmp_path / "flow.safetensors"
    save_variables(path, variables)
    streams = (Stream(NAME, str(weights[0])), Stream("i3d_flow", str(path)))
    options = FeatureOptions(streams, window=9, stride=18, flow_method="farneback")
    extract_features([video], tmp_path, options=options, batch=1)
    features = np.load(tmp_path / "long one.npy")
    colours = len(weights[2]["params"]["logits"]["kernel"])
    assert features.shape == (2, colours + 1024)

    how = FlowOptions("farneback", resize=spec.short_side)
    flow = np.stack(list(iter_flows(video, how, start=18)))
    flow = flow_to_unit(jnp.asarray(np.concatenate([flow, flow[-1:]])))[None]
    top, left = ((n - spec.size) // 2 for n in flow.shape[2:4])
    flow = flow[:, :, top : top + spec.size, left : left + spec.size]
    pooled = jax.jit(model.apply)(variables, flow)[1]["pooled"][0]
    np.testing.assert_allclose(features[1, colours:], pooled, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"stride": -1}, "stride must be at least 1, got -1"),
        ({"streams": ()}, "at least one network"),
    ],
)
def test_wrong_options_are_told(video, tmp_path, change, message):
    options = FeatureOptions(**{"streams": (Stream(NAME, "x"),), **change})
    with pytest.raises(ValueError, match=message):
        extract_features([video], tmp_path, options=options)


def test_videos_of_one_name_are_refused(options, tmp_path):
    with pytest.raises(ValueError, match=r"got twice: \['a'\]"):
        extract_features(["x/a.mp4", "y/a.avi"], tmp_path, options=options)


def test_the_command_does_the_good_videos_and_tells_of_the_broken(
    video, weights, tmp_path, capsys
):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    flags = ["--model", NAME, "--weights", str(weights[0]), "--window", "8"]
    out = ["--out", str(tmp_path / "features")]
    assert main(["features", str(broken), str(video), *flags, *out]) == 1
    streams = capsys.readouterr()
    assert "broken.mp4" in streams.err
    assert "5 features, 5 computed" in streams.out
    assert np.load(tmp_path / "features" / "long one.npy").shape[0] == 5


def test_a_run_already_says_the_model(video, tmp_path, capsys):
    flags = ["--workdir", "runs/x", "--model", NAME, "--out", str(tmp_path)]
    assert main(["features", str(video), *flags]) == 1
    assert "--workdir already says" in capsys.readouterr().err


def test_a_model_without_weights_is_one_sentence(video, tmp_path, capsys):
    assert main(["features", str(video), "--model", NAME, "--out", str(tmp_path)]) == 1
    assert "weights together" in capsys.readouterr().err


def test_weights_that_are_not_the_wanted_ones_are_refused(video, weights, tmp_path):
    stream = Stream(NAME, str(weights[0]), weights_sha256="0" * 64)
    with pytest.raises(ValueError, match="are not those that are wanted"):
        extract_features([video], tmp_path, options=FeatureOptions((stream,)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that trained a recognition model on clips smaller than its card's."""
    data = DataConfig(
        batch_size=8, size=24, synthetic=SyntheticConfig(num_train=8, num_eval=8)
    )
    workdir = tmp_path_factory.mktemp("run")
    fit(Config(model=NAME, data=data, steps=1), workdir)
    return workdir


def test_features_are_made_by_the_model_of_a_run(video, run, tmp_path):
    flags = ["--window", "8", "--stride", "9", "--fps", "20", "--out", str(tmp_path)]
    assert main(["features", str(video), "--workdir", str(run), *flags]) == 0
    trained = load_workdir(run)
    assert trained.spec.size == 24
    frames = centre_frames(video, trained.spec, fps=20.0)
    clip = np.stack([next(frames) for _ in range(8)])[None]
    pooled = trained.model.apply(
        trained.variables,
        normalize(
            jnp.asarray(clip),
            value_range=trained.spec.value_range,
            mean=trained.spec.mean,
            std=trained.spec.std,
        ),
    )[1]["pooled"]
    features = np.load(tmp_path / "long one.npy")
    np.testing.assert_allclose(features[0], pooled[0], atol=1e-4)

    beside = read_sidecar(tmp_path / "long one.npy")
    assert (beside.fps, beside.duration) == (20.0, 27 / 25)
    assert (beside.options.window, beside.options.stride) == (8, 9)
    assert beside.options.fps == 20.0
    (stream,) = beside.options.streams
    assert (stream.model, stream.weights) == (NAME, str(run))
    # What stands beside the features is enough to make them again.
    again = tmp_path / "again"
    extract_features([video], again, options=beside.options)
    np.testing.assert_array_equal(np.load(again / "long one.npy"), features)
    both = {"a": beside, "b": beside._replace(options=FeatureOptions((stream,)))}
    with pytest.raises(ValueError, match="The features of a and b were not made alike"):
        shared_options(both)
    (tmp_path / "long one.json").write_text('{"fps": 20}')
    with pytest.raises(ValueError, match="is not what `vidjax features` writes"):
        read_sidecar(tmp_path / "long one.npy")


def test_a_pipeline_writes_the_features_of_a_local_run_to_a_bucket(
    video, weights, options, tmp_path, capsys
):
    (here,) = extract_features([video], tmp_path, options=options, batch=2)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"junk")
    flags = ["--out", "ram://features/set", "--model", NAME, "--weights"]
    flags += [str(weights[0]), "--window", "8", "--stride", "3", "--batch", "2"]
    flags += ["--beam-options=--runner=DirectRunner --direct_running_mode=in_memory"]

    assert main(["features", str(video), str(bad), *flags]) == 1

    said = capsys.readouterr()
    assert "ram://features/set/long one.npy: 7 features, 7 computed" in said.out
    assert "bad.mp4 is no video, or damaged" in said.err
    there = BucketPath("ram://features/set")
    assert sorted(p.name for p in there.iterdir()) == ["long one.json", "long one.npy"]
    for path in (here.path, here.path.with_suffix(".json")):
        assert (there / path.name).read_bytes() == path.read_bytes()
    (again,) = extract_features([video], there, options=options, batch=2)
    assert again.computed == 0
