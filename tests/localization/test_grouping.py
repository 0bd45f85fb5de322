import numpy as np
import pytest

from vidjax.localization.grouping import (
    Grouping,
    contrast,
    group_scores,
    smooth_scores,
    snap_edges,
)

PLAIN = Grouping(smoothing=0.0)


def _scores(steps, *actions, classes=5):
    """Background, and actions (start, end, class, score)."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 0.05, (steps, classes)).astype(np.float32)
    for start, end, label, score in actions:
        scores[start:end, label] = score
    return scores


def test_every_action_is_found_with_its_class_the_clearest_first():
    scores = _scores(80, (5, 25, 2, 0.7), (40, 60, 0, 0.95), (70, 80, 4, 0.5))
    found = group_scores(scores, PLAIN)
    assert found.labels[:3].tolist() == [0, 2, 4]
    np.testing.assert_array_equal(found.segments[:3], [[40, 60], [5, 25], [70, 80]])
    assert (np.diff(found.scores) <= 0).all()


def test_a_short_gap_in_an_action_does_not_cut_it():
    scores = _scores(60, (10, 20, 1, 0.9), (22, 32, 1, 0.9))
    found = group_scores(scores, PLAIN)
    np.testing.assert_array_equal(found.segments[0], [10, 32])


def test_a_long_gap_does():
    scores = _scores(80, (10, 20, 1, 0.9), (45, 55, 1, 0.9))
    found = group_scores(scores, PLAIN)
    assert sorted(found.segments[:2].tolist()) == [[10, 20], [45, 55]]


def test_blurred_edges_lie_where_scores_are_half_as_high():
    """As those of windows that slide over the beginning of an action."""
    scores = _scores(80, (20, 50, 3, 1.0))
    kernel = np.ones(9) / 9
    scores[:, 3] = np.convolve(scores[:, 3], kernel, mode="same")
    found = group_scores(scores)
    np.testing.assert_allclose(found.segments[0], [20, 50], atol=2)


def test_background_alone_gives_nothing():
    found = group_scores(_scores(50))
    assert found.segments.shape == (0, 2)
    assert found.scores.shape == found.labels.shape == (0,)


def test_one_step_is_enough_and_none_is_an_error():
    found = group_scores(np.array([[0.1, 0.9]], np.float32))
    np.testing.assert_array_equal(found.segments, [[0, 1]])
    with pytest.raises(ValueError, match=r"\[T, K\], got \(0, 2\)"):
        group_scores(np.zeros((0, 2), np.float32))


def test_smoothing_keeps_constants_and_spreads_a_peak():
    np.testing.assert_allclose(smooth_scores(np.ones((9, 2)), 2.0), 1.0)
    peak = np.zeros((41, 1))
    peak[20] = 1
    smooth = smooth_scores(peak, 2.0)[:, 0]
    offsets = np.arange(41) - 20
    np.testing.assert_allclose((smooth * offsets**2).sum(), 4.0, rtol=0.05)


def test_contrast_looks_at_both_sides():
    signal = np.array([1, 0, 1, 1, 1, 1, 0, 0], np.float32)
    assert contrast(signal, 2, 6, margin=0.25) == 1.0
    assert contrast(signal, 2, 6, margin=0.5) == 0.75


def test_a_short_part_of_a_better_segment_is_not_told_again():
    scores = _scores(100, (20, 70, 1, 0.9))
    scores[40:45, 3] = 0.8
    scores[40:45, 1] = 0.2
    found = group_scores(scores, PLAIN)
    assert found.labels.tolist() == [1]
    np.testing.assert_array_equal(found.segments, [[20, 70]])


def test_edges_move_to_cuts_that_are_near():
    scores = _scores(60, (20, 40, 1, 0.9))
    found = group_scores(scores, PLAIN, cuts=np.array([3.5, 18.75, 36.5, 37.5]))
    np.testing.assert_array_equal(found.segments, [[18.75, 40]])


def test_a_segment_between_two_cuts_takes_the_nearer_one_at_each_edge():
    segments = np.array([[4.0, 9.0], [0.0, 30.0], [9.5, 10.5]], np.float32)
    moved = snap_edges(segments, np.array([5.0, 10.0]), reach=1.0)
    np.testing.assert_array_equal(moved, [[5, 10], [0, 30], [9.5, 10.5]])
    one = snap_edges(segments, np.array([5.0]), reach=1.0)
    np.testing.assert_array_equal(one, [[5, 9], [0, 30], [9.5, 10.5]])
