"""Pictures, pages and clips of found actions."""

import json
import re

import numpy as np
import pytest

from vidjax import data
from vidjax.analysis.player import render_player
from vidjax.analysis.timeline import timeline_figure
from vidjax.localization.detect import Segment
from vidjax.tasks.localize_outputs import (
    check_outputs,
    plot_segments,
    write_clips,
    write_page,
)

FOUND = [
    Segment(1.2, 2.0, "clean </script> jerk", 0.9),
    Segment(0.08, 0.8, "dive", 0.7),
    Segment(1.4, 1.64, "dive", 0.4),
]


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """Fifty frames, each of another grey."""
    levels = np.arange(20, 220, 4, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (50, 48, 64, 3))
    return save_video(tmp_path_factory.mktemp("v") / "my video #1.mp4", frames.copy())


def _segments_of(page):
    text = re.search(r'id="data">(.*?)</script>', page, re.DOTALL).group(1)
    return json.loads(text)["segments"]


def test_a_timeline_is_drawn(video, tmp_path):
    plot_segments(video, FOUND, tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    figure = timeline_figure(
        np.zeros((3, 96, 170, 3), np.uint8),
        [(s.start_sec, s.end_sec, s.label, s.score) for s in FOUND],
        duration=2.0,
        title="t",
    )
    bars = figure.axes[0]
    assert [t.get_text() for t in bars.get_yticklabels()] == [FOUND[0].label, "dive"]
    drawn = sorted((bar.get_x(), bar.get_width()) for bar in bars.patches)
    wanted = sorted((s.start_sec, s.end_sec - s.start_sec) for s in FOUND)
    np.testing.assert_allclose(drawn, wanted)


def test_a_page_plays_the_video_from_where_it_is(video, tmp_path):
    played = write_page(video, FOUND, tmp_path / "pages" / "page.html", by="a model")
    assert played == video
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["page.html"]
    page = (tmp_path / "pages" / "page.html").read_text()
    source = re.search(r'<video id="video" src="([^"]*)"', page).group(1)
    assert source.startswith("../")
    assert source.endswith("/my%20video%20%231.mp4")
    assert "3 actions, found by a model" in page
    rows = _segments_of(page)
    assert [row["label"] for row in rows] == [s.label for s in FOUND]
    assert (rows[1]["start"], rows[1]["end"], rows[1]["score"]) == (0.08, 0.8, 0.7)
    # Labels are anyone's text: none of them ends the element that holds them.
    assert page.count("</script>") == 2
    assert page.count("data:image/jpeg;base64,") == 12


def test_a_page_brings_a_copy_of_what_browsers_do_not_play(video, tmp_path):
    import av

    odd = tmp_path / "old.avi"
    with av.open(str(video)) as source, av.open(str(odd), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "yuv420p"
        for frame in source.decode(video=0):
            out.mux(stream.encode(frame.reformat(63, 47)))
        out.mux(stream.encode(None))
    played = write_page(odd, [], tmp_path / "page.html")
    assert played == tmp_path / "page.mp4"
    page = (tmp_path / "page.html").read_text()
    assert 'src="page.mp4"' in page
    assert "a copy in H.264 without sound" in page
    copy = data.probe(played)
    assert (copy.num_frames, copy.width, copy.height) == (50, 64, 48)


def test_clips_have_exactly_the_frames_that_begin_in_their_segment(video, tmp_path):
    told = []
    files = write_clips(
        video, FOUND, tmp_path / "clips", progress=lambda *n: told.append(n)
    )
    assert [file.name for file in files] == [
        "001_dive_0m00.08s-0m00.80s.mp4",
        "002_clean_script_jerk_0m01.20s-0m02.00s.mp4",
        "003_dive_0m01.40s-0m01.64s.mp4",
    ]
    assert sorted((tmp_path / "clips").iterdir()) == files
    assert told == [(1, 3), (2, 3), (3, 3)]
    for file, (first, count) in zip(files, ((2, 18), (30, 20), (35, 6)), strict=True):
        info = data.probe(file)
        assert (info.num_frames, info.fps) == (count, pytest.approx(25.0))
        got = data.read_frames(file, range(count)).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(got, 20 + 4 * (first + np.arange(count)), atol=2.1)


def test_a_segment_without_frames_and_a_full_folder_are_errors(video, tmp_path):
    late = Segment(5.0, 6.0, "dive", 0.5)
    with pytest.raises(data.VideoError, match="has no frames from 5 s"):
        write_clips(video, [late], tmp_path / "clips")
    assert not list((tmp_path / "clips").iterdir())
    with pytest.raises(ValueError, match="not empty"):
        write_clips(video, FOUND, video.parent)


def test_outputs_are_checked_before_anything_is_computed(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="no picture") as error:
        check_outputs(
            plot=tmp_path / "plot.xyz", page=tmp_path / "page.pdf", clips=file
        )
    for told in ("must end in .html", "no folder for clips"):
        assert told in str(error.value)
    with pytest.raises(ValueError, match="is not empty"):
        check_outputs(clips=tmp_path)
    check_outputs(plot=tmp_path / "a.PNG", page=tmp_path / "a.html", clips=None)


def test_what_is_filled_in_is_not_read_as_a_template():
    page = render_player(
        title="{{note}} & co",
        summary="{{",
        source="v.mp4",
        note="}}",
        duration=1.0,
        segments=[],
        frames=[],
    )
    assert "<title>{{note}} &amp; co</title>" in page
    assert "<footer><p>}}</p></footer>" in page
