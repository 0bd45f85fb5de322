"""Flow from files: of the right frames, cut where the colours are, mirrored with them.

Frames and flows carry what they are: above, every column has its own grey; below, the
number of the frame.
"""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.config import AugmentConfig, DataConfig
from vidjax.data.clips import FileVideo, random_clip, view_clip
from vidjax.data.flow_video import FlowVideo
from vidjax.data.pipeline import train_batches
from vidjax.data.sources import make_source
from vidjax.data.timeline import VideoError
from vidjax.flow.encode import bytes_to_flow, flow_to_bytes
from vidjax.flow.files import write_flow
from vidjax.typing import ClipSpec, Views

from .conftest import HEIGHT, WIDTH, write_video

FRAMES = 10
LOSSY = 5  # Codes that a JPEG may be off in the smooth parts of an image.
SPEC = ClipSpec(num_frames=2, frame_stride=3, size=HEIGHT, crop_fraction=1.0)


def _column_code():
    return np.broadcast_to(3 * np.arange(WIDTH), (HEIGHT // 2, WIDTH))


def _codes(number):
    """Codes of u and v of a flow, or the grey of a frame, uint8 [H, W, 2]."""
    below = np.full((HEIGHT // 2, WIDTH), 20 * number)
    v = np.concatenate([_column_code(), below])
    return np.stack([v // 2 + 100, v], axis=-1).astype(np.uint8)


def _pixels(number):
    return np.asarray(bytes_to_flow(jnp.asarray(_codes(number))))


def _numbers(clip):
    """Which frame or flow each plane of a clip [T, H, W, C] is of, [T, C]."""
    return np.round(clip[:, -16:-4, 8:-8].mean(axis=(1, 2)) / 20).astype(int)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Videos a/one.mp4 and a/two.mp4, and the tree of their flow, one of each kind."""
    root = tmp_path_factory.mktemp("flow")
    (root / "videos" / "a").mkdir(parents=True)
    frames = [np.repeat(_codes(i)[..., 1:], 3, axis=-1) for i in range(FRAMES)]
    for name in ("one", "two"):
        write_video(root / "videos" / "a" / f"{name}.mp4", images=frames, rate=25)
    flow = np.stack([_pixels(i) for i in range(FRAMES - 1)])
    images = root / "tree" / "a" / "one"
    images.mkdir(parents=True)
    for i, one in enumerate(flow):
        write_flow(images / f"flow_x_{i + 1:05d}.jpg", one)
    np.savez(root / "tree" / "a" / "two.npz", flow=flow)
    return root


def _video(root, name):
    file = FileVideo(root / "videos" / "a" / f"{name}.mp4")
    return FlowVideo(file, (root / "tree" / "a" / name,))


def _spec(modality="rgb+flow", length=2, **changes):
    spec = SPEC.with_modality(modality, flow_length=length)
    return dataclasses.replace(spec, flow_method="files", **changes)


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize(
    ("stack", "length", "flows"),
    [("forward", 2, [[2, 3], [5, 6]]), ("centred", 3, [[2, 3, 4], [5, 6, 7]])],
)
def test_flow_begins_at_its_frame(root, name, stack, length, flows):
    spec = _spec(length=length, flow_stack=stack)
    clip = view_clip(_video(root, name), spec)
    assert clip.shape == (2, HEIGHT, HEIGHT, 3 + 2 * length)
    numbers = _numbers(clip)
    np.testing.assert_array_equal(
        numbers[:, 0],
        [row[length // 2] for row in flows] if stack == "centred" else [2, 5],
    )
    np.testing.assert_array_equal(numbers[:, 4::2], flows)
    alone = view_clip(
        _video(root, name),
        dataclasses.replace(
            SPEC.with_modality("flow", flow_length=length),
            flow_method="files",
            flow_stack=stack,
        ),
    )
    np.testing.assert_array_equal(alone, clip[..., 3:])


@pytest.mark.parametrize("name", ["one", "two"])
def test_colours_and_flow_show_the_same_part_and_flip_together(root, name):
    spec = dataclasses.replace(_spec(length=1), size=24)
    for seed in range(4):
        plain, mirrored = (
            random_clip(
                *(_video(root, name), spec),
                rng=np.random.default_rng(seed),
                short_side=(24, 60),
                flip_rate=rate,
            )[0].astype(int)
            for rate in (0.0, 1.0)
        )
        np.testing.assert_array_equal(mirrored[..., :3], plain[:, :, ::-1, :3])
        for clip, u in ((plain, plain[..., 3]), (mirrored, 255 - mirrored[..., 3])):
            colours, v = clip[..., 0], clip[..., 4]
            assert np.abs(v - colours).mean() < 4  # One pixel aside it is 8 and more.
            assert np.abs(u - v // 2 - 100).mean() < 3


def test_codes_of_images_are_inverted_and_pixels_of_arrays_negated(root):
    spec = _spec("flow", length=1, num_frames=1)
    for name in ("one", "two"):
        plain, mirrored = (
            view_clip(
                _video(root, name), spec, view=view, views=Views(1, 10, crops="tsm")
            )
            for view in (0, 1)
        )
        np.testing.assert_array_equal(mirrored[..., 0], 255 - plain[:, :, ::-1, 0])
        np.testing.assert_array_equal(mirrored[..., 1], plain[:, :, ::-1, 1])


def test_zero_in_an_array_stays_zero_when_it_is_mirrored(root, tmp_path):
    np.savez_compressed(
        tmp_path / "one.npz", flow=np.zeros((FRAMES - 1, HEIGHT, WIDTH, 2))
    )
    video = FlowVideo(_video(root, "one").video, (tmp_path / "one",))
    clip, flipped = random_clip(
        video, _spec("flow"), rng=np.random.default_rng(0), flip_rate=1.0
    )
    assert flipped
    np.testing.assert_array_equal(clip, np.asarray(flow_to_bytes(jnp.zeros(2)))[0])


def test_stacks_lie_inside_the_video_or_do_not_move(root):
    spec = _spec("flow", length=4, num_frames=1)
    for seed in range(5):
        clip, _ = random_clip(
            _video(root, "two"), spec, rng=np.random.default_rng(seed)
        )
        first = _numbers(clip)[0, 1]
        assert _numbers(clip)[0, 1::2].tolist() == list(range(first, first + 4))
    long = dataclasses.replace(
        SPEC.with_modality("flow", flow_length=12), num_frames=1, flow_method="files"
    )
    clip = view_clip(_video(root, "two"), long)[0]
    assert _numbers(clip[None])[0, 1:9:2].tolist() == [5, 6, 7, 8]
    np.testing.assert_array_equal(clip[..., 10:], 128)


def test_other_bounds_and_counts_from_zero_are_understood(root, tmp_path):
    flow = np.stack([_pixels(i) for i in range(FRAMES - 1)])
    (tmp_path / "one").mkdir()
    for i, one in enumerate(flow):
        write_flow(tmp_path / "one" / f"flow_x_{i:05d}.jpg", one, bound=32.0)
    (tmp_path / "one" / "flow.json").write_text(
        json.dumps({"bound": 32.0, "fps": 25.0})
    )
    spec = _spec(length=1, fps=25.0)
    got = view_clip(FlowVideo(_video(root, "one").video, (tmp_path / "one",)), spec)
    want = view_clip(_video(root, "two"), spec).astype(int)
    assert np.abs(got[:, 4:20] - want[:, 4:20]).max() <= LOSSY
    np.testing.assert_array_equal(_numbers(got)[:, 4], _numbers(want)[:, 4])


def test_what_does_not_fit_the_video_is_told(root, tmp_path):
    file = _video(root, "one").video
    with pytest.raises(
        VideoError, match=r"one.mp4: there is no flow in .*flow_x_00001"
    ):
        view_clip(FlowVideo(file, (tmp_path / "one",)), _spec())
    np.savez(tmp_path / "one.npz", flow=np.zeros((5, HEIGHT, WIDTH, 2), np.float32))
    with pytest.raises(VideoError, match=r"10 frames at 25 .* its flow 5 .*not 9"):
        view_clip(FlowVideo(file, (tmp_path / "one",)), _spec())
    with pytest.raises(VideoError, match=r"at 25 frames per .* wants 10: .*--fps 10"):
        view_clip(_video(root, "one"), _spec(fps=10.0))
    np.savez(tmp_path / "two.npz", flows=np.zeros(3))
    with pytest.raises(VideoError, match='no file of the array "flow"'):
        view_clip(FlowVideo(file, (tmp_path / "two",)), _spec())
    np.savez(tmp_path / "flat.npz", flow=np.zeros(3))
    with pytest.raises(VideoError, match=r"not \[N - 1, H, W, 2\]"):
        view_clip(FlowVideo(file, (tmp_path / "flat",)), _spec())
    (tmp_path / "gone").mkdir()
    with pytest.raises(VideoError, match="has no flow_x_00001"):
        view_clip(FlowVideo(file, (tmp_path / "gone",)), _spec())
    for i in range(1, FRAMES):
        for part in "xy":
            (tmp_path / "gone" / f"flow_{part}_{i:05d}.jpg").write_bytes(b"no JPEG")
    with pytest.raises(VideoError, match="is no JPEG"):
        view_clip(FlowVideo(file, (tmp_path / "gone",)), _spec())
    (tmp_path / "gone" / "flow_y_00003.jpg").unlink()
    (tmp_path / "gone" / "flow.json").write_text("{")
    with pytest.raises(VideoError, match=r"flow.json cannot be read"):
        view_clip(FlowVideo(file, (tmp_path / "gone",)), _spec())


def test_a_source_finds_flow_where_its_videos_are_or_by_their_names(root, tmp_path):
    config = DataConfig(
        source=f"csv:{tmp_path / 'list.csv'}", flow_files=str(root / "tree" / "a")
    )
    (tmp_path / "list.csv").write_text(
        f"path,label,split\n{root}/videos/a/one.mp4,x,train\n"
        f"{root}/videos/a/two.mp4,x,val\n"
    )
    spec = _spec()
    source = make_source(config, spec)
    batch = next(train_batches(source, batch_size=2, seed=0))
    assert batch["clip"].shape == (2, *spec.shape)
    np.testing.assert_array_equal(source.clip(0), view_clip(_video(root, "one"), spec))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "synthetic_motion"}, "videos in files, such as folder:DIR"),
        ({"source": "records:x"}, "videos in files, such as folder:DIR"),
        ({"flow_files": "/nowhere"}, "'/nowhere' is no folder"),
        ({"augment": AugmentConfig(rand_augment=(2, 5.0))}, "cannot follow them"),
    ],
)
def test_data_that_flow_files_do_not_fit_is_refused(root, changes, message):
    config = DataConfig(source=f"folder:{root}/videos", flow_files=str(root / "tree"))
    with pytest.raises(ValueError, match=message):
        make_source(dataclasses.replace(config, **changes), _spec())
