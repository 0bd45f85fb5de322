"""Endpoint error and outliers, against counts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.metrics import endpoint_error, flow_metrics, flow_totals


def _off_by(errors, length=0.0):
    """Truth of one length, and flows that are off by given numbers of pixels."""
    errors = jnp.asarray(errors, jnp.float32)
    truth = jnp.zeros((*errors.shape, 2)).at[..., 1].set(length)
    return truth.at[..., 0].add(errors), truth


def test_the_error_is_a_distance():
    flow, truth = jnp.array([[1.0, 2.0]]), jnp.array([[4.0, -2.0]])
    assert endpoint_error(flow, truth).tolist() == [5.0]


def test_outliers_are_counted_strictly():
    totals = flow_totals(*_off_by([[[0.5, 1.0, 3.0, 3.5, 5.0, 6.0, 0.0, 0.0]]]))
    metrics = flow_metrics(totals)
    assert float(metrics["1px"]) == 4 / 8
    assert float(metrics["3px"]) == 3 / 8
    assert float(metrics["5px"]) == 1 / 8
    assert float(metrics["epe"]) == 19 / 8


def test_fl_all_wants_three_pixels_and_five_percent():
    # Off by 4 px: an outlier where the truth is 10 px long, none where it is 100.
    for length, share in ((10.0, 1.0), (100.0, 0.0)):
        metrics = flow_metrics(flow_totals(*_off_by([[[4.0]]], length)))
        assert float(metrics["fl_all"]) == share
    assert float(flow_metrics(flow_totals(*_off_by([[[2.0]]], 1.0)))["fl_all"]) == 0


def test_each_speed_has_its_own_mean():
    flow = jnp.zeros((1, 1, 4, 2))
    truth = flow.at[0, 0, :, 0].set(jnp.array([2.0, 10.0, 39.0, 50.0]))
    metrics = flow_metrics(flow_totals(flow, truth))
    assert float(metrics["s0-10"]) == 2
    assert float(metrics["s10-40"]) == (10 + 39) / 2
    assert float(metrics["s40+"]) == 50


def test_kitti_averages_images_and_sintel_pixels():
    flow, truth = _off_by([[[1.0, 1.0]], [[4.0, 9.0]]])
    valid = jnp.array([[[True, True]], [[True, False]]])
    metrics = flow_metrics(flow_totals(flow, truth, valid=valid))
    assert float(metrics["epe"]) == 2.0
    assert float(metrics["epe_per_image"]) == 2.5


def test_totals_of_batches_add_up_to_those_of_the_whole():
    flow, truth = _off_by(np.arange(12.0).reshape(3, 2, 2), 9.5)
    whole = flow_totals(flow, truth)
    parts = [flow_totals(flow[a:b], truth[a:b]) for a, b in ((0, 1), (1, 3))]
    jax.tree.map(np.testing.assert_allclose, whole, jax.tree.map(jnp.add, *parts))


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_pixels_without_truth_do_not_count_and_give_no_nan(unknown):
    flow, truth = _off_by([[[1.0, 2.0]]])
    truth = truth.at[0, 0, 1].set(unknown)
    metrics = flow_metrics(flow_totals(flow, truth))
    assert float(metrics["epe"]) == 1
    assert np.isnan(metrics["s40+"])  # No pixel is that fast.
