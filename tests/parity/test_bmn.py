"""BMN gives MMAction2's maps, curves and proposals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.convert.bmn import MMACTION2
from vidjax.convert.rules import check_fit, translate
from vidjax.convert.variables import abstract_variables, unflatten
from vidjax.localization.boundary_matching import propose
from vidjax.models.bmn import BMN, sampling_weights


@pytest.mark.parametrize("case", ["bmn__mmaction2_tiny"], indirect=True)
def test_mmaction2s_maps_curves_and_proposals_come_out(case):
    model = BMN(width=32, samples=8, map_widths=(24, 16))
    features, theirs = jnp.asarray(case.clip()), case.outputs
    found, problems = translate(case.weights(), MMACTION2)
    want = abstract_variables(model, features.shape[1:])
    assert problems + check_fit(found, want) == []

    logits, endpoints = jax.jit(model.apply)(unflatten(found), features)

    maps = jax.nn.sigmoid(logits).reshape(2, 20, 20, 2).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(maps, theirs["map"], rtol=1e-5)
    for side in ("start", "end"):
        curve = jax.nn.sigmoid(endpoints[side])
        np.testing.assert_allclose(curve, theirs[side], rtol=1e-5)
    kept = jax.tree.map(lambda a: a[0], propose(logits, endpoints, max_segments=30))
    # Behind these, a comparison hangs on the last bit.
    first = slice(12)
    np.testing.assert_allclose(
        kept.scores[first], theirs["prop_scores"][first], rtol=1e-5
    )
    np.testing.assert_allclose(
        100 * kept.segments[first], theirs["prop_segments"][first], atol=1e-3
    )


@pytest.mark.parametrize("case", ["bmn__mmaction2_tiny"], indirect=True)
def test_the_sampling_matrix_is_mmaction2s(case):
    weights = sampling_weights(20, 8)
    np.testing.assert_allclose(weights, case.outputs["mask"], atol=2e-6)
