"""Sets of TensorFlow Datasets: the same clips by number as from other sources."""

import logging
import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vidjax.config import DataConfig
from vidjax.data import VideoError, train_batches
from vidjax.data.backends import import_tensorflow
from vidjax.data.shards import RecordVideo
from vidjax.data.sources import make_source
from vidjax.data.tfds_sets import open_tfds
from vidjax.data.transforms import Box
from vidjax.protocols import protocol
from vidjax.typing import ClipSpec

from .conftest import HEIGHT, read_stamps, stamp

SPEC = ClipSpec(4, 3, size=HEIGHT, crop_fraction=1.0)
FEATURES = tfds.features


class VidjaxToy(tfds.core.GeneratorBasedBuilder):
    """Stamped videos: JPEGs as bytes, or PNGs in a nested feature, from arrays."""

    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name, version="1.2.0")
        for name in ("jpeg", "png", "unlabelled", "two", "empty")
    ]

    def _info(self):
        kind = self.builder_config.name
        shape = (None, None, None, 3)
        features = {
            "video": FEATURES.Video(shape=shape, encoding_format="jpeg"),
            "label": FEATURES.ClassLabel(names=["turn left", "turn right"]),
            "fps": np.float32,
            "name": FEATURES.Text(),
        }
        if kind == "png":
            video = FEATURES.Video(shape=shape)
            features = {"clip": {"frames": video}, "class": features["label"]}
        if kind == "unlabelled":
            del features["label"]
        if kind == "two":
            video = features.pop("video")
            features |= {"front": video, "back": video}
        return tfds.core.DatasetInfo(
            builder=self, features=FEATURES.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        splits = {"train": self._generate_examples(7)}
        if self.builder_config.name != "png":
            splits["test"] = self._generate_examples(3)
        return splits

    def _generate_examples(self, count):
        image = import_tensorflow().io
        kind = self.builder_config.name
        for i in range(count):
            frames = np.stack([stamp(i + t) for t in range(8 + 2 * i)])
            if kind == "png":
                yield f"key {i}", {"clip": {"frames": frames}, "class": i % 2}
                continue
            jpegs = [image.encode_jpeg(f, quality=95).numpy() for f in frames]
            jpegs = [] if kind == "empty" and i == 1 else jpegs
            video = {"front": jpegs, "back": jpegs} if kind == "two" else {}
            video = video or {"video": jpegs}
            row = {**video, "label": i % 2, "fps": 12.5, "name": f"video {i}"}
            if kind == "unlabelled":
                del row["label"]
            yield f"key {i}", row


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """All variants, in two files a split."""
    folder = tmp_path_factory.mktemp("tfds")
    how = tfds.download.DownloadConfig(num_shards=2)
    for config in VidjaxToy.BUILDER_CONFIGS:
        builder = VidjaxToy(config=config.name, data_dir=str(folder))
        builder.download_and_prepare(download_config=how)
    return str(folder)


def _source(data_dir, name="vidjax_toy/jpeg", split="train", **settings):
    config = DataConfig(source=f"tfds:{name}", tfds_dir=data_dir, **settings)
    return make_source(config, SPEC, split=split)


def test_labels_names_and_rates_are_those_of_the_set(data_dir):
    train, held_out = _source(data_dir), _source(data_dir, split="eval")

    assert train.label_names == held_out.label_names == ("turn left", "turn right")
    assert sorted(train.paths) == [f"video {i}" for i in range(7)]
    numbers = [int(path[-1]) for path in train.paths]
    assert train.labels.tolist() == [i % 2 for i in numbers]
    assert held_out.num_examples == 3
    video = open_tfds("vidjax_toy/jpeg", split="train", data_dir=data_dir).video(0)
    assert (video.fps, video.num_frames) == (12.5, 8 + 2 * numbers[0])


def test_the_order_is_that_of_tfds(data_dir):
    rows = tfds.load("vidjax_toy/jpeg", data_dir=data_dir, split="train[1:6]")
    source = _source(data_dir, tfds_splits=("train[1:6]", "train[6:]"))

    assert source.paths == tuple(row["name"].numpy().decode() for row in rows)
    for i in range(5):
        np.testing.assert_array_equal(source.clip(i), _source(data_dir).clip(1 + i))
    assert (
        _source(
            data_dir, split="eval", tfds_splits=("train[1:6]", "train[6:]")
        ).num_examples
        == 1
    )


@pytest.mark.parametrize("name", ["jpeg", "png"])
def test_only_the_frames_of_a_clip_are_read(data_dir, name, monkeypatch):
    source = _source(data_dir, f"vidjax_toy/{name}")
    index = 6
    read, wanted = RecordVideo.read, []

    def noted(self, indices, *rest):
        wanted.append(indices.tolist())
        return read(self, indices, *rest)

    monkeypatch.setattr(RecordVideo, "read", noted)
    views = protocol("mmaction-10x3")
    clip = source.clip(index, view=3, views=views)

    assert clip.shape == source.test_shape(views)
    (frames,) = wanted
    video = open_tfds(f"vidjax_toy/{name}", split="train", data_dir=data_dir)
    first = video.video(index).read(np.array([0]), _whole, "bilinear")
    clip = video.video(index).read(np.array(frames), _whole, "bilinear")
    assert np.subtract(read_stamps(clip), read_stamps(first)).tolist() == frames


def _whole(height, width):
    return (height, width), Box(0, 0, height, width)


def test_pngs_are_read_exactly_and_cut_like_jpegs(data_dir):
    video = open_tfds("vidjax_toy/png", split="train", data_dir=data_dir).video(2)
    (number,) = read_stamps(video.read(np.array([0]), _whole, "bilinear"))
    box = Box(4, 10, 20, 30)
    part = video.read(np.array([3]), lambda h, w: ((h, w), box), "bilinear")
    np.testing.assert_array_equal(part[0], stamp(number + 3)[4:24, 10:40])
    half = video.read(
        np.array([0]), lambda h, w: ((h // 2, w // 2), Box(0, 0, 10, 12)), "area"
    )
    assert half.shape == (1, 10, 12, 3)


def test_a_run_that_goes_on_sees_what_it_would_have_seen(data_dir):
    source = _source(data_dir)
    settings = {"batch_size": 4, "seed": 3, "workers": 2}
    whole, later = train_batches(source, **settings), None
    batches = [next(whole) for _ in range(6)]

    later = train_batches(source, start_step=4, **settings)

    for expected in batches[4:]:
        found = next(later)
        for key in expected:
            np.testing.assert_array_equal(found[key], expected[key])
    seen = np.concatenate([batch["index"] for batch in batches])
    assert sorted(seen[:7]) == sorted(seen[7:14]) == list(range(7))


def test_the_index_is_made_once(data_dir, caplog):
    with caplog.at_level(logging.INFO, "vidjax.data"):
        _source(data_dir, "vidjax_toy/empty")
        _source(data_dir, "vidjax_toy/empty")
    assert caplog.text.count("Noting where frames are in") == 2  # Files.


def test_a_video_without_frames_is_replaced(data_dir):
    source = _source(data_dir, "vidjax_toy/empty")
    bad = source.paths.index("video 1")
    with pytest.raises(VideoError, match=r"video 1 in .* has no frames"):
        source.clip(bad)
    batches = train_batches(source, batch_size=7, seed=0, bad_share=0.5)
    assert bad not in next(batches)["index"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "vidjax_toy/none",
            {},
            r"tfds:vidjax_toy/none is not prepared in .*This prepares it: tfds.builder",
        ),
        ("vidjax_toy/unlabelled", {}, r"the videos \['video'\] and the labels \[\]"),
        ("vidjax_toy/two", {}, r"the videos \['back', 'front'\]"),
        ("vidjax_toy/png", {"split": "eval"}, "splits train, and none of val, "),
        (
            "vidjax_toy/jpeg",
            {"tfds_splits": ("training", "test")},
            "has no split 'training', but .*train",
        ),
        ("vidjax_toy/jpeg", {"tfds_splits": ("train[:0]", "test")}, "has no videos"),
    ],
)
def test_what_does_not_fit_is_said(data_dir, name, settings, message):
    with pytest.raises(ValueError, match=message):
        _source(data_dir, name, **settings)


def test_a_folder_of_a_version_is_a_name(data_dir):
    folder = pathlib.Path(data_dir, "vidjax_toy", "jpeg", "1.2.0")
    found = make_source(DataConfig(source=f"tfds:{folder}"), SPEC)
    np.testing.assert_array_equal(found.clip(3), _source(data_dir).clip(3))


def test_other_formats_of_files_are_refused(tmp_path):
    builder = VidjaxToy(
        config="jpeg", data_dir=str(tmp_path), file_format="array_record"
    )
    builder.download_and_prepare()
    with pytest.raises(ValueError, match="was prepared as array_record"):
        _source(str(tmp_path))


def test_a_damaged_file_is_one_sentence(tmp_path):
    builder = VidjaxToy(config="jpeg", data_dir=str(tmp_path))
    builder.download_and_prepare()
    (path,) = builder.info.splits["train"].filepaths
    path = tmp_path / path
    data = bytearray(path.read_bytes())
    data[5000] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(VideoError, match=r"damaged or cut short \(CRC\)"):
        _source(str(tmp_path))
