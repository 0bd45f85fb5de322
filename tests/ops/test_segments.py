"""Overlap and suppression: the published code's choices, in its order."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.segments import nms, temporal_iou

CASE = pathlib.Path(__file__).parent / "cases" / "tal__nms_1d.npz"


@functools.cache
def _case():
    with np.load(CASE) as file:
        arrays = {name.removeprefix("out_"): file[name] for name in file.files}
    return arrays, dict(json.loads(arrays["spec"].tobytes())["configs"])


def _given():
    arrays, _ = _case()
    return tuple(
        jnp.asarray(arrays[f"in_{part}"]) for part in ("segments", "scores", "labels")
    )


def _settings(name):
    """The published arguments as ours."""
    config = _case()[1][name]
    return {
        "method": "gaussian" if config["use_soft_nms"] else "hard",
        "iou_threshold": config["iou_threshold"],
        "sigma": config["sigma"],
        "min_score": config["min_score"],
        "max_segments": config["max_seg_num"],
        "class_wise": config["multiclass"],
        "voting": "score" if name.endswith("tridet") else "score_iou",
        "voting_threshold": config["voting_thresh"],
    }


@pytest.mark.parametrize("name", sorted(_case()[1]))
def test_the_published_segments_are_left_in_the_published_order(name):
    kept = jax.jit(functools.partial(nms, **_settings(name)))(*_given())
    theirs, count = _case()[0], int(kept.valid.sum())
    assert count == len(theirs[f"{name}_scores"])
    assert bool(kept.valid[:count].all())
    np.testing.assert_array_equal(kept.labels[:count], theirs[f"{name}_labels"])
    np.testing.assert_allclose(
        kept.segments[:count], theirs[f"{name}_segments"], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        kept.scores[:count], theirs[f"{name}_scores"], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("method", ["hard", "linear", "gaussian"])
def test_each_suppression_takes_the_published_indices(method):
    segments, scores, _ = _given()
    kept = nms(segments, scores, method=method, iou_threshold=0.3, max_segments=600)
    theirs = _case()[0]
    count = int(kept.valid.sum())
    np.testing.assert_array_equal(
        kept.source[:count], theirs[f"raw_softnms_{method}_inds"]
    )
    np.testing.assert_allclose(
        kept.scores[:count], theirs[f"raw_softnms_{method}_dets"][:, 2], rtol=1e-5
    )


def test_places_behind_the_last_segment_are_empty():
    kept = nms(jnp.array([[0.0, 1.0]]), jnp.array([0.5]), max_segments=3)
    assert kept.valid.tolist() == [True, False, False]
    assert kept.source.tolist() == [0, -1, -1]
    assert kept.scores.tolist() == [0.5, 0.0, 0.0]


def test_segments_that_are_not_there_take_no_part():
    segments, scores, labels = _given()
    settings = _settings("soft_agnostic_vote07_tridet")
    more = jnp.concatenate([segments, segments[:50]])
    padded = nms(
        more,
        jnp.concatenate([scores, scores[:50] + 1]),
        jnp.concatenate([labels, labels[:50]]),
        valid=jnp.arange(len(more)) < len(scores),
        **settings,
    )
    plain = nms(segments, scores, labels, **settings)
    np.testing.assert_array_equal(padded.source, plain.source)
    np.testing.assert_allclose(padded.segments, plain.segments, rtol=1e-5)


def test_the_first_of_equal_scores_wins():
    segments = jnp.array([[5.0, 6.0], [0.0, 1.0], [0.0, 1.0]])
    kept = nms(segments, jnp.full(3, 0.5), method="hard", max_segments=3)
    assert kept.source.tolist() == [0, 1, -1]


def test_videos_of_a_batch_go_through_at_once():
    segments, scores, labels = _given()
    stack = [jnp.stack([a, a[::-1]]) for a in (segments, scores, labels)]
    both = jax.vmap(functools.partial(nms, max_segments=20))(*stack)
    np.testing.assert_allclose(both.scores[0], both.scores[1], rtol=1e-6)
    np.testing.assert_array_equal(both.source[0], 599 - both.source[1])


def test_overlap_is_shared_time_over_all_time():
    first = jnp.array([[0.0, 4.0], [4.0, 4.0]])
    second = jnp.array([[2.0, 6.0], [4.0, 4.0], [0.0, 4.0]])
    np.testing.assert_allclose(
        temporal_iou(first, second), [[1 / 3, 0, 1], [0, 0, 0]], rtol=1e-6
    )


@pytest.mark.usefixtures("unchecked")
def test_what_is_unknown_is_refused_at_once():
    with pytest.raises(ValueError, match=r"'soft'.*'iou'.*max_segments"):
        nms(*_given(), method="soft", voting="iou", max_segments=0)
