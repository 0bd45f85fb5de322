"""Detectors of actions are the published ones at every step, from logits to seconds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.localization.decode import candidates, decode
from vidjax.localization.losses import detection_loss
from vidjax.localization.points import level_steps, make_points
from vidjax.localization.presets import preset
from vidjax.localization.targets import assign
from vidjax.localization.trident import level_offsets
from vidjax.models.registry import create_model, model_card

TOLERANCE = 1e-4  # Relative.

_SHORT = [
    ("actionformer__thumos_i3d_T700", "actionformer_thumos14"),
    ("tridet__thumos_i3d_T700", "tridet_thumos14"),
]
# A video that is longer than those of training.
_LONG = ("actionformer__thumos_i3d_T2500", "actionformer_thumos14")
detectors = pytest.mark.parametrize(("case", "name"), _SHORT, indirect=["case"])
all_detectors = pytest.mark.parametrize(
    ("case", "name"), [*_SHORT, _LONG], indirect=["case"]
)
_RESULTS = {}  # Each network runs once for all tests of its case.


@functools.cache
def _network(name):
    return jax.jit(create_model(name).apply)


def _run(case, name):
    """Logits and endpoints on the features of the case, padded as published."""
    key = case.spec["case"]
    if key not in _RESULTS:
        features, spec = case.clip(), model_card(name).clip
        steps = features.shape[1]
        more = spec.padded(steps) - steps
        assert steps + more == case.spec["meta"]["padded_len"]
        padded = jnp.asarray(np.pad(features, ((0, 0), (0, more), (0, 0))))
        mask = jnp.arange(steps + more)[None] < steps
        variables = convert.from_arrays(name, case.weights())
        _RESULTS[key] = _network(name)(variables, padded, mask)
    return _RESULTS[key]


def _levels(case):
    """Slices of the levels among all points."""
    steps = level_steps(case.spec["meta"]["padded_len"], 6)
    ends = np.cumsum(steps).tolist()
    return [slice(e - n, e) for e, n in zip(ends, steps, strict=True)]


def _points(case, name):
    steps = case.spec["meta"]["padded_len"]
    return make_points(steps, preset(name).decoding.ranges)


def _check(ours, theirs, tolerance=TOLERANCE):
    error = np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()
    assert error < tolerance


@all_detectors
def test_every_level_has_the_published_logits_offsets_masks_and_points(case, name):
    logits, endpoints = _run(case, name)
    points, theirs = _points(case, name), case.outputs
    offsets = endpoints["offsets" if "offsets" in endpoints else "bins"]
    for i, level in enumerate(_levels(case)):
        _check(logits[0, level], theirs[f"cls_logits_{i}"])
        _check(offsets[0, level], theirs[f"offsets_{i}"])
        np.testing.assert_array_equal(endpoints["mask"][0, level], theirs[f"mask_{i}"])
        np.testing.assert_array_equal(points[level][:4], theirs[f"points_{i}"])
        if "bins" in endpoints:
            start, end = (endpoints[f"{s}_logits"][0, level] for s in ("start", "end"))
            _check(start, theirs[f"extra0_{i}"][0].T)
            _check(end, theirs[f"extra1_{i}"][0].T)


def _targets(case, name):
    segments = jnp.asarray(case.outputs["gt_segments_grid"])
    labels = jnp.asarray(case.outputs["gt_labels"])
    valid = jnp.ones(len(labels), bool)
    return assign(_points(case, name), segments, labels, valid, num_classes=20)


@detectors
def test_points_get_the_published_targets(case, name):
    classes, offsets = _targets(case, name)
    nonzero = np.argwhere(np.asarray(classes))
    np.testing.assert_array_equal(nonzero, case.outputs["target_cls_nonzero"])
    positive = np.asarray(classes).any(axis=1)
    np.testing.assert_array_equal(offsets[positive], case.outputs["target_offsets"])


@detectors
def test_losses_are_the_published_ones(case, name):
    logits, endpoints = _run(case, name)
    classes, offsets = _targets(case, name)
    settings, theirs = preset(name), case.outputs
    before, after = theirs["loss_normalizer_before_after"]
    loss = detection_loss(
        logits,
        level_offsets(endpoints, 6),
        endpoints["mask"],
        classes[None],
        offsets[None],
        jnp.float32(before),
        label_smoothing=settings.label_smoothing,
        regression_weight=settings.regression_weight,
        iou_power=settings.iou_power,
    )
    assert settings.normalizer == before
    np.testing.assert_allclose(loss.normalizer, after, rtol=1e-6)
    np.testing.assert_allclose(loss.total, theirs["loss_final_loss"][0], rtol=1e-5)
    for part, value in loss.parts.items():
        np.testing.assert_allclose(value, theirs[f"loss_{part}"][0], rtol=1e-5)


@all_detectors
def test_candidates_are_the_published_ones(case, name):
    found = jax.jit(functools.partial(candidates, decoding=preset(name).decoding))(
        *_run(case, name)
    )
    valid = np.asarray(found.valid[0])
    ours = [np.asarray(part[0])[valid] for part in found[:3]]
    theirs = [case.outputs[f"pre_nms_{p}"] for p in ("segments", "scores", "labels")]
    assert len(ours[1]) == len(theirs[1])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)  # In the same order.
    # But for scores that differ by rounding alone.
    ours, theirs = (
        segments[np.lexsort((segments[:, 1], segments[:, 0], labels))]
        for segments, _, labels in (ours, theirs)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2)


@detectors
@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("softnms_grid", {}),
        (
            "hardnms05_multi",
            {"method": "hard", "iou_threshold": 0.5, "max_segments": 200},
        ),
        (
            "hardnms05_agnostic",
            {
                "method": "hard",
                "iou_threshold": 0.5,
                "max_segments": 200,
                "class_wise": False,
                "voting_threshold": 0.0,
            },
        ),
        ("softnms_agnostic_vote07", {"class_wise": False, "max_segments": 100}),
    ],
)
def test_the_published_segments_are_left(case, name, variant, changes):
    decoding = dataclasses.replace(preset(name).decoding, **changes)
    kept = jax.jit(functools.partial(decode, decoding=decoding))(*_run(case, name))
    theirs = {
        p: case.outputs[f"{variant}_{p}"] for p in ("segments", "scores", "labels")
    }
    count = len(theirs["scores"])
    assert int(kept.valid.sum()) == count
    np.testing.assert_array_equal(kept.labels[0, :count], theirs["labels"])
    np.testing.assert_allclose(kept.scores[0, :count], theirs["scores"], rtol=1e-4)
    np.testing.assert_allclose(
        kept.segments[0, :count], theirs["segments"], rtol=0, atol=1e-3
    )
    if variant == "softnms_grid":
        meta = case.spec["meta"]
        seconds = preset(name).grid.to_seconds(kept.segments[0, :count])
        seconds = jnp.clip(seconds, 0.0, meta["duration"])
        _check(seconds, case.outputs["final_segments"])
