"""Encoders without a classifier give the features of their published code here."""

import jax
import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.rules import check_fit, translate
from vidjax.convert.variables import abstract_variables, unflatten
from vidjax.convert.videoprism import VIDEOPRISM
from vidjax.models.registry import create_model
from vidjax.models.videoprism import Layout, VideoPrism

TOLERANCE = 1e-5  # Relative.


def _check(ours, theirs):
    assert np.abs(ours - theirs).max() < TOLERANCE * np.abs(theirs).max()


def _features(model, variables, clip):
    """Tokens [B, N, D] of the encoder."""
    _, endpoints = jax.jit(model.apply)(variables, clip)
    features = np.asarray(endpoints["features"])
    return features.reshape(features.shape[0], -1, features.shape[-1])


@pytest.mark.parametrize("case", ["vjepa2__vit_large_encoder"], indirect=True)
def test_v_jepa_2s_encoder_gives_the_published_tokens(case):
    name = "vjepa2_large"
    variables = convert.from_arrays(name, case.weights(), num_classes=0)
    tokens = _features(create_model(name, num_classes=0), variables, case.clip())
    _check(tokens[:, :4], case.outputs["tokens_first4"])
    _check(tokens[:, -4:], case.outputs["tokens_last4"])
    _check(tokens.mean(axis=1), case.outputs["token_mean"])


@pytest.mark.parametrize("case", ["videoprism__base_v1"], indirect=True)
def test_videoprisms_encoder_gives_the_published_tokens(case):
    name = "videoprism_base"
    variables = convert.from_arrays(name, case.weights(), num_classes=0)
    tokens = _features(create_model(name, num_classes=0), variables, case.clip())
    _check(tokens[:, ::64], case.outputs["features"])


@pytest.mark.parametrize("case", ["videoprism__tiny"], indirect=True)
def test_a_small_videoprism_resizes_its_tables_as_published(case):
    model = VideoPrism(0, Layout(96, 2, 4, 384, frames=16, time_depth=2))
    found, problems = translate(case.weights(), VIDEOPRISM)
    want = abstract_variables(model, case.clip().shape[1:])
    assert problems + check_fit(found, want) == []
    tokens = _features(model, unflatten(found), case.clip())
    _check(tokens, case.outputs["features"])
