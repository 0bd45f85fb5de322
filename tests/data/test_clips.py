"""Clips of files: which frames, what size, which part."""

from typing import Any

import numpy as np
import pytest

from vidjax.data.clips import FileVideo, load_clip, random_clip
from vidjax.data.timeline import VideoError
from vidjax.typing import ClipSpec, Views

from .conftest import HEIGHT, WIDTH, read_stamps, write_video

WHOLE = ClipSpec(num_frames=4, frame_stride=2, size=HEIGHT, crop_fraction=1.0)


def _stamps(clip):
    """Numbers of the frames; clips are cut to the left part, where they stand."""
    return read_stamps(np.pad(clip, ((0, 0), (0, 0), (0, WIDTH), (0, 0))))


@pytest.mark.parametrize(
    ("spec", "views", "view", "expected"),
    [
        (WHOLE, Views(), 0, [17, 19, 21, 23]),
        (WHOLE, Views(3, 1), 0, [0, 2, 4, 6]),
        (WHOLE, Views(3, 1), 2, [33, 35, 37, 39]),
        (WHOLE, Views(2, 3), 3, [33, 35, 37, 39]),
        (
            ClipSpec(4, frame_stride=2, size=HEIGHT, crop_fraction=1.0, fps=10.0),
            *(Views(), 0, [14, 18, 22, 26]),
        ),
        (
            ClipSpec(4, size=HEIGHT, crop_fraction=1.0, sampling="segments", fps=5.0),
            *(Views(), 0, [5, 15, 25, 35]),
        ),
        (
            ClipSpec(4, size=HEIGHT, crop_fraction=1.0, sampling="segments"),
            *(Views(2, 1), 1, [7, 17, 27, 37]),
        ),
    ],
)
def test_views_have_their_frames(video, spec, views, view, expected):
    # The left crop of three shows the numbers; so does a test at the left edge.
    left = Views(views.num_clips, 3)
    clip = load_clip(video, spec, view=view // views.num_crops * 3, views=left)

    assert clip.shape == (1, 4, HEIGHT, HEIGHT, 3)
    assert clip.dtype == np.uint8
    assert _stamps(clip[0]) == expected


def test_crops_are_those_of_the_resized_frame(video):
    spec = ClipSpec(num_frames=1, size=16, crop_fraction=0.5)  # 32 x 43, then 16.
    views = Views(1, 3)

    crops = [load_clip(video, spec, view=i, views=views)[0, 0] for i in range(3)]
    assert crops[0].shape == (16, 16, 3)
    # The lower left quarter is red; the middle row of the crop is at its upper edge.
    np.testing.assert_allclose(crops[0][-3:, 2:], [[[200, 40, 40]] * 14] * 3, atol=12)
    assert abs(int(crops[2][-1, -1, 0]) - 128) < 12
    np.testing.assert_array_equal(load_clip(video, spec)[0, 0], crops[1])


def test_a_short_video_is_looped(tmp_path):
    path = write_video(tmp_path / "short.mp4", frames=3)

    clip = load_clip(path, WHOLE, views=Views(1, 3))
    assert _stamps(clip[0]) == [0, 2, 1, 0]


def test_a_part_of_a_video_gives_only_its_frames(video):
    part: dict[str, Any] = {"start_sec": 1.0, "end_sec": 1.5}

    clip = load_clip(video, WHOLE, views=Views(1, 3), **part)
    assert _stamps(clip[0]) == [22, 24, 26, 28]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        wide = ClipSpec(4, size=HEIGHT, crop_fraction=1.0, frame_stride=2)
        assert (
            random_clip(FileVideo(video, *part.values()), wide, rng=rng)[0].shape
            == wide.shape
        )


def test_training_clips_vary_and_follow_their_generator(video):
    def draw(seed, **settings):
        rng = np.random.default_rng(seed)
        return random_clip(FileVideo(video), WHOLE, rng=rng, **settings)[0]

    np.testing.assert_array_equal(draw(1), draw(1))
    assert len({draw(seed).tobytes() for seed in range(8)}) == 8
    np.testing.assert_array_equal(draw(3, flip_rate=1.0), draw(3)[:, :, ::-1])
    assert draw(3)[0, -4, 4, 0] > 150  # The red part is on the left, as it was written.
    red = [draw(seed, flip_rate=0.5)[0, -4, 4, 0] > 150 for seed in range(40)]
    assert 10 < sum(red) < 30


def test_training_sizes_lie_between_their_bounds(video, monkeypatch):
    sides = []

    def noted(*arguments, geometry, original, **settings):
        def spy(height, width):
            size, box = geometry(height, width)
            sides.append(min(size))
            return size, box

        return original(*arguments, geometry=spy, **settings)

    from vidjax.data import clips

    original = clips.read_frames
    monkeypatch.setattr(
        clips,
        "read_frames",
        lambda *arguments, **settings: noted(*arguments, original=original, **settings),
    )
    spec = ClipSpec(num_frames=1, size=16, sampling="segments")
    for seed in range(60):
        rng = np.random.default_rng(seed)
        random_clip(FileVideo(video), spec, rng=rng, short_side=(18, 21))
    assert set(sides) == {18, 19, 20, 21}


def test_an_unknown_view_is_refused(video):
    with pytest.raises(ValueError, match=r"view must be in \[0, 6\), got 6"):
        load_clip(video, WHOLE, view=6, views=Views(2, 3))


def test_a_missing_file_is_an_error(tmp_path):
    missing = tmp_path / "missing.mp4"

    with pytest.raises(VideoError, match=r"missing\.mp4 does not exist"):
        load_clip(missing, WHOLE)
    with pytest.raises(VideoError, match=r"missing\.mp4 does not exist"):
        random_clip(FileVideo(missing), WHOLE, rng=np.random.default_rng(0))
