"""Shards: DMVR's layout both ways, frames by index, damage, what is missing."""

import numpy as np
import pytest

from vidjax.config import DataConfig
from vidjax.data.backends import import_tensorflow
from vidjax.data.prepared import write_shard
from vidjax.data.records import (
    INDEX_SUFFIX,
    index_records,
    make_record,
    open_shard,
    read_jpegs,
    save_index,
)
from vidjax.data.shards import RecordVideo, open_shards
from vidjax.data.sources import make_source
from vidjax.data.timeline import VideoError
from vidjax.data.transforms import Box
from vidjax.data.wire import parse_context, span_frames
from vidjax.protocols import protocol
from vidjax.typing import ClipSpec

from .conftest import HEIGHT, WIDTH, read_stamps, stamp

SPEC = ClipSpec(4, 3, size=HEIGHT, crop_fraction=1.0)


def _jpegs(count, first=0):
    encode = import_tensorflow().io.encode_jpeg
    return [
        encode(stamp(first + i), quality=95, chroma_downsampling=False).numpy()
        for i in range(count)
    ]


def _record(name, label, count=20, first=0):
    return make_record(
        _jpegs(count, first),
        name=name,
        label=label,
        label_name="ab"[label],
        fps=20.0,
        start_sec=1.5,
    )


def _write(folder, split="train", shards=2):
    for number in range(shards):
        records = [_record(f"{number}{i}.mp4", (number + i) % 2) for i in range(3)]
        path = folder / f"{split}-{number:05d}-of-{shards:05d}.tfrecord"
        write_shard(path, iter(records))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return _write(_write(tmp_path_factory.mktemp("shards")), "eval", 1)


@pytest.fixture
def shard(tmp_path):
    """A shard that may be damaged."""
    _write(tmp_path, shards=1)
    return tmp_path / "train-00000-of-00001.tfrecord"


def _whole(height, width):
    return (height, width), Box(0, 0, height, width)


def test_records_are_read_as_dmvr_reads_them():
    """The features of dmvr/modalities.py, through TensorFlow's own parser."""
    tf = import_tensorflow()
    context, lists = tf.io.parse_single_sequence_example(
        _record("é b.mp4", 1, count=5),
        context_features={
            "clip/label/index": tf.io.FixedLenFeature((), tf.int64),
            "clip/label/text": tf.io.FixedLenFeature((), tf.string),
            "clip/start/timestamp": tf.io.FixedLenFeature((), tf.int64),
            "clip/end/timestamp": tf.io.FixedLenFeature((), tf.int64),
            "video/filename": tf.io.FixedLenFeature((), tf.string),
        },
        sequence_features={
            "image/encoded": tf.io.FixedLenSequenceFeature((), tf.string)
        },
    )

    assert {name: value.numpy() for name, value in context.items()} == {
        "clip/label/index": 1,
        "clip/label/text": b"b",
        "clip/start/timestamp": 1_500_000,
        "clip/end/timestamp": 1_750_000,
        "video/filename": "é b.mp4".encode(),
    }
    assert lists["image/encoded"].numpy().tolist() == _jpegs(5)


def test_shards_of_others_are_indexed_when_they_are_opened(tmp_path):
    """As Scenic's users write them: no file names, no rate, other lists beside."""
    tf = import_tensorflow()
    path = tmp_path / "kinetics-00000-of-00001"
    feature = tf.train.Feature
    image = tf.train.FeatureList(
        feature=[
            feature(bytes_list=tf.train.BytesList(value=[jpeg]))
            for jpeg in _jpegs(7, 3)
        ]
    )
    sound = tf.train.FeatureList(feature=[feature(float_list={"value": [0.5, -0.5]})])
    example = tf.train.SequenceExample(
        context=tf.train.Features(
            feature={"clip/label/index": feature(int64_list={"value": [1]})}
        ),
        feature_lists=tf.train.FeatureLists(
            feature_list={"WAVEFORM/feature/floats": sound, "image/encoded": image}
        ),
    )
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())

    found = open_shards(str(tmp_path / "kinetics-*"), split="train")

    video = found.video(0)
    assert (found.labels.tolist(), found.label_names) == ([1], ("class 0", "class 1"))
    assert (video.num_frames, video.fps) == (7, 25.0)
    clip = video.read(np.array([6, 0, 6]), _whole, "bilinear")
    assert read_stamps(clip) == [9, 3, 9]
    assert (tmp_path / f"{path.name}{INDEX_SUFFIX}").exists()
    assert open_shard(path).names == (f"{path}#0",)


def test_only_the_bytes_of_a_clip_are_decoded(shards, monkeypatch):
    source = make_source(DataConfig(source=f"records:{shards}"), SPEC)
    calls = []
    module = __import__("vidjax.data.shards", fromlist=["read_jpegs"])

    def noted(path, record, indices):
        calls.append(indices)
        return read_jpegs(path, record, indices)

    monkeypatch.setattr(module, "read_jpegs", noted)
    views = protocol("mmaction-10x3")
    clip = source.clip(4, view=0, views=views)

    assert calls == [[0, 3, 6, 9]]
    assert clip.shape == source.test_shape(views) == (4, HEIGHT, HEIGHT, 3)
    assert read_stamps(np.pad(clip, ((0, 0), (0, 0), (0, WIDTH), (0, 0)))) == calls[0]


def test_a_box_of_a_frame_is_that_of_the_whole_frame(shards):
    """Through decode_and_crop_jpeg, which pays where nothing is resized."""
    video = open_shards(str(shards), split="train").video(0)
    frames = np.arange(3)
    whole = video.read(frames, _whole, "bilinear")
    # More than half of a frame is cut out after decoding, less than that before.
    for box in (Box(3, 10, 32, 40), Box(1, 2, 46, 60)):
        part = video.read(frames, lambda h, w, box=box: ((h, w), box), "bilinear")
        rows = slice(box.top, box.top + box.height)
        columns = slice(box.left, box.left + box.width)
        np.testing.assert_array_equal(part, whole[:, rows, columns])
    half = video.read(
        frames, lambda h, w: ((h // 2, w // 2), Box(0, 0, 24, 32)), "area"
    )
    assert half.shape == (3, 24, 32, 3)
    assert np.abs(half[:, 2:10, 2:6].astype(int) - whole[:, 4:20:2, 4:12:2]).max() < 30


def test_frames_of_several_sizes_are_one_sentence(tmp_path):
    encode = import_tensorflow().io.encode_jpeg
    jpegs = [*_jpegs(2), encode(stamp(1)[:32]).numpy()]
    record = make_record(jpegs, name="x.mp4", label=0, label_name="", fps=1.0)
    path = tmp_path / "x.tfrecord"
    write_shard(path, iter([record]))
    video = RecordVideo(str(path), open_shard(path).record(0))

    assert read_stamps(video.read(np.array([1, 0]), _whole, "bilinear")) == [1, 0]
    with pytest.raises(VideoError, match=r"Frames of x\.mp4 in .* differ in size"):
        video.read(np.array([1, 2]), _whole, "bilinear")


def test_both_splits_have_their_videos(shards):
    config = DataConfig(source=f"records:{shards}")
    train, held_out = (
        make_source(config, SPEC),
        make_source(config, SPEC, split="eval"),
    )

    assert train.paths == ("00.mp4", "01.mp4", "02.mp4", "10.mp4", "11.mp4", "12.mp4")
    assert train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert train.label_names == held_out.label_names == ("a", "b")
    assert held_out.num_examples == 3
    clip, label = train.draw(5, rng=np.random.default_rng(0))
    assert clip.shape == SPEC.shape
    assert label == 1
    pattern = make_source(
        DataConfig(source=f"records:{shards}/{{split}}-*.tfrecord"), SPEC, split="eval"
    )
    assert pattern.paths == held_out.paths


@pytest.mark.parametrize("offset", [60, 5000, -3000])
def test_a_flipped_byte_is_noticed(shard, offset):
    data = bytearray(shard.read_bytes())
    data[offset] ^= 4
    shard.write_bytes(data)
    found = open_shards(str(shard.parent), split="train")
    failed = []
    for index in range(3):
        try:
            found.video(index).read(np.arange(20), _whole, "bilinear")
        except VideoError as error:
            failed.append(str(error))
    # The first lies before the frames: labels are read from the index.
    assert len(failed) == (offset != 60)
    assert all("(CRC)" in text for text in failed)


def test_a_damaged_shard_without_an_index_is_noticed(shard):
    index = shard.with_name(shard.name + INDEX_SUFFIX)
    index.unlink()
    data = bytearray(shard.read_bytes())
    data[5000] ^= 4
    shard.write_bytes(data)
    with pytest.raises(VideoError, match="damaged or cut short"):
        open_shard(shard)
    assert not index.exists()


def test_a_shard_that_is_cut_short_is_noticed(shard):
    data = shard.read_bytes()
    shard.write_bytes(data[:-10])
    with pytest.raises(VideoError, match="its index says"):
        open_shard(shard)
    shard.with_name(shard.name + INDEX_SUFFIX).unlink()
    with pytest.raises(VideoError, match="cut short"):
        open_shard(shard)
    shard.with_name(shard.name + INDEX_SUFFIX).write_bytes(b"junk")
    with pytest.raises(VideoError, match=r"index.npz is damaged; remove it"):
        open_shard(shard)
    with pytest.raises(VideoError, match="does not exist"):
        open_shard(shard.parent / "none.tfrecord")


def test_a_shard_that_goes_away_is_one_sentence(shard):
    video = open_shards(str(shard.parent), split="train").video(0)
    shard.unlink()
    with pytest.raises(VideoError, match="cannot be read"):
        video.read(np.arange(2), _whole, "bilinear")


def test_a_missing_shard_is_named(tmp_path):
    _write(tmp_path)
    (tmp_path / "train-00001-of-00002.tfrecord").unlink()
    with pytest.raises(ValueError, match=r"1 of the 2 shards .*train-\* are missing"):
        open_shards(str(tmp_path), split="train")
    with pytest.raises(ValueError, match=r"no shards .*eval-\*.tfrecord. .* has train"):
        open_shards(str(tmp_path), split="eval")


def test_labels_that_do_not_fit_are_refused(tmp_path):
    _write(tmp_path, shards=1)
    (tmp_path / "labels.txt").write_text("only\n")
    with pytest.raises(ValueError, match=r"have the label 1, and labels\.txt"):
        open_shards(str(tmp_path), split="train")
    (tmp_path / "labels.txt").unlink()
    records = [
        make_record(_jpegs(1), name="x", label=0, label_name=name, fps=1.0)
        for name in ("p", "q")
    ]
    write_shard(tmp_path / "eval-00000-of-00001.tfrecord", iter(records))
    with pytest.raises(ValueError, match="call label 0 'p' and 'q'"):
        open_shards(str(tmp_path), split="eval")


def test_what_is_no_record_is_said(tmp_path):
    with pytest.raises(VideoError, match="Record 0 of x is damaged"):
        index_records("x", iter([b"\x0a\xff\x01"]))
    with pytest.raises(VideoError, match="has no list image/encoded"):
        index_records("x", iter([b""]))
    empty = index_records(str(tmp_path / "x"), iter([]))
    save_index(empty)
    (tmp_path / "x").touch()
    assert len(open_shard(tmp_path / "x")) == 0
    with pytest.raises(ValueError, match="have no videos"):
        open_shards(str(tmp_path / "x*"), split="train")


@pytest.mark.parametrize("record", [b"\x0a", b"\x12\x05\x0a", b"\x0b", b"\xff" * 12])
def test_messages_that_do_not_end_are_refused(record):
    with pytest.raises(ValueError, match=r"does not end|longer than|kind"):
        _ = parse_context(record), span_frames(record)


def test_a_frame_that_is_no_jpeg_is_one_sentence(tmp_path):
    record = make_record([b"junk"], name="x.mp4", label=0, label_name="", fps=1.0)
    path = tmp_path / "x.tfrecord"
    write_shard(path, iter([record]))
    video = RecordVideo(str(path), open_shard(path).record(0))
    with pytest.raises(VideoError, match=r"frame of x.mp4 in .* is no JPEG"):
        video.read(np.array([0]), _whole, "bilinear")
