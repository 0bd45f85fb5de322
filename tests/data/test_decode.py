"""Frames from files: the right ones, as they are shown, from files as they come."""

import os
import pathlib

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidjax.data.containers import is_cut_short
from vidjax.data.decode import count_frames, probe, read_frames
from vidjax.data.timeline import VideoError, frame_positions, read_timeline

from .conftest import HEIGHT, WIDTH, read_stamps, stamp, write_video

FORMATS = {
    "h264.mp4": {"options": {"bf": "3"}},
    "h264_10bit.mp4": {"pix_fmt": "yuv420p10le"},
    "full_range.mp4": {"pix_fmt": "yuvj420p"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "no_duration.webm": {"codec": "libvpx", "container_options": {"live": "1"}},
    "h264.mkv": {"options": {"bf": "2"}},
    "transport.ts": {},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "av1.mkv": {
        "codec": "libsvtav1",
        "options": {"preset": "12", "svtav1-params": "lp=1"},
    },
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_frames_that_come_are_those_that_are_wanted(tmp_path, name):
    path = write_video(tmp_path / name, **FORMATS[name])

    info = probe(path)
    assert (info.num_frames, info.width, info.height) == (40, WIDTH, HEIGHT)
    assert info.fps == pytest.approx(20, rel=0.01)
    assert info.duration == pytest.approx(2, rel=0.01)
    wanted = [33, 4, 4, 39, 0, 17, 18]
    assert read_stamps(read_frames(path, wanted)) == wanted


def test_a_rate_takes_what_is_on_the_screen(tmp_path):
    """Irregular times in ms; each frame stays until the next one comes."""
    path = write_video(
        tmp_path / "irregular.mkv", frames=6, times=[0, 10, 40, 200, 210, 1000]
    )

    count = count_frames(path, fps=20.0)
    seen = read_stamps(read_frames(path, range(count), fps=20.0))
    # At 0, 50, 100, 150 and 200 ms, then frame 4 up to the last one at 1000.
    assert seen == [0, 2, 2, 2, 3, *[4] * 15, 5]


def test_another_rate_repeats_or_skips_frames(video):
    assert count_frames(video, fps=10.0) == 20
    assert read_stamps(read_frames(video, [0, 1, 19], fps=10.0)) == [0, 2, 38]
    assert count_frames(video, fps=40.0) == 80
    assert read_stamps(read_frames(video, [0, 1, 2, 79], fps=40.0)) == [0, 0, 1, 39]


def test_times_that_were_rounded_do_not_shift_frames(tmp_path):
    """Matroska keeps ms: frame 2 of 30 a second is written as 67, shown at 66.67."""
    path = write_video(tmp_path / "rounded.mkv", rate=30)

    indices = list(range(40))
    assert read_stamps(read_frames(path, indices, fps=30.0)) == indices


def test_a_span_of_seconds_has_its_own_frames(video):
    span = {"start_sec": 0.5, "end_sec": 1.0}

    assert count_frames(video, **span) == 10
    assert read_stamps(read_frames(video, [0, 9], **span)) == [10, 19]
    assert count_frames(video, fps=10.0, **span) == 5
    assert read_stamps(read_frames(video, [0, 4], fps=10.0, **span)) == [10, 18]
    assert count_frames(video, start_sec=1.99) == 1


def test_frames_are_resized_with_their_shape(video):
    assert read_frames(video, [0], short_side=24).shape == (1, 24, 32, 3)
    for interpolation in ("bilinear", "bicubic", "area"):
        frame = read_frames(video, [5], short_side=24, interpolation=interpolation)[0]
        np.testing.assert_allclose(frame[18, 8], [200, 40, 40], atol=12)


def test_resizing_does_not_alias(tmp_path):
    """Stripes of one pixel become grey, whatever the interpolation."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write_video(
        tmp_path / "stripes.mp4", images=[stripes] * 2, options={"crf": "0"}
    )
    for interpolation in ("bilinear", "bicubic", "area"):
        frame = read_frames(path, [0], short_side=16, interpolation=interpolation)
        assert np.abs(frame[0, :, 2:-2].astype(float) - 127).max() < 30


@pytest.mark.parametrize(
    # The first two columns of the matrix in the track header, ISO 14496-12, 8.3.2: a, b
    # and c, d; and how often the stored frame is turned by 90 degrees counterclockwise.
    ("matrix", "turns", "rotation"),
    [
        ((1, 0, 0, 1), 0, 0),
        ((0, 1, -1, 0), -1, 270),
        ((-1, 0, 0, -1), 2, 180),
        ((0, -1, 1, 0), 1, 90),
    ],
)
def test_rotation_is_honoured(tmp_path, matrix, turns, rotation):
    path = write_video(tmp_path / "turned.mp4", frames=9)
    upright = read_frames(path, [5])[0]
    data = bytearray(path.read_bytes())
    a, b, c, d = ((x << 16 & 0xFFFFFFFF).to_bytes(4, "big") for x in matrix)
    zero = bytes(4)
    start = data.index(b"tkhd") + 44
    data[start : start + 20] = a + b + zero + c + d
    path = tmp_path / f"{rotation}.mp4"
    path.write_bytes(data)

    info = probe(path)
    assert info.rotation == rotation
    frame = read_frames(path, [5])[0]
    np.testing.assert_array_equal(frame, np.rot90(upright, turns))
    assert frame.shape[:2] == (info.height, info.width)
    short = read_frames(path, [5], short_side=24)[0]
    assert min(short.shape[:2]) == 24


def test_colours_are_those_that_were_written(tmp_path):
    """BT.709 and full range are read as such: a saturated red comes back as red."""
    red = np.zeros((64, 64, 3), np.uint8)
    red[:] = [220, 30, 40]
    for name, pix_fmt in (("limited", "yuv420p"), ("full", "yuvj420p")):
        path = write_video(
            tmp_path / f"{name}.mp4",
            images=[red] * 2,
            pix_fmt=pix_fmt,
            options={"crf": "0" if name == "limited" else "1"},
        )
        np.testing.assert_allclose(
            read_frames(path, [1])[0].mean(axis=(0, 1)), red[0, 0], atol=4
        )


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("alpha.webm", "libvpx-vp9", "yuva420p"), ("alpha.mov", "qtrle", "argb")],
)
def test_what_is_transparent_is_black(tmp_path, name, codec, pix_fmt):
    picture = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    picture[:, WIDTH // 2 :, 3] = 0
    path = write_video(
        tmp_path / name, codec=codec, pix_fmt=pix_fmt, images=[picture] * 3
    )

    frame = read_frames(path, [1])[0]
    assert frame[:, : WIDTH // 2 - 4].min() > 245
    assert frame[:, WIDTH // 2 + 4 :].max() < 10


def test_a_wrong_count_in_the_header_does_not_matter(tmp_path):
    path = write_video(tmp_path / "count.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        start = data.index(tag) + offset
        assert int.from_bytes(data[start : start + 4], "little") == 40
        data[start : start + 4] = (4000).to_bytes(4, "little")
    path.write_bytes(data)

    assert count_frames(path) == 40
    assert read_stamps(read_frames(path, [39])) == [39]


def test_metadata_that_is_not_utf8_does_not_matter(tmp_path):
    path = write_video(
        tmp_path / "latin1.avi", codec="mpeg4", metadata={"title": "caXXe"}
    )
    path.write_bytes(path.read_bytes().replace(b"caXXe", "caf\xe9e".encode("latin1")))

    assert read_stamps(read_frames(path, [7])) == [7]


def test_times_that_stand_still_are_counted(tmp_path):
    """Frames without usable times are numbered in the order in which they come."""
    path = write_video(tmp_path / "still.mkv", frames=12, options={"bf": "0"})
    assert read_timeline(path).trusted
    copy = tmp_path / "zero.mkv"
    with av.open(str(path)) as source, av.open(str(copy), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts = packet.dts = packet.dts // 200 * 200
                out.mux(packet)

    assert not read_timeline(copy).trusted
    assert read_stamps(read_frames(copy, [0, 3, 11])) == [0, 3, 11]


def test_spaces_and_other_scripts_in_paths(tmp_path):
    path = write_video(tmp_path / "été à la plage 動画.mp4", frames=3)
    assert read_stamps(read_frames(path, [2])) == [2]


def test_a_video_of_one_frame(tmp_path):
    path = write_video(tmp_path / "one.mp4", frames=1)

    info = probe(path)
    assert (info.num_frames, info.fps) == (1, pytest.approx(20))
    assert read_stamps(read_frames(path, [0, 0])) == [0, 0]


def test_a_file_that_changes_is_read_again(tmp_path):
    path = write_video(tmp_path / "changes.mp4", frames=5)
    assert count_frames(path) == 5
    write_video(path, frames=9)
    assert count_frames(path) == 9


def _cut(path: pathlib.Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.4, 0.8])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("index_at_end.mp4", {}),
        ("index_first.mp4", {"container_options": {"movflags": "faststart"}}),
        ("cut.avi", {"codec": "mpeg4"}),
        ("cut.mkv", {}),
        ("cut.webm", {"codec": "libvpx"}),
        ("cut.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ],
)
def test_a_truncated_file_is_an_error_that_names_it(tmp_path, name, settings, share):
    path = write_video(tmp_path / name, **settings)
    assert not is_cut_short(path)
    _cut(path, share)

    assert is_cut_short(path)
    for read in (probe, count_frames, lambda p: read_frames(p, [0])):
        with pytest.raises(VideoError, match=f"{name} is truncated") as error:
            read(path)
        assert str(error.value).count(". ") == 0  # One sentence.


def test_containers_of_unknown_length_are_not_cut_short(tmp_path):
    live = write_video(
        tmp_path / "live.webm", codec="libvpx", container_options={"live": "1"}
    )
    _cut(live, 0.5)
    assert not is_cut_short(live)
    other = tmp_path / "other.bin"
    other.write_bytes(bytes(100))
    assert not is_cut_short(other)
    with pytest.raises(OSError, match="No such file"):
        is_cut_short(tmp_path / "missing.mp4")


def _no_file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "missing.mp4"


def _a_folder(folder: pathlib.Path) -> pathlib.Path:
    return folder


def _nothing(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "nothing.mp4"
    path.touch()
    return path


def _text(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "letter.txt"
    path.write_text("Dear reader,\n" * 100)
    return path


def _noise(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    return path


def _picture(folder: pathlib.Path) -> pathlib.Path:
    return write_video(
        folder / "picture.png", codec="png", pix_fmt="rgb24", images=[stamp(1)]
    )


def _sound(folder: pathlib.Path) -> pathlib.Path:
    path = folder / "sound.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 800), np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_no_file, r"missing\.mp4 does not exist\."),
        (_a_folder, r"is a folder, not a video\."),
        (_nothing, r"nothing\.mp4 is empty\."),
        (_text, r"letter\.txt is not a video \(tty\)\."),
        (_noise, r"noise\.mp4 is no video, or damaged"),
        (_picture, r"picture\.png is not a video \(png_pipe\)\."),
        (_sound, r"sound\.wav has no video stream\."),
    ],
)
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, make, message):
    path = make(tmp_path)

    for read in (probe, count_frames, lambda p: read_frames(p, [0]), read_timeline):
        with pytest.raises(VideoError, match=message):
            read(path)


def test_a_file_without_permission_is_an_error(video, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(VideoError, match=r"stamped\.mp4 may not be read"):
        probe(video)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: read_frames(p, [40]), r"frames in \[0, 40\) of .*got 40 to 40"),
        (lambda p: read_frames(p, [-1, 2]), "got -1 to 2"),
        (lambda p: read_frames(p, []), r"indices of shape \[T\], got \(0,\)"),
        (lambda p: read_frames(p, [[1]]), r"got \(1, 1\)"),
        (lambda p: count_frames(p, fps=0.0), "fps must be positive, got 0"),
    ],
)
def test_impossible_wishes_are_refused(video, call, message):
    with pytest.raises(ValueError, match=message):
        call(video)


@pytest.mark.parametrize(
    "span",
    [{"start_sec": 2.5}, {"start_sec": 1.0, "end_sec": 0.5}, {"start_sec": -1.0}],
)
def test_an_empty_span_is_an_error_that_names_the_file(video, span):
    with pytest.raises(VideoError, match=r"stamped\.mp4 has no frames from"):
        count_frames(video, **span)
    line = read_timeline(video)
    with pytest.raises(VideoError, match="it lasts 2 s"):
        frame_positions(video, line, fps=None, **{"end_sec": None, **span})
    with pytest.raises(ValueError, match="fps must be positive"):
        frame_positions(video, line, fps=-1.0, start_sec=0.0, end_sec=None)


def test_frames_that_do_not_decode_are_an_error(tmp_path):
    path = write_video(tmp_path / "holes.mp4", gop=40)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : start + len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(data)

    with pytest.raises(VideoError, match=r"holes\.mp4 is damaged: frame \d+ of 40"):
        read_frames(path, range(40))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
        min_size=1,
        max_size=40,
    )
)
def test_flipped_bytes_give_frames_or_a_video_error(video, tmp_path, changes):
    data = bytearray(video.read_bytes())
    for place, value in changes:
        data[int(place * len(data))] = value
    path = tmp_path / "flipped.mp4"
    path.write_bytes(data)

    try:
        count = count_frames(path)
        clip = read_frames(path, [0, count // 2, count - 1], short_side=16)
    except VideoError as error:
        said = str(error)
    else:
        said = f"{len(clip)} frames of flipped.mp4"
    assert "flipped.mp4" in said


def test_without_pyav_the_error_says_what_installs_it(video, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)

    with pytest.raises(ImportError, match=r'pip install "vidjax\[data\]"'):
        read_frames(video, [0])


def test_a_codec_that_could_reorder_frames_is_believed_where_times_are_stored(
    tmp_path, save_video
):
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3), np.uint8)
    path = save_video(tmp_path / "noise.mp4", noise)  # No B-frame pays in noise.
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.has_b_frames
        stored = [packet.pts for packet in file.demux(video=0) if packet.size]
    assert stored == sorted(stored)
    assert read_timeline(path).trusted
