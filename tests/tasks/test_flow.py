"""The flow of whole videos: right, in constant memory, and after a kill."""

import json

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.data import read_frames
from vidjax.flow.files import read_flow
from vidjax.flow.scenes import draw_texture, texture_at
from vidjax.tasks import flow_outputs
from vidjax.tasks.flow import FlowOptions, compute_flow

OPTIONS = FlowOptions(method="farneback")
FRAMES = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """A texture that moves two pixels to the right and one down with every frame."""
    y, x = jnp.mgrid[:48, :64].astype(jnp.float32)
    points = jnp.stack([x, y], axis=-1)
    move = jnp.array([2.0, 1.0])[None, None, None]
    times = jnp.arange(FRAMES)[:, None, None, None]
    texture = draw_texture(jax.random.key(0), channels=3)
    frames = texture_at(texture, points[None] - times * move)
    path = tmp_path_factory.mktemp("videos") / "moving.mp4"
    return save_video(path, np.asarray(frames).astype(np.uint8))


@pytest.fixture(scope="module")
def array(video, tmp_path_factory):
    """Its flow, [11, 48, 64, 2]."""
    out = tmp_path_factory.mktemp("flow") / "a.npz"
    result = compute_flow(video, out, options=OPTIONS, batch=4)
    assert (result.pairs, result.computed) == (FRAMES - 1, FRAMES - 1)
    with np.load(out) as archive:
        return archive["flow"]


def test_the_array_holds_the_flow_of_every_pair(array):
    assert array.shape == (FRAMES - 1, 48, 64, 2)
    assert array.dtype == np.float32
    middle = array[:, 12:-12, 12:-12]
    np.testing.assert_allclose(middle.mean(axis=(1, 2)), [[2.0, 1.0]] * 11, atol=0.15)


def test_images_hold_the_same_and_say_what_they_are(video, array, tmp_path):
    compute_flow(video, tmp_path / "images", options=OPTIONS, batch=4)
    files = sorted(p.name for p in (tmp_path / "images").iterdir())
    assert len(files) == 2 * (FRAMES - 1) + 1
    assert files[1] == "flow_x_00001.jpg"
    about = json.loads((tmp_path / "images" / "flow.json").read_text())
    assert about["method"] == "farneback"
    assert about["bound"] == 20
    for i in (0, 10):
        read = read_flow(tmp_path / "images" / f"flow_x_{i + 1:05d}.jpg")
        assert np.abs(read - array[i]).mean() < 0.1


def test_the_colour_video_has_a_picture_for_each_flow(video, tmp_path):
    out = tmp_path / "deep" / "a.mp4"
    compute_flow(video, out, options=OPTIONS, batch=4)
    frames = read_frames(out, np.arange(FRAMES - 1))
    assert frames.shape == (FRAMES - 1, 48, 64, 3)
    red, green, blue = frames[:, 20:28, 28:36].reshape(-1, 3).mean(0)
    assert red > green > blue  # To the right and a little down is orange.
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == 25


@pytest.mark.parametrize("killed_at", [8, 11])  # In the middle; before the joining.
@pytest.mark.parametrize("name", ["a.npz", "a.mp4", "images"])
def test_a_run_that_was_killed_goes_on(
    name, killed_at, video, array, tmp_path, monkeypatch
):
    monkeypatch.setattr(flow_outputs, "CHUNK", 4)
    monkeypatch.setattr("vidjax.tasks.flow.CHUNK", 4)
    out = tmp_path / name

    def stop(done: int, total: int) -> None:
        if done == killed_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_flow(video, out, options=OPTIONS, batch=4, progress=stop)
    assert out.is_dir() == (name == "images")
    told = []

    def tell(done: int, total: int) -> None:
        told.append(done)

    result = compute_flow(video, out, options=OPTIONS, batch=4, progress=tell)
    assert result.computed == FRAMES - 1 - killed_at
    assert told == sorted({killed_at, 11})
    leftovers = [p.name for p in tmp_path.rglob("*partial*")]
    assert leftovers == []
    if name == "a.npz":
        with np.load(out) as archive:
            np.testing.assert_allclose(archive["flow"], array, atol=1e-5)
    elif name == "a.mp4":
        assert len(read_frames(out, np.arange(11))) == 11
    else:
        last = read_flow(out / "flow_x_00011.jpg")
        assert np.abs(last - array[10]).mean() < 0.1


@pytest.mark.parametrize("name", ["a.npz", "a.mp4", "images"])
def test_what_is_there_is_kept(name, video, tmp_path):
    out = tmp_path / name
    compute_flow(video, out, options=OPTIONS)
    assert compute_flow(video, out, options=OPTIONS).computed == 0
    with pytest.raises(ValueError, match="with other options"):
        compute_flow(video, out, options=FlowOptions("farneback", bound=32.0))


def test_what_others_made_is_kept(video, tmp_path):
    for name in ("a.npz", "a.mp4"):
        (tmp_path / name).write_bytes(b"precious")
        with pytest.raises(ValueError, match="is there already"):
            compute_flow(video, tmp_path / name, options=OPTIONS)
        assert (tmp_path / name).read_bytes() == b"precious"
    with pytest.raises(ValueError, match="not made by vidjax flow"):
        compute_flow(video, tmp_path, options=OPTIONS)


def test_rates_and_sizes_are_those_asked_for(video, tmp_path):
    options = FlowOptions("farneback", fps=12.5, resize=40)
    result = compute_flow(video, tmp_path / "a.npz", options=options)
    assert result.pairs == 5
    with np.load(tmp_path / "a.npz") as archive:
        flow = archive["flow"]
    assert flow.shape == (5, 40, 53, 2)
    expected = np.array([4.0, 2.0]) * 40 / 48
    middle = flow[:, 12:-12, 12:-12].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(middle, expected, atol=0.3)


def test_a_network_computes_flow(video, tmp_path):
    image = jnp.zeros((1, 64, 64, 3))
    model = vidjax.create_model("raft_tiny")
    variables = jax.jit(model.init)(jax.random.key(0), image, image)
    weights = tmp_path / "raft.safetensors"
    vidjax.save_variables(weights, variables)
    options = FlowOptions("raft_tiny", str(weights), fps=5.0, resize=(64, 64))
    compute_flow(video, tmp_path / "a.npz", options=options, batch=1)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["flow"].shape == (1, 64, 64, 2)
        assert np.isfinite(archive["flow"]).all()


@pytest.mark.parametrize(
    ("options", "out", "message"),
    [
        (FlowOptions("tvl2"), "a.npz", "'tvl2' is none of tvl1"),
        (FlowOptions("raft_large"), "a.npz", "raft_large needs --weights"),
        (FlowOptions("tvl1", "x.pth"), "a.npz", "without weights"),
        (FlowOptions(bound=0.0), "a.npz", "bound must be above 0"),
        (FlowOptions(resize=(0, 64)), "a.npz", "resize must be above 0"),
        (FlowOptions(max_px=-1.0), "a.npz", "max_px must be above 0"),
        (FlowOptions(), "a.avi", "Expected NAME.mp4, NAME.npz"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(
    options, out, message, video, tmp_path
):
    with pytest.raises(ValueError, match=message):
        compute_flow(video, tmp_path / out, options=options)
    assert list(tmp_path.iterdir()) == []


def test_one_frame_has_no_flow(save_video, tmp_path):
    video = save_video(tmp_path / "one.mp4", np.zeros((1, 48, 48, 3), np.uint8))
    with pytest.raises(ValueError, match="one frame only"):
        compute_flow(video, tmp_path / "a.npz", options=OPTIONS)
