"""From features of any length to named segments in seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.localization import (
    fuse_scores,
    pad_features,
    preset,
    read_score_labels,
    read_video_scores,
    to_segments,
)
from vidjax.models.registry import create_model, model_card
from vidjax.ops.segments import nms
from vidjax.typing import FeatureGrid


def test_scores_of_the_whole_video_name_proposals():
    kept = _kept()
    proposals = to_segments(kept, FeatureGrid(4.0, 16.0, 30.0), 2.0, ["action"])
    assert [p.label for p in proposals] == ["action", "action"]
    assert proposals[0].end_sec == 2.0
    found = fuse_scores(proposals, np.array([0.04, 0.64, 0.25]), ["a", "b", "c"])
    assert [(s.label, round(s.score, 6)) for s in found] == [
        ("b", 0.72),
        ("b", 0.4),
        ("c", 0.45),
        ("c", 0.25),
    ]
    same = read_video_scores({"results": {"v": [0.04, 0.64, 0.25]}})["v"]
    assert fuse_scores(proposals, same, ["a", "b", "c"]) == found
    with pytest.raises(ValueError, match="3 classes"):
        fuse_scores(proposals, np.ones(2), ["a", "b", "c"])


def _kept():
    """Two proposals and an empty place."""
    segments = np.array([[0.0, 20.0], [1.0, 3.0]], np.float32)
    return nms(
        jnp.asarray(segments),
        jnp.array([0.81, 0.25]),
        method="hard",
        iou_threshold=0.9,
        max_segments=3,
    )


def test_scores_that_are_not_as_they_should_be_are_refused():
    for wrong, message in (
        ({"a": [0.1], "b": [0.1, 0.2]}, "as many scores"),
        ({"results": {"a": ["x"]}}, "a list of scores"),
        ({"results": {}}, "as many scores"),
        ("none.json", "no file"),
    ):
        with pytest.raises(ValueError, match=message):
            read_video_scores(wrong)
    with pytest.raises(ValueError, match='"class" to list names'):
        read_score_labels({"class": "run"})


def test_features_of_any_length_become_a_batch():
    name = "actionformer_tiny"
    spec = model_card(name).clip
    features = [np.ones((n, spec.channels), np.float32) for n in (5, 33)]
    batch, mask = pad_features(features, spec)
    assert batch.shape == (2, 36, spec.channels)
    assert mask.sum(axis=1).tolist() == [5, 33]
    shapes = jax.eval_shape(create_model(name).init, jax.random.key(0), batch, mask)
    assert shapes
    with pytest.raises(ValueError, match="Expected features"):
        pad_features([], spec)
    with pytest.raises(ValueError, match="is no detector"):
        preset("c3d")
