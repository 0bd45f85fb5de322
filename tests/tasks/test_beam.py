"""Work as an Apache Beam pipeline, on the runner that comes with Beam."""

import json

import pytest

from vidjax.cli.main import main
from vidjax.data.buckets import BucketPath, as_path, walk
from vidjax.tasks.beam import run_on_beam

RUNNER = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory, video_folder):
    """The ten videos, and one that is none."""
    root = tmp_path_factory.mktemp("raw")
    for name in ("left", "right"):
        (root / name).mkdir()
        for path in sorted((video_folder / name).iterdir()):
            (root / name / f"{name} {path.name}").symlink_to(path)
    (root / "left" / "junk.mp4").write_bytes(b"junk")
    return root


def _content(folder):
    return {
        path.name: path.read_bytes()
        for path in as_path(folder).iterdir()
        if path.suffix in (".tfrecord", ".npz", ".json", ".txt")
    }


def test_a_pipeline_writes_the_bytes_of_a_local_run(videos, tmp_path, capsys):
    flags = ["prepare", "folder", "--short-side", "32", "--shards", "2"]
    flags += ["--videos", str(videos)]
    assert main([*flags, "--out", str(tmp_path / "here")]) == 0
    here = capsys.readouterr().out
    beam = ["--beam", f"--beam-options={' '.join(RUNNER)}"]
    assert main([*flags, "--out", str(tmp_path / "beam"), *beam]) == 0

    there = capsys.readouterr().out
    assert there.replace("/beam", "/here") == here
    assert "1 could not be read" in there
    assert _content(tmp_path / "beam") == _content(tmp_path / "here")
    assert [f for f, _, _ in walk(tmp_path / "beam")] == [str(tmp_path / "beam")]


def test_a_pipeline_goes_on_where_another_stopped(videos, tmp_path):
    flags = ["prepare", "folder", "--short-side", "32", "--shards", "2"]
    flags += ["--videos", str(videos), "--out", str(tmp_path)]
    assert main(flags) == 0
    whole = _content(tmp_path)
    lost = tmp_path / "train-00001-of-00002.tfrecord"
    lost.unlink()
    kept = (tmp_path / "train-00000-of-00002.tfrecord").stat().st_mtime_ns

    assert main([*flags, "--beam", f"--beam-options={' '.join(RUNNER)}"]) == 0

    assert _content(tmp_path) == whole
    assert (tmp_path / "train-00000-of-00002.tfrecord").stat().st_mtime_ns == kept


def _double(job):
    if job < 0:
        raise ValueError(f"{job} is negative")
    return [2 * job]


def test_results_come_back_in_the_order_of_the_jobs(tmp_path):
    folder = BucketPath("ram://beam/work")
    folder.mkdir()
    assert run_on_beam(_double, [3, 1, 2], folder=folder, options=RUNNER) == [
        [6],
        [2],
        [4],
    ]
    assert list(folder.iterdir()) == []
    with pytest.raises(OSError, match=r"The pipeline failed: .*-1 is negative"):
        run_on_beam(_double, [-1], folder=tmp_path, options=RUNNER)
    assert list(tmp_path.iterdir()) == []


def test_jobs_are_kept_out_of_the_graph(tmp_path, monkeypatch):
    """A runner takes 10 MB at most."""
    import apache_beam

    created = []
    create = apache_beam.Create
    monkeypatch.setattr(
        apache_beam,
        "Create",
        lambda values: (created.append(values), create(values))[1],
    )
    run_on_beam(len, ["x" * 1000] * 3, folder=tmp_path, options=RUNNER)
    assert len(json.dumps(created)) < 1000
