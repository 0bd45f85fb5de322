"""Videos as people have them: each is read, or is one sentence, and nothing hangs."""

import os
import resource

import av
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from vidjax.config import DataConfig
from vidjax.data.clips import FileVideo, load_clip, random_clip
from vidjax.data.prepared import write_shard
from vidjax.data.records import INDEX_SUFFIX, make_record
from vidjax.data.shards import open_shards
from vidjax.data.sources import make_source
from vidjax.data.timeline import VideoError
from vidjax.data.transforms import Box
from vidjax.typing import ClipSpec

from .conftest import HEIGHT, WIDTH, read_stamps, stamp, write_video

SPEC = ClipSpec(4, 2, size=HEIGHT, crop_fraction=1.0)


def _cases(count):
    """Always the same cases; videos and shards are more than 500 together."""
    return hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def _junk(path, kind):
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no video at all\n" * 50)
    elif kind == "folder":
        path.mkdir()
    elif kind == "sound":
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 4096), np.float32), "fltp", "mono"
            )
            frame.rate = 8000
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    elif kind == "truncated":
        write_video(path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize(
    "kind", ["empty", "text", "folder", "sound", "truncated", "none"]
)
def test_what_is_no_video_is_one_sentence_that_names_it(tmp_path, kind):
    path = _junk(tmp_path / "böse datei.mp4", kind)
    for read in (
        lambda: load_clip(path, SPEC),
        lambda: random_clip(FileVideo(path), SPEC, rng=np.random.default_rng(0)),
    ):
        with pytest.raises(VideoError, match=r"böse datei\.mp4 ") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_one_frame_is_repeated(tmp_path):
    path = write_video(tmp_path / "one.mp4", frames=1)
    clip = load_clip(path, SPEC)
    np.testing.assert_array_equal(clip[0, 0], clip[0, 3])


def test_a_path_may_have_spaces_and_any_letters(tmp_path):
    path = write_video(tmp_path / "ein film — 映画 #1%.mp4")
    assert load_clip(path, SPEC).shape == (1, *SPEC.shape)


def test_a_path_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    """Root may read everything: the question is answered as for a user."""
    path = write_video(tmp_path / "closed.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(VideoError, match="may not be read by this user"):
        load_clip(path, SPEC)


def test_a_variable_rate_is_read_by_the_clock(tmp_path):
    """Twenty frames in the first second, one in the second after it."""
    times = [*range(0, 1000, 50), 1000, 2000]
    path = write_video(tmp_path / "v.mkv", frames=22, times=times)
    spec = ClipSpec(4, 5, size=HEIGHT, crop_fraction=1.0, fps=10.0)
    clip = random_clip(FileVideo(path, 0.0, 2.0), spec, rng=np.random.default_rng(3))[0]
    assert clip.shape == spec.shape
    video = FileVideo(path)
    assert video.shown(10.0)[[0, 5, 10, 15, 19]].tolist() == [0, 10, 20, 20, 20]


def test_an_8k_frame_takes_one_frame_of_memory(tmp_path):
    """Frames are resized one by one: 16 of them whole would be 1.6 GB."""
    wide = np.zeros((4320, 7680, 3), np.uint8)
    wide[:, :3840] = 200
    path = write_video(
        tmp_path / "8k.mp4",
        images=[wide] * 2,
        options={"preset": "ultrafast", "bf": "0"},
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    clip = load_clip(path, ClipSpec(16, size=32, crop_fraction=1.0))

    assert clip.shape == (1, 16, 32, 32, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000


def test_a_video_twice_in_a_folder_is_two_examples(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for copy in range(2):
            write_video(tmp_path / name / f"{copy}.mp4", frames=6)
    source = make_source(DataConfig(source=f"folder:{tmp_path}"), SPEC)
    assert source.num_examples == 2
    np.testing.assert_array_equal(source.clip(0), source.clip(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An MP4 file and a shard, and where their damaged copies go."""
    folder = tmp_path_factory.mktemp("fuzz")
    video = write_video(folder / "whole.mp4", frames=8, gop=4)
    jpeg = load_jpeg(stamp(3))
    record = make_record([jpeg] * 4, name="x", label=0, label_name="a", fps=5.0)
    shard = folder / "whole.tfrecord"
    write_shard(shard, iter([record] * 2))
    return folder, video.read_bytes(), shard.read_bytes()


def load_jpeg(image):
    """Encodes a picture."""
    from vidjax.data.backends import import_tensorflow

    return import_tensorflow().io.encode_jpeg(image).numpy()


_FLIPS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)),
    min_size=1,
    max_size=12,
)


def _damage(data, flips, keep):
    data = bytearray(data[: max(1, int(len(data) * keep))])
    for place, bits in flips:
        data[int(place * len(data))] ^= bits
    return bytes(data)


@_cases(400)
@hypothesis.given(flips=_FLIPS, keep=st.sampled_from([1.0, 1.0, 0.9, 0.3]))
def test_damaged_videos_are_read_or_refused(files, flips, keep):
    folder, video, _ = files
    path = folder / "damaged.mp4"
    path.write_bytes(_damage(video, flips, keep))
    clip, said = _attempt(lambda: load_clip(path, SPEC))
    assert "damaged.mp4" in said if clip is None else clip.shape == (1, *SPEC.shape)
    _bounded()


@_cases(120)
@hypothesis.given(flips=_FLIPS, keep=st.sampled_from([1.0, 1.0, 0.9, 0.3]))
def test_damaged_shards_are_read_or_refused(files, flips, keep):
    folder, _, shard = files
    path = folder / "damaged.tfrecord"
    path.write_bytes(_damage(shard, flips, keep))
    (folder / f"damaged.tfrecord{INDEX_SUFFIX}").unlink(missing_ok=True)

    def read():
        found = open_shards(str(folder / "damaged*"), split="train")
        return [
            found.video(index).read(
                np.arange(4), lambda h, w: ((h, w), Box(0, 0, HEIGHT, WIDTH)), "area"
            )
            for index in range(len(found.labels))
        ]

    videos, said = _attempt(read)
    if videos is None:
        assert str(folder) in said
    else:  # The CRC is of whole records: what is read is what was written.
        assert all(read_stamps(frames) == [3, 3, 3, 3] for frames in videos)
    _bounded()


def _attempt(read):
    """What was read, or what was said."""
    try:
        return read(), ""
    except ValueError as error:
        return None, str(error)


def _bounded():
    """All of the suite so far, and every damaged file, in a few gigabytes."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 8_000_000
