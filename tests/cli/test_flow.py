"""`vidjax flow`: a video in, files of flow out."""

import numpy as np

from vidjax.cli.main import main


def test_a_video_becomes_an_array_and_progress_is_told(video_folder, tmp_path, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    out = tmp_path / "a.npz"
    flags = ["--method", "farneback", "--out", str(out), "--batch", "4"]
    assert main(["flow", video, *flags]) == 0
    streams = capsys.readouterr()
    assert streams.err.splitlines()[0] == "farneback: 0/11 flows"
    assert streams.out == f"{out}: 11 flows, 11 computed\n"
    with np.load(out) as archive:
        assert archive["flow"].shape == (11, 48, 48, 2)
    assert main(["flow", video, *flags]) == 0
    assert "is finished already" in capsys.readouterr().out


def test_what_cannot_be_read_is_one_sentence(tmp_path, capsys):
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    for video in (text, tmp_path / "missing.mp4"):
        assert main(["flow", str(video), "--out", str(tmp_path / "a.mp4")]) == 1
        error = capsys.readouterr().err
        assert str(video) in error
        assert "Traceback" not in error
        assert len(error.strip().splitlines()) == 1


def test_a_size_is_width_by_height(video_folder, tmp_path, capsys):
    video = str(video_folder / "left" / "clip 0.mp4")
    flags = ["--method", "farneback", "--out", str(tmp_path / "a.npz")]
    assert main(["flow", video, *flags, "--resize", "64x40", "--fps", "5"]) == 0
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["flow"].shape == (1, 40, 64, 2)
    assert main(["flow", video, *flags, "--resize", "64by40"]) == 1
    assert "340x256 (width x height), got 64by40" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    assert main(["flow", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--method" in out
    assert "example: vidjax flow" in out
