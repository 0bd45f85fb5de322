"""Masked autoencoders give the predictions and the loss of their published code."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import convert
from vidjax.models.registry import create_model, model_card
from vidjax.ops.masked_modeling import normalised_pixels, reconstruction_error

TOLERANCE = 1e-4  # Relative.
NAME = "videomae_base_pretrain"
MASK = (np.random.RandomState(7).permutation(1568) < 1411)[None]  # That of the cases.


@functools.cache
def _forward():
    model = create_model(NAME)
    return jax.jit(lambda variables, clip: model.apply(variables, clip, MASK))


def _predict(case):
    """The mean over hidden blocks, and each one's prediction."""
    variables = convert.from_arrays(NAME, case.weights())
    mean, endpoints = _forward()(variables, case.clip())
    return np.asarray(mean), np.asarray(endpoints["logits_per_step"])


def _relative_error(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("case", ["videomae__pretrain_base_patch16_224"], indirect=True)
def test_videomaes_predictions_are_the_published_ones(case):
    mean, each = _predict(case)
    assert each.shape == (1, 1411, 1536)
    assert _relative_error(each[:, :8], case.outputs["pred_first8"]) < TOLERANCE
    assert _relative_error(mean, case.outputs["pred_mean"]) < TOLERANCE


@pytest.mark.parametrize(
    "case", ["transformers__videomae-base-pretraining"], indirect=True
)
def test_transformers_predictions_and_loss_are_the_published_ones(case):
    np.testing.assert_array_equal(MASK, case.outputs["mask"])
    _, each = _predict(case)
    assert _relative_error(each[:, :8], case.outputs["logits"]) < TOLERANCE
    spec = model_card(NAME).clip
    clip, each, mask = map(jnp.asarray, (case.clip(), each, MASK))
    targets = normalised_pixels(clip, (2, 16, 16), mean=spec.mean, std=spec.std)
    loss = np.asarray(reconstruction_error(each, targets, mask))
    assert _relative_error(loss, case.outputs["loss"]) < 1e-5
