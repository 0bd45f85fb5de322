"""Which frames: exact indices."""

import numpy as np
import pytest

from vidjax.data.sampling import (
    dense_indices,
    random_segment_indices,
    segment_indices,
    view_positions,
)


@pytest.mark.parametrize(
    ("num_frames", "length", "stride", "position", "expected"),
    [
        (10, 4, 1, 0.0, [0, 1, 2, 3]),
        (10, 4, 1, 1.0, [6, 7, 8, 9]),
        (10, 4, 1, 0.5, [3, 4, 5, 6]),
        (10, 4, 3, 1.0, [0, 3, 6, 9]),  # The only place where it fits.
        (11, 4, 3, 0.5, [1, 4, 7, 10]),
        (3, 5, 1, 0.9, [0, 1, 2, 0, 1]),  # Too short: looped.
        (5, 4, 3, 0.0, [0, 3, 1, 4]),
        (1, 3, 2, 0.5, [0, 0, 0]),
    ],
)
def test_dense_indices_are(num_frames, length, stride, position, expected):
    indices = dense_indices(
        num_frames, clip_length=length, stride=stride, position=position
    )
    assert indices.tolist() == expected
    assert indices.dtype == np.int64


def test_random_positions_reach_every_start_equally_often():
    rng = np.random.default_rng(0)
    starts = [
        int(dense_indices(10, clip_length=4, position=float(p))[0])
        for p in rng.random(7000)
    ]
    counts = np.bincount(starts)
    assert len(counts) == 7
    assert np.all(np.abs(counts - 1000) < 120)


@pytest.mark.parametrize(
    # The test loader of mit-han-lab/temporal-shift-module at 1f6a834, ops/dataset.py,
    # `_get_test_indices`, run on these lengths; it counts from 1.
    ("num_frames", "segments", "counted_from_one"),
    [
        (3, 8, [1, 1, 1, 2, 2, 3, 3, 3]),
        (5, 8, [1, 1, 2, 3, 3, 4, 5, 5]),
        (8, 3, [2, 5, 7]),
        (10, 8, [1, 2, 4, 5, 6, 7, 9, 10]),
        (25, 16, [1, 3, 4, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 22, 23, 25]),
        (63, 8, [4, 12, 20, 28, 36, 44, 52, 60]),
        (64, 5, [7, 20, 33, 45, 58]),
    ],
)
def test_segment_centres_are_those_of_tsm(num_frames, segments, counted_from_one):
    indices = segment_indices(num_frames, segments=segments)

    assert (indices + 1).tolist() == counted_from_one


def test_segment_positions_reach_both_ends():
    assert segment_indices(12, segments=3, position=0.0).tolist() == [0, 4, 8]
    assert segment_indices(12, segments=3, position=1.0).tolist() == [4, 8, 11]


def test_random_segments_give_each_frame_of_a_part_equally_often():
    rng = np.random.default_rng(0)
    drawn = np.array(
        [random_segment_indices(11, segments=3, rng=rng) for _ in range(3000)]
    )
    for part in range(3):  # Parts of three frames; the last two are never taken.
        counts = np.bincount(drawn[:, part], minlength=11)
        assert np.all(np.abs(counts[3 * part : 3 * part + 3] - 1000) < 120)
        assert counts.sum() == counts[3 * part : 3 * part + 3].sum()
    assert len(np.unique(drawn, axis=0)) == 27  # Each part on its own.


def test_random_segments_of_a_short_video_repeat_frames():
    rng = np.random.default_rng(0)
    indices = random_segment_indices(3, segments=8, rng=rng)
    assert indices.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]


def test_views_are_spread_evenly():
    assert view_positions(1).tolist() == [0.5]
    assert view_positions(5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert view_positions(2, sampling="segments").tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dense_indices(0, clip_length=4), "got num_frames=0"),
        (lambda: dense_indices(9, clip_length=0, stride=0), "clip_length=0, stride=0"),
        (lambda: dense_indices(9, clip_length=1, position=1.5), "position must be"),
        (lambda: segment_indices(9, segments=0), "got segments=0"),
        (lambda: segment_indices(9, segments=1, position=-0.1), "position must be"),
        (
            lambda: random_segment_indices(0, segments=1, rng=np.random.default_rng(0)),
            "num_frames=0",
        ),
        (lambda: view_positions(0), "got num_clips=0"),
    ],
)
def test_impossible_samples_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
