"""Scores on disk, and intervals of accuracy."""

import numpy as np
import pytest

from vidjax.eval.stored import (
    StoredScores,
    bootstrap_intervals,
    load_scores,
    save_scores,
)
from vidjax.eval.views import ViewScores
from vidjax.typing import Average, Views


def _stored(average: Average = "softmax"):
    rng = np.random.default_rng(0)
    scores = ViewScores(3, 2, 4, average=average)
    scores.add(
        rng.normal(size=(5, 4)).astype(np.float32),
        index=np.array([0, 0, 1, 1, 2]),
        view=np.array([0, 1, 0, 1, 0]),
        mask=np.ones(5, bool),
    )
    return StoredScores(
        scores,
        np.array([0, 3, 1], np.int32),
        ("a", "b", "c", "é"),
        ("a/1.mp4", "é/2.mp4", "b/3.mp4"),
        Views(2, 1, average, name="mine"),
        "tsm_resnet_tiny",
    )


@pytest.mark.parametrize("average", ["softmax", "logits", "positions"])
def test_scores_come_back_as_they_were(tmp_path, average):
    before = _stored(average)

    save_scores(tmp_path / "new" / "scores.npz", before)
    after = load_scores(tmp_path / "new" / "scores.npz")

    for other in ("softmax", "logits", average):
        np.testing.assert_array_equal(
            before.scores.log_probabilities(other),
            after.scores.log_probabilities(other),
        )
    np.testing.assert_array_equal(before.scores.seen, after.scores.seen)
    np.testing.assert_array_equal(before.labels, after.labels)
    assert after.label_names == before.label_names
    assert (after.paths, after.views, after.model) == (
        *(before.paths, before.views, before.model),
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scores.npz"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "scores.npz"
    save_scores(path, _stored())
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        save_scores(path, _stored("logits"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "scores.npz"
    np.savez(path, logits=np.zeros(3))
    for wrong in (path, tmp_path / "missing.npz"):
        with pytest.raises(ValueError, match="holds no scores of an evaluation"):
            load_scores(wrong)


def test_intervals_have_the_width_of_a_binomial():
    """Accuracy 0.8 of 400 videos: 1.96 * sqrt(0.8 * 0.2 / 400) = 0.039 to a side."""
    labels = np.tile(np.arange(8), 50)
    wrong = np.arange(400) % 5 == 0
    scores = np.eye(8)[np.where(wrong, (labels + 1) % 8, labels)]

    intervals = bootstrap_intervals(scores, labels)

    low, high = intervals["top1"]
    assert low == pytest.approx(0.8 - 0.039, abs=0.008)
    assert high == pytest.approx(0.8 + 0.039, abs=0.008)
    assert intervals["mean_class"][0] < 0.8 < intervals["mean_class"][1]
    assert intervals["top5"][0] > intervals["top1"][1]
    assert intervals == bootstrap_intervals(scores, labels)


def test_intervals_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no video to draw from"):
        bootstrap_intervals(np.zeros((0, 2)), np.zeros(0, int))
