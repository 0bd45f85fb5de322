"""Metrics are counts, exact under masks, ties and padding."""

import numpy as np
import pytest

from vidjax.eval.metrics import classify, log_softmax


def _random(n=200, k=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)), rng.integers(0, k, n), rng.random(n) < 0.6


def _by_hand(scores, labels):
    """The definitions, example by example."""
    k = scores.shape[1]
    confusion = np.zeros((k, k), int)
    top5 = 0
    for row, label in zip(scores, labels, strict=True):
        order = sorted(range(k), key=lambda c: (-row[c], c))
        confusion[label, order[0]] += 1
        top5 += label in order[:5]
    per_class = [confusion[c, c] / confusion[c].sum() for c in set(labels)]
    return np.trace(confusion) / len(labels), top5 / len(labels), per_class, confusion


def test_metrics_equal_their_definitions():
    scores, labels, mask = _random()

    result = classify(scores, labels, mask)

    top1, top5, per_class, confusion = _by_hand(scores[mask], labels[mask])
    assert result.top1 == pytest.approx(top1, abs=1e-15)
    assert result.top5 == pytest.approx(top5, abs=1e-15)
    assert result.mean_class == pytest.approx(np.mean(per_class), abs=1e-15)
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.confusion.dtype == np.int64
    assert result.examples == mask.sum()


def test_masked_rows_do_not_count_whatever_they_hold():
    scores, labels, mask = _random()
    spoiled, wrong = scores.copy(), labels.copy()
    spoiled[~mask], wrong[~mask] = np.nan, -1

    result = classify(spoiled, wrong, mask)

    clean = classify(scores[mask], labels[mask])
    assert (result.top1, result.top5, result.loss) == (
        clean.top1,
        clean.top5,
        clean.loss,
    )


def test_a_model_that_scores_all_classes_alike_is_right_for_the_first_class_only():
    result = classify(np.zeros((8, 8)), np.arange(8))

    assert result.top1 == 1 / 8
    assert result.top5 == 5 / 8


def test_top5_with_fewer_than_five_classes_is_one():
    scores, labels, _ = _random(k=3)

    assert classify(scores, labels).top5 == 1.0


def test_classes_without_examples_are_left_out_of_their_mean():
    scores = np.eye(4)[[0, 0, 1, 1]]

    # Class 0: one of two right; class 1: both; classes 2 and 3 never occur.
    result = classify(scores, np.array([0, 1, 1, 1]))

    assert result.mean_class == pytest.approx((1 + 2 / 3) / 2)


def test_loss_is_the_mean_cross_entropy_and_the_same_for_log_probabilities():
    scores = np.array([[2.0, 0.0], [0.0, 0.0]])
    labels = np.array([0, 1])
    expected = (np.log(1 + np.exp(-2)) + np.log(2)) / 2

    assert classify(scores, labels).loss == pytest.approx(expected)
    assert classify(log_softmax(scores), labels).loss == pytest.approx(expected)


def test_no_example_gives_nan_and_an_empty_matrix():
    result = classify(np.zeros((2, 3)), np.zeros(2, int), np.zeros(2, bool))

    assert np.isnan([result.top1, result.top5, result.mean_class, result.loss]).all()
    assert result.confusion.sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_raise(bad):
    scores, labels, _ = _random(n=4)
    scores[2, 1] = bad

    with pytest.raises(ValueError, match="1 of 4 examples are not finite"):
        classify(scores, labels)


@pytest.mark.parametrize("bad", [-1, 7])
def test_a_label_outside_the_classes_raises(bad):
    scores, labels, _ = _random(k=7)
    labels[3] = bad

    with pytest.raises(ValueError, match=rf"\[0, 7\).*got \[{bad}\]"):
        classify(scores, labels)
