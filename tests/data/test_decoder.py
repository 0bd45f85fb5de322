"""How little is decoded, and that what comes is the same; damaged frames."""

import av
import numpy as np
import pytest

from vidjax.data import decoder
from vidjax.data.decode import count_frames, read_frames
from vidjax.data.timeline import VideoError

from .conftest import read_stamps, write_video

# P-frames at multiples of four, and two layers of B-frames between them.
LAYERS = {"bf": "3", "x264-params": "scenecut=0:b-adapt=0"}


@pytest.fixture
def work(monkeypatch):
    """Sizes of the packets that are read, and times of the frames that come."""
    packets, frames = [], []

    class Counted:
        def __init__(self, container):
            self._container = container

        def demux(self, stream):
            for packet in self._container.demux(stream):
                packets.append(packet.size)
                yield packet

    def counted(container, *arguments, original=decoder.decode):
        for frame in original(Counted(container), *arguments):
            frames.append(frame.pts)
            yield frame

    monkeypatch.setattr(decoder, "decode", counted)
    return packets, frames


def _remux(path, change):
    """Copies a file packet by packet; `change` gives what stands for each."""
    copy = path.with_stem(path.stem + " changed")
    with av.open(str(path)) as source, av.open(str(copy), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.size]
        for number, packet in enumerate(packets):
            for data, time in change(number, bytes(packet)):
                new = av.Packet(data)
                new.stream, new.time_base = stream, packet.time_base
                new.pts = new.dts = packet.dts if time is None else time
                new.is_keyframe = packet.is_keyframe
                out.mux(new)
    return copy


def test_a_jump_to_a_keyframe_saves_decoding(video, work):
    assert read_stamps(read_frames(video, [2, 34])) == [2, 34]
    assert len(work[1]) < 12


@pytest.mark.parametrize(
    ("codec", "extension", "options"),
    [
        ("libx264", "mp4", LAYERS),
        ("libx265", "mp4", {"x265-params": "bframes=3:b-adapt=0:log-level=none"}),
        ("mpeg4", "mkv", {"bf": "3"}),
    ],
)
def test_frames_that_nobody_needs_are_left_out(
    tmp_path, work, codec, extension, options
):
    path = write_video(
        tmp_path / f"b.{extension}", codec=codec, options=options, gop=40
    )
    whole = read_frames(path, range(40))

    for wanted in ([24], [3, 10, 17], [30, 31]):
        work[1].clear()
        np.testing.assert_array_equal(read_frames(path, wanted), whole[wanted])
        assert len(work[1]) < 0.7 * wanted[-1]


def test_reading_ends_with_the_last_wanted_packet(tmp_path, work):
    """Frame 24 is the 22nd in the order of decoding: 0, 4, 2, 1, 3, 8, ..."""
    path = write_video(tmp_path / "b.mp4", options=LAYERS, gop=40)
    assert read_stamps(read_frames(path, [24])) == [24]
    assert len(work[0]) == 22


def test_decoders_that_ask_once_what_to_leave_out_leave_nothing_out(tmp_path):
    options = {"preset": "12", "svtav1-params": "lp=1"}
    path = write_video(tmp_path / "v.mkv", codec="libsvtav1", options=options, gop=40)
    for wanted in ([5], [13, 22], [31]):
        assert read_stamps(read_frames(path, wanted)) == wanted


def test_of_interlaced_videos_nothing_is_left_out(tmp_path, work):
    """Half of a frame may be a packet that no other frame refers to."""
    lines = {"bf": "3", "x264-params": "scenecut=0:b-adapt=0:interlaced=1"}
    path = write_video(tmp_path / "i.mp4", options=lines, gop=40)
    assert read_stamps(read_frames(path, [22])) == [22]
    assert len(work[1]) > 22


@pytest.fixture
def holes(tmp_path):
    """Frames 10 to 19 and 30 of 40 are zeros; each frame stands for itself."""
    path = write_video(tmp_path / "m.mkv", codec="mjpeg", pix_fmt="yuvj420p")

    def change(number, data):
        hole = 10 <= number < 20 or number == 30
        return [(bytes(len(data)) if hole else data, None)]

    return _remux(path, change)


def test_the_frame_before_stands_for_a_damaged_one(holes):
    assert read_stamps(read_frames(holes, [30])) == [29]
    assert read_stamps(read_frames(holes, [28, 29, 30, 31])) == [28, 29, 29, 31]
    assert read_stamps(read_frames(holes, [11])) == [9]


@pytest.mark.parametrize("wanted", [[14], [0, 12]])
def test_no_frame_far_away_stands_for_a_damaged_one(holes, wanted):
    with pytest.raises(VideoError, match=rf"damaged: frame {wanted[-1]} of 40"):
        read_frames(holes, wanted)


def test_packets_of_a_byte_are_no_frames(tmp_path):
    path = write_video(tmp_path / "padded.avi", codec="mpeg4", frames=12)
    padded = _remux(path, lambda i, data: [(data, 2 * i), (b"\x7f", 2 * i + 1)])
    assert count_frames(padded) == 12
    assert read_stamps(read_frames(padded, [0, 5, 11])) == [0, 5, 11]
