"""Scenic's ViViT in its four models, small, gives its own numbers here."""

import dataclasses

import jax
import numpy as np
import pytest

from vidjax.convert.rules import check_fit, recognise, translate
from vidjax.convert.variables import abstract_variables, unflatten
from vidjax.convert.vivit import SCENIC, TRANSFORMERS
from vidjax.models.vivit import Layout, ViViT

_LAYOUT = Layout(96, 2, 4, 384)


@pytest.mark.parametrize(
    ("case", "factorised", "pool"),
    [
        ("vivit__spacetime_tiny", "joint", "token"),
        ("vivit__factorized_encoder_tiny", "encoder", "token"),
        ("vivit__factorized_self_attention_tiny", "self_attention", "mean"),
        ("vivit__factorized_dot_product_tiny", "dot_product", "mean"),
    ],
    indirect=["case"],
)
def test_converted_weights_give_scenics_logits(case, factorised, pool):
    layout = dataclasses.replace(_LAYOUT, factorised=factorised, time_depth=2)
    model, clip = ViViT(layout=layout, pool=pool), case.clip()
    naming = recognise(case.weights(), (*TRANSFORMERS, SCENIC))
    found, problems = translate(case.weights(), naming)
    assert problems + check_fit(found, abstract_variables(model, clip.shape[1:])) == []

    logits, _ = jax.jit(model.apply)(unflatten(found), clip)

    theirs = case.outputs["logits"]
    assert np.abs(logits - theirs).max() < 1e-5 * np.abs(theirs).max()
