"""Videos, lists and shards in a bucket: TensorFlow's memory acts as one."""

import json

import numpy as np
import pytest

from vidjax.cli.main import main
from vidjax.config import DataConfig
from vidjax.data import buckets, media, probe, read_frames
from vidjax.data.backends import import_tensorflow
from vidjax.data.buckets import BucketPath, as_path, find, is_remote, replacing, walk
from vidjax.data.lists import read_csv, read_folder
from vidjax.data.official import read_official
from vidjax.data.shards import open_shards
from vidjax.data.sources import make_source
from vidjax.data.timeline import VideoError
from vidjax.typing import ClipSpec

from .conftest import read_stamps, write_video

SPEC = ClipSpec(4, 2, size=32, crop_fraction=1.0)


def _put(path, content):
    """Writes a file; unlike a real bucket, memory wants its folders made."""
    path.parent.mkdir()
    path.write_bytes(content)


def _upload(source, target):
    """Copies a folder or a file to a bucket."""
    for folder, _, files in walk(source):
        for name in files:
            path = as_path(folder) / name
            there = BucketPath(target) / path.relative_to(source).as_posix()
            _put(there, path.read_bytes())
    return target


@pytest.fixture(scope="module")
def bucket(video_folder):
    """The folder with a folder a class, in a bucket."""
    return _upload(video_folder, "ram://videos/set one")


@pytest.fixture
def stamped(video):
    path = BucketPath("ram://videos/stämped 1.mp4")
    _put(path, video.read_bytes())
    return str(path)


@pytest.mark.parametrize("small", [True, False])
def test_frames_of_a_bucket_are_those_of_the_file(video, stamped, small, monkeypatch):
    """Fetched at once, or in the blocks that are read."""
    monkeypatch.setattr(media, "_SMALL", 1 << 20 if small else 0)
    wanted = [39, 3, 17]

    frames = read_frames(stamped, wanted)

    np.testing.assert_array_equal(frames, read_frames(video, wanted))
    assert read_stamps(frames) == wanted
    assert probe(stamped) == probe(video)


def test_a_clip_of_a_large_file_fetches_a_part_of_it(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (48, 240, 320, 3), np.uint8)
    options = {"bf": "0", "preset": "ultrafast"}
    path = write_video(tmp_path / "x.mp4", images=list(noise), gop=4, options=options)
    there = BucketPath("ram://videos/large.mp4")
    _put(there, path.read_bytes())
    monkeypatch.setattr(media, "_SMALL", 0)
    monkeypatch.setattr(buckets, "_BLOCK", 1 << 15)
    probe(str(there))  # Reads the times of all frames.
    fetched = []
    read = buckets._BucketFile.readinto

    def noted(self, buffer):
        count = read(self, buffer)
        fetched.append(count)
        return count

    monkeypatch.setattr(buckets._BucketFile, "readinto", noted)
    read_frames(str(there), [40, 41])

    assert 0 < sum(fetched) < 0.25 * path.stat().st_size


def test_a_folder_of_a_bucket_is_listed_like_one_of_a_disk(bucket, video_folder):
    for split in ("train", "eval"):
        there = read_folder(bucket, split=split)
        here = read_folder(video_folder, split=split)
        names = [e.path.removeprefix(f"{bucket}/") for e in there.examples]
        assert names == [
            str(as_path(e.path).relative_to(video_folder)) for e in here.examples
        ]
        assert there.label_names == here.label_names
    with pytest.raises(ValueError, match="does not exist, or is no folder"):
        read_folder("ram://videos/none", split="train")


def test_a_list_names_videos_in_buckets(bucket, video_folder, tmp_path):
    rows = [
        f"{bucket}/left/clip 0.mp4,left,train",
        f"{video_folder}/right/clip 1.mp4,right,train",
        f"{bucket}/right/clip 0.mp4,right,val",
    ]
    text = "\n".join(["path,label,split", *rows])
    file = tmp_path / "list.csv"
    file.write_text(text)
    there = BucketPath(f"{bucket}/list.csv")
    there.write_bytes(text.encode() + b"\nleft/clip 1.mp4,left,val")

    assert [e.path for e in read_csv(file, split="train").examples] == [
        f"{bucket}/left/clip 0.mp4",
        f"{video_folder}/right/clip 1.mp4",
    ]
    found = [e.path for e in read_csv(str(there), split="eval").examples]
    assert found[1] == f"{bucket}/left/clip 1.mp4"
    file.write_text(f"path,label\n{bucket}/left/none.mp4,left\n{bucket}/no/x.mp4,a")
    with pytest.raises(ValueError, match=r"none\.mp4; line 3: there is no video"):
        read_csv(file, split="train")


def test_official_lists_are_read_from_a_bucket(bucket):
    lists = BucketPath("ram://lists/hmdb51")
    for label in ("left", "right"):
        text = "".join(f"clip {i}.avi {1 + (i > 2)} \r\n" for i in range(5))
        _put(lists / f"splits/{label}_test_split1.txt", text.encode())

    found = read_official("hmdb51", bucket, annotations=str(lists), split="train")

    assert len(found.examples) == 6
    assert found.examples[0].path == f"{bucket}/left/clip 0.mp4"
    frames = read_frames(found.examples[0].path, [0, 5])
    assert frames.shape == (2, 48, 48, 3)


def test_shards_in_a_bucket_are_those_on_a_disk(bucket, video_folder, tmp_path, capsys):
    out = "ram://shards/set"
    flags = ["--short-side", "32", "--shards", "2"]
    there = ["--videos", bucket, "--out", out]
    assert main(["prepare", "folder", *there, *flags]) == 0
    here = ["--videos", str(video_folder), "--out", str(tmp_path)]
    assert main(["prepare", "folder", *here, *flags]) == 0

    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert sorted(path.name for path in BucketPath(out).iterdir()) == names
    for name in names:
        if name != "report.json" and not name.endswith(".tfrecord.json"):
            same = (BucketPath(out) / name).read_bytes()
            assert same == (tmp_path / name).read_bytes(), name
    assert main(["prepare", "folder", "--out", out, "--check"]) == 0
    assert "every shard is as it was written" in capsys.readouterr().out
    sources = [
        make_source(DataConfig(source=f"records:{where}"), SPEC, split="eval")
        for where in (out, tmp_path, f"{out}/{{split}}-*.tfrecord")
    ]
    clips = [source.clip(1) for source in sources]
    np.testing.assert_array_equal(clips[0], clips[1])
    np.testing.assert_array_equal(clips[0], clips[2])
    first = BucketPath(out) / "eval-00000-of-00002.tfrecord"
    damaged = bytearray(first.read_bytes())
    damaged[-100] ^= 1
    first.unlink()
    first.write_bytes(bytes(damaged))
    with pytest.raises(VideoError, match=r"\(CRC\)"):
        open_shards(out, split="eval").video(0).read(
            np.arange(12), lambda h, w: ((h, w), None), "bilinear"
        )
    assert main(["prepare", "folder", "--out", out, "--check"]) == 1


def test_what_is_missing_or_no_video_in_a_bucket_is_one_sentence(bucket):
    BucketPath(f"{bucket}/empty.mp4").write_bytes(b"")
    BucketPath(f"{bucket}/junk.mp4").write_bytes(b"junk" * 10)
    for name, reason in [
        ("none.mp4", "does not exist"),
        ("left", "is a folder"),
        ("empty.mp4", "is empty"),
        ("junk.mp4", "no video"),
    ]:
        with pytest.raises(VideoError, match=f"{name} .*{reason}|{name} {reason}"):
            read_frames(f"{bucket}/{name}", [0])
    for name in ("empty.mp4", "junk.mp4"):
        BucketPath(f"{bucket}/{name}").unlink()
    with pytest.raises(FileNotFoundError, match=r"empty\.mp4 does not exist"):
        BucketPath(f"{bucket}/empty.mp4").unlink()
    with pytest.raises(OSError, match="cannot be read or written"):
        BucketPath("nothing://here").stat()
    with pytest.raises(ValueError, match="opened as 'rb', got 'w'"):
        BucketPath(f"{bucket}/x").open("w")


def test_a_file_that_could_not_be_written_is_not_there():
    path = BucketPath("ram://part/x.json")
    _put(path, b"old")
    stopped = replacing(path)
    stopped.__enter__().write_bytes(b"half")
    assert not stopped.__exit__(KeyError, KeyError(), None)
    assert path.read_text() == "old"
    assert [p.name for p in BucketPath("ram://part").iterdir()] == ["x.json"]
    with replacing(path) as temporary:
        temporary.write_bytes(json.dumps([1]).encode())
    assert json.loads(path.read_text()) == [1]


def test_paths_with_a_scheme_keep_it():
    path = as_path("gs://bucket/a b")
    assert str(path / "c.mp4") == "gs://bucket/a b/c.mp4"
    assert str((path / "c.mp4").parent) == str(path)
    assert str((path / "c.mp4").with_name("d")) == "gs://bucket/a b/d"
    assert is_remote(path)
    assert not is_remote("a:/b")
    assert find("ram://nothing/*") == []
    assert import_tensorflow().io.gfile.get_registered_schemes().count("gs") == 1
