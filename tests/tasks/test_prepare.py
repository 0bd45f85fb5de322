"""From raw videos to shards: the same bytes however it went, and what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vidjax.cli.main import main
from vidjax.config import DataConfig
from vidjax.data.shards import open_shards
from vidjax.data.sources import make_source
from vidjax.tasks import prepare as module
from vidjax.tasks.prepare import PrepareSettings, check_prepared, prepare
from vidjax.typing import ClipSpec

SETTINGS = PrepareSettings(short_side=32, shards=2)


@pytest.fixture(scope="module")
def videos(tmp_path_factory, video_folder):
    """The ten videos, and two that are none."""
    root = tmp_path_factory.mktemp("raw")
    for name in ("left", "right"):
        (root / name).mkdir()
        for path in sorted((video_folder / name).iterdir()):
            (root / name / f"{name} {path.name}").symlink_to(path)
    (root / "left" / "ünread able.mp4").write_bytes(b"junk")
    (root / "right" / "empty.mp4").touch()
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, videos):
    out = tmp_path_factory.mktemp("out") / "records"
    return prepare("folder", videos=str(videos), out=out, settings=SETTINGS, workers=2)


def _bytes(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix in (".tfrecord", ".npz")
    }


def test_every_video_is_in_a_shard_or_in_the_report(prepared):
    report = json.loads((prepared.folder / "report.json").read_text())

    assert prepared.videos == report["videos"] == 10
    reasons = {os.path.basename(row["file"]): row["reason"] for row in report["bad"]}
    assert reasons.keys() == {"ünread able.mp4", "empty.mp4"}
    assert reasons["empty.mp4"].endswith("is empty.")
    assert check_prepared(prepared.folder) == []
    assert not list(prepared.folder.glob(".part*"))


def test_clips_of_shards_are_those_of_the_files(prepared, videos):
    spec = ClipSpec(4, 2, size=32, crop_fraction=1.0)
    records, files = (
        make_source(DataConfig(source=f"{kind}:{where}"), spec, split="eval")
        for kind, where in (("records", prepared.folder), ("folder", videos))
    )

    assert records.label_names == files.label_names == ("left", "right")
    names = [os.path.basename(path) for path in files.paths]
    for i, path in enumerate(records.paths):
        j = names.index(path)
        assert records.labels[i] == files.labels[j]
        difference = np.abs(records.clip(i).astype(int) - files.clip(j))
        assert difference.mean() < 4  # JPEG's, and that of resizing twice.


def test_workers_change_no_byte(prepared, videos, tmp_path):
    prepare("folder", videos=str(videos), out=tmp_path, settings=SETTINGS, workers=1)
    assert _bytes(tmp_path) == _bytes(prepared.folder)


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    prepared, videos, tmp_path
):
    program = (
        "import sys, time\n"
        "from vidjax.tasks import prepare as p\n"
        "s = p.PrepareSettings(short_side=32, shards=2)\n"
        "slow = lambda done, total: (print(done, flush=True), time.sleep(0.3))\n"
        "p.prepare('folder', videos=sys.argv[1], out=sys.argv[2], settings=s,\n"
        "          workers=1, on_video=slow)\n"
    )
    arguments = [sys.executable, "-c", program, str(videos), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 6:  # The second shard is being written.
            pass
        child.send_signal(signal.SIGKILL)
    left = {path.name for path in tmp_path.glob("*.tfrecord")}
    assert left == {"train-00000-of-00002.tfrecord"}
    first = (tmp_path / min(left)).stat().st_mtime_ns

    prepare("folder", videos=str(videos), out=tmp_path, settings=SETTINGS)

    assert (tmp_path / min(left)).stat().st_mtime_ns == first
    assert _bytes(tmp_path) == _bytes(prepared.folder)
    assert not list(tmp_path.glob(".part*"))


def test_a_full_disk_is_one_sentence_and_leaves_whole_shards(
    videos, tmp_path, monkeypatch, capsys
):
    """The limit on the size of files is what a full disk is to a writer."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        flags = ["--videos", str(videos), "--out", str(tmp_path), "--short-side", "32"]
        code = main(["prepare", "folder", *flags, "--shards", "2"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert code == 1
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*.tfrecord"))
    assert not list(tmp_path.glob(".part*"))


def test_check_finds_what_is_not_as_it_was(prepared, tmp_path, capsys):
    for path in prepared.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(["prepare", "folder", "--out", str(tmp_path), "--check"]) == 0
    assert "every shard is as it was written" in capsys.readouterr().out
    damaged = tmp_path / "train-00001-of-00002.tfrecord"
    data = bytearray(damaged.read_bytes())
    data[-9] ^= 1
    damaged.write_bytes(data)
    (tmp_path / "train-00000-of-00002.tfrecord").unlink()
    (tmp_path / "report.json").unlink()

    problems = check_prepared(tmp_path)

    assert [text.rsplit("/", 1)[-1] for text in problems] == [
        f"{tmp_path.name} is not finished.",
        "train-00000-of-00002.tfrecord is missing.",
        "train-00001-of-00002.tfrecord is not what was written (SHA-256).",
    ]
    assert main(["prepare", "folder", "--out", str(tmp_path), "--check"]) == 1
    with pytest.raises(ValueError, match="holds no prepared set"):
        check_prepared(tmp_path / "nothing")


def test_a_folder_holds_one_set(prepared, videos):
    other = PrepareSettings(short_side=16, shards=2)
    with pytest.raises(ValueError, match=r"made otherwise \(different: short_side\)"):
        prepare("folder", videos=str(videos), out=prepared.folder, settings=other)


def test_settings_out_of_range_are_said_together(videos, tmp_path):
    wrong = PrepareSettings(short_side=-1, fps=-2.0, quality=101, shards=-1)
    with pytest.raises(ValueError, match=r"short_side.*fps.*quality.*shards"):
        prepare("folder", videos=str(videos), out=tmp_path, settings=wrong)


def test_a_rate_takes_every_other_frame(videos, tmp_path):
    settings = PrepareSettings(short_side=0, fps=12.5, shards=1)
    prepare("folder", videos=str(videos), out=tmp_path, settings=settings)

    video = open_shards(str(tmp_path), split="train").video(0)
    assert (video.num_frames, video.fps) == (6, 12.5)  # Of 12, 25 a second.


def test_the_command_says_what_it_did(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(time, "monotonic", iter(range(0, 10_000, 20)).__next__)
    flags = ["--videos", str(videos), "--out", str(tmp_path), "--short-side", "16"]
    assert main(["prepare", "folder", *flags, "--workers", "1"]) == 0
    said = capsys.readouterr()
    assert "10 videos in 2 shards" in said.out
    assert "2 could not be read, such as" in said.out
    assert "/12 videos, " in said.err
    assert main(["prepare", "folder", "--out", str(tmp_path)]) == 1
    assert "--videos is missing" in capsys.readouterr().err
    assert module.REPORT in {path.name for path in tmp_path.iterdir()}
