"""A folder of videos to a tree of flow, and from there to the clips of a training."""

import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.cli.main import main
from vidjax.config import Config, DataConfig, override
from vidjax.data.sources import make_source
from vidjax.flow.stack import see_motion
from vidjax.tasks.experiment import make_prepare, make_spec
from vidjax.tasks.flow import FlowOptions
from vidjax.tasks.flow_folder import compute_folder_flow

OPTIONS = FlowOptions("farneback")


@pytest.fixture(scope="module")
def trees(video_folder, tmp_path_factory):
    """The flow of ten videos of 12 frames, as images and as arrays."""
    root = tmp_path_factory.mktemp("trees")
    for name in ("images", "arrays"):
        result = compute_folder_flow(
            *(video_folder, root / name),
            options=OPTIONS,
            batch=11,
            arrays=name == "arrays",
        )
        assert (result.videos, result.computed, result.bad) == (10, 110, {})
    return root


def _config(folder, **data):
    return Config(
        "tsn_resnet_tiny",
        data=DataConfig(
            source=f"folder:{folder}",
            modality="rgb+flow",
            flow_length=3,
            num_frames=2,
            size=48,
            eval_fraction=0.5,
            flip_rate=0.0,
            **data,
        ),
    )


@pytest.mark.parametrize(("name", "lossy"), [("images", 4.0), ("arrays", 0.0)])
def test_flow_from_files_is_that_of_the_devices(video_folder, trees, name, lossy):
    before = _config(video_folder, flow_files=str(trees / name))
    now = _config(video_folder, flow_method="farneback")
    for index in range(3):
        read, frames = (
            make_source(config.data, make_spec(config), split="eval").clip(index)
            for config in (before, now)
        )
        computed = np.asarray(see_motion(jnp.asarray(frames)[None], make_spec(now)))[0]
        assert read.shape == computed.shape == (2, 48, 48, 9)
        np.testing.assert_array_equal(read[..., :3], computed[..., :3])
        apart = np.abs(read.astype(int) - computed)
        assert apart[..., 3:].mean() <= lossy / 4
        assert np.quantile(apart, 0.99) <= lossy
    seen = make_prepare(make_spec(before), "float32")(jnp.asarray(read)[None])
    assert float(jnp.abs(seen[..., 3:]).max()) <= 1.0


def test_a_network_learns_from_files_and_recognises_a_video_alone(
    video_folder, trees, tmp_path
):
    config = Config(
        "two_stream_resnet_tiny",
        model_args={"fuse_at": "softmax"},
        data=DataConfig(
            source=f"folder:{video_folder}",
            flow_files=str(trees / "images"),
            batch_size=8,
            num_frames=1,
            eval_fraction=0.5,
        ),
        steps=2,
        eval_every=2,
    )
    result = vidjax.fit(config, tmp_path / "run")
    assert np.isfinite(result.metrics["loss"])
    losses = [row["loss"] for row in result.history if row["group"] == "train"]
    assert np.isfinite(losses).all()
    video = video_folder / "left" / "clip 0.mp4"
    assert main(["predict", str(video), "--workdir", str(tmp_path / "run")]) == 0


def test_a_run_over_a_folder_goes_on_and_reports_what_is_bad(
    video_folder, tmp_path, capsys
):
    videos, out = tmp_path / "videos", tmp_path / "flow"
    shutil.copytree(video_folder / "left", videos / "deep" / "left")
    (videos / "deep" / "left" / "clip 0.mp4").write_bytes(b"no video")
    (videos / "deep" / "left" / "clip 1.mp4").rename(videos / "v1.5.mp4")
    flags = ["--method", "farneback", "--out", str(out), "--batch", "11"]
    assert main(["flow", str(videos), *flags]) == 0
    told = capsys.readouterr().out
    assert f"{out}: 4 videos, 44 flows computed" in told
    assert "1 videos could not be read" in told
    bad = json.loads((out / "report.json").read_text())["bad"]
    assert list(bad) == ["deep/left/clip 0.mp4"]
    assert (out / "v1.5" / "flow_y_00011.jpg").exists()
    assert main(["flow", str(videos), *flags]) == 0
    assert "4 videos, 0 flows computed" in capsys.readouterr().out


def test_folders_that_make_no_tree_are_refused(video_folder, tmp_path):
    with pytest.raises(ValueError, match="has no videos; they end with"):
        compute_folder_flow(tmp_path, tmp_path / "out")
    for ending in ("avi", "mp4"):
        (tmp_path / f"one.{ending}").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one.avi and one.mp4: .* one name"):
        compute_folder_flow(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="'tvl2' is none of"):
        compute_folder_flow(video_folder, tmp_path / "out", options=FlowOptions("tvl2"))
    assert not (tmp_path / "out").exists()


def test_models_of_colours_do_without_files_of_flow(video_folder, trees):
    config = override(
        _config(video_folder, flow_files=str(trees)), {"data.modality": "rgb"}
    )
    clip = make_source(config.data, make_spec(config)).clip(0)
    assert clip.shape == make_spec(config).shape == (2, 48, 48, 3)
