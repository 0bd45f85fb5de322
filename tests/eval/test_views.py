"""Views are joined exactly once each, whatever the batches."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.eval.views import ViewScores, position_scores
from vidjax.typing import Average

N, V, K = 11, 3, 5


def _rows(seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(N * V, K)).astype(np.float32)
    index, view = np.divmod(np.arange(N * V), V)
    return logits, index, view


def _collect(batch_size, *, average: Average = "softmax", seed=0):
    """Adds all rows in a random order, in padded batches."""
    logits, index, view = _rows()
    order = np.random.default_rng(seed).permutation(N * V)
    scores = ViewScores(N, V, K, average=average)
    for start in range(0, N * V, batch_size):
        rows = order[start : start + batch_size]
        pad = batch_size - len(rows)
        scores.add(
            np.pad(logits[rows], ((0, pad), (0, 0)), constant_values=np.nan),
            index=np.pad(index[rows], (0, pad)),
            view=np.pad(view[rows], (0, pad)),
            mask=np.arange(batch_size) < len(rows),
        )
    return scores


@pytest.mark.parametrize("batch_size", [1, 2, 4, 7, 32, 33, 64])
def test_every_view_counts_once_whatever_the_batch_size(batch_size):
    scores = _collect(batch_size)

    logits = _rows()[0].astype(np.float64).reshape(N, V, K)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        scores.log_probabilities(), np.log(p.mean(1)), atol=1e-12
    )
    assert scores.present.all()


def test_logits_are_averaged_before_softmax_when_asked():
    scores = _collect(4, average="logits")

    mean = _rows()[0].astype(np.float64).reshape(N, V, K).mean(1)
    expected = mean - np.log(np.exp(mean).sum(-1, keepdims=True))
    np.testing.assert_allclose(scores.log_probabilities(), expected, atol=1e-12)


def test_the_two_averages_differ():
    softmax = _collect(4).log_probabilities()

    assert (
        np.abs(softmax - _collect(4, average="logits").log_probabilities()).max() > 0.01
    )


def test_a_missing_view_is_left_out_and_a_missing_example_is_reported():
    scores = ViewScores(2, 2, 3, average="softmax")
    scores.add(
        np.array([[9.0, 0.0, 0.0]]),
        index=np.array([0]),
        view=np.array([1]),
        mask=np.array([True]),
    )

    assert scores.present.tolist() == [True, False]
    assert np.exp(scores.log_probabilities()[0]).sum() == pytest.approx(1.0)


def test_an_underflown_probability_stays_finite():
    scores = ViewScores(1, 1, 2, average="softmax")
    scores.add(
        np.array([[0.0, -2000.0]]),
        index=np.array([0]),
        view=np.array([0]),
        mask=np.array([True]),
    )

    assert np.isfinite(scores.log_probabilities()).all()


@pytest.mark.parametrize("rows", [[0, 0], [0]])
def test_a_view_that_comes_twice_raises(rows):
    scores = ViewScores(3, 1, 2, average="softmax")
    one = {"view": np.array([0]), "mask": np.array([True])}
    scores.add(np.zeros((1, 2)), index=np.array([0 if len(rows) == 1 else 2]), **one)

    with pytest.raises(ValueError, match="counted twice"):
        scores.add(
            np.zeros((len(rows), 2)),
            index=np.array(rows),
            view=np.zeros(len(rows), int),
            mask=np.ones(len(rows), bool),
        )


@pytest.mark.parametrize(("index", "view"), [(3, 0), (-1, 0), (0, 2), (0, -1)])
def test_an_example_or_view_that_does_not_exist_raises(index, view):
    scores = ViewScores(3, 2, 2, average="softmax")

    with pytest.raises(ValueError, match=r"examples in \[0, 3\) and views in \[0, 2\)"):
        scores.add(
            np.zeros((1, 2)),
            index=np.array([index]),
            view=np.array([view]),
            mask=np.array([True]),
        )


def test_positions_are_averaged_after_their_softmax():
    steps = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    p = np.exp(steps) / np.exp(steps).sum(-1, keepdims=True)
    scores = ViewScores(1, 2, 3, average="positions")

    whole = jnp.asarray(steps)
    inside = position_scores(whole.mean(axis=1), {"logits_per_step": whole})
    scores.add(
        steps.mean(1),
        index=np.zeros(2, int),
        view=np.arange(2),
        mask=np.ones(2, bool),
        positions=np.asarray(inside),
    )

    found = np.exp(scores.log_probabilities())
    np.testing.assert_allclose(found[0], p.mean((0, 1)), atol=1e-6)
    other = np.exp(scores.log_probabilities("softmax"))
    assert np.abs(found - other).max() > 1e-3


def test_a_model_with_a_single_position_averages_its_softmax():
    single, plain = _collect(4, average="positions"), _collect(4)

    np.testing.assert_allclose(
        single.log_probabilities(), plain.log_probabilities(), atol=1e-6
    )
    with pytest.raises(ValueError, match="positions were not kept"):
        plain.log_probabilities("positions")
