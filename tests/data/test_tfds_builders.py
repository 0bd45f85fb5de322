"""Builders for TFDS: each set in its official layout, prepared and loaded."""

import logging

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vidjax.config import DataConfig
from vidjax.data import tfds_builders
from vidjax.data.sources import make_source
from vidjax.typing import ClipSpec

from .conftest import HEIGHT, WIDTH, read_stamps
from .test_official import LAYOUTS

LAYOUT_OF_A_FOLDER = (
    {},
    [
        f"{split}/{name}/{i}.mp4"
        for split in ("train", "val")
        for i, name in enumerate("ab")
    ],
    [("0", "a", 0, None), ("1", "b", 0, None)],
    [("0", "a", 0, None), ("1", "b", 0, None)],
)
SETS = {
    **{name: LAYOUTS[name] for name in LAYOUTS if name != "ucf101"},
    "folder": LAYOUT_OF_A_FOLDER,
}


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory, video):
    """Every set, in the folder called like it; each video is the stamped one."""
    root = tmp_path_factory.mktemp("manual")
    for name, (lists, videos, *_) in SETS.items():
        for file, text in lists.items():
            path = root / name / "lists" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        for file in videos:
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(video)
    return root


def _prepare(name, manual_dir, data_dir, **settings):
    builder = tfds.builder(name, data_dir=str(data_dir), **settings)
    how = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
    builder.download_and_prepare(download_config=how)
    return builder


@pytest.mark.parametrize("name", SETS)
def test_tfds_loads_a_set_from_its_official_layout(name, manual_dir, tmp_path):
    builder = _prepare(f"vidjax_{name}", manual_dir, tmp_path)
    *_, train, held_out = SETS[name]

    names = builder.info.features["label"].names
    expected = {"train": train, type(builder).HELD_OUT: held_out}
    assert builder.info.splits.keys() == expected.keys()
    for split, rows in expected.items():
        found = list(builder.as_dataset(split=split).as_numpy_iterator())
        assert sorted(
            (row["name"].decode().rpartition(".")[0], names[row["label"]])
            for row in found
        ) == sorted((stem, label) for stem, label, *_ in rows)
        starts = {row["name"].decode().rpartition(".")[0]: row for row in found}
        for stem, _, start, _ in rows[:1]:
            row = starts[stem]
            assert row["video"].shape[1:] == (HEIGHT, WIDTH, 3)
            assert (row["fps"], row["start_sec"]) == (20.0, start)
            frames = read_stamps(row["video"])
            assert frames == [*range(int(start * 20), int(start * 20) + len(frames))]


def test_with_skip_decoding_only_wanted_frames_are_decoded(manual_dir, tmp_path):
    """Through TFDS alone: what it gives are the bytes of the frames."""
    builder = _prepare("vidjax_ssv2", manual_dir, tmp_path)
    skip = {"video": tfds.decode.SkipDecoding()}
    (row,) = builder.as_dataset(split="train", decoders=skip)
    assert row["video"].shape == (40,)
    tf = __import__("tensorflow")
    frames = [tf.io.decode_jpeg(jpeg) for jpeg in tf.gather(row["video"], [7, 31])]
    assert read_stamps(np.stack(frames)) == [7, 31]


def test_a_set_that_was_built_is_a_source(manual_dir, tmp_path):
    config = tfds_builders.FramesConfig(
        name="small", version="1.0.0", short_side=32, fps=10.0, fold=2
    )
    _prepare("vidjax_hmdb51", manual_dir, tmp_path, config=config)
    spec = ClipSpec(4, 2, size=32, crop_fraction=1.0)
    source = make_source(
        DataConfig(source="tfds:vidjax_hmdb51/small", tfds_dir=str(tmp_path)), spec
    )
    assert source.paths == ("(Rad)_cartwheel_f_0.avi",)  # Of the second split.
    assert source.label_names == ("brush_hair", "cartwheel")
    assert source.clip(0).shape == (4, 32, 32, 3)


def test_videos_that_cannot_be_read_are_left_out(tmp_path, video, caplog):
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for i in range(2):
            (tmp_path / "in" / name / f"{i}.mp4").symlink_to(video)
    (tmp_path / "in" / "a" / "bad.mp4").write_bytes(b"junk")
    with caplog.at_level(logging.WARNING, "vidjax.data"):
        builder = _prepare("vidjax_folder", tmp_path / "in", tmp_path / "out")
    counts = {name: split.num_examples for name, split in builder.info.splits.items()}
    assert sum(counts.values()) == 4
    assert "bad.mp4 is no video, or damaged" in caplog.text
    assert "It is left out." in caplog.text


def test_lists_that_are_missing_are_said(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.mp4").touch()
    with pytest.raises(ValueError, match=r"no list in .* whose name is .*vocab"):
        _prepare("vidjax_diving48", tmp_path / "in", tmp_path / "out")
