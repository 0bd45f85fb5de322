import numpy as np
import pytest

from vidjax.data.windows import batched, count_windows, sliding_windows


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
