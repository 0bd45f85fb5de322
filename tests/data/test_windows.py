import numpy as np
import pytest

from vidjax.data.windows import (
    batched,
    count_windows,
    cover,
    sliding_windows,
    windows_at,
)


@pytest.mark.parametrize("window", [1, 4, 16])
@pytest.mark.parametrize("stride", [1, 3, 4, 20])
@pytest.mark.parametrize("count", [1, 15, 16, 17, 61])
def test_windows_are_as_many_as_counted_and_begin_where_they_should(
    count, stride, window
):
    got = list(sliding_windows(iter(np.arange(count)), window=window, stride=stride))
    assert len(got) == count_windows(count, window=window, stride=stride)
    for i, frames in enumerate(got):
        expected = np.minimum(np.arange(window) + stride * i, count - 1)
        np.testing.assert_array_equal(frames, expected)


def test_batches_hold_every_window_once():
    batches = list(batched(iter(np.arange(7)), 3))
    assert [len(rows) for rows, _ in batches] == [3, 3, 3]
    counted = np.concatenate([rows[:count] for rows, count in batches])
    np.testing.assert_array_equal(counted, np.arange(7))


@pytest.mark.parametrize("count", [1, 7, 16, 17, 61])
@pytest.mark.parametrize("stride", [3, 8])
def test_windows_that_cover_a_video_leave_no_frame_out(count, stride):
    starts = cover(count, window=8, stride=stride)
    seen = {t for start in starts for t in range(start, start + 8)}
    assert seen >= set(range(count))
    assert len(set(starts)) == len(starts)
    assert starts[-1] == max(count - 8, 0)


def test_windows_of_all_lengths_come_from_one_pass():
    spans = sorted(
        [(s, s + n) for n in (1, 4, 9) for s in range(0, 20, 3)], key=lambda s: s[1]
    )
    got = list(windows_at(iter(np.arange(20)), spans))
    for (start, end), frames in zip(spans, got, strict=True):
        np.testing.assert_array_equal(frames, np.minimum(np.arange(start, end), 19))
