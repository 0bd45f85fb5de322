"""BMN scores every start and duration of a video."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.localization.boundary_matching import match_boundaries, propose


@pytest.mark.parametrize("name", models.list_models(task="propose"))
def test_the_card_says_what_it_is(name):
    model, card = models.create_model(name), models.model_card(name)
    features = jax.ShapeDtypeStruct((2, *card.clip.shape), jnp.float32)
    (logits, endpoints), variables = jax.eval_shape(
        model.init_with_output, jax.random.key(0), features
    )
    steps = card.clip.length
    assert logits.shape == (2, steps**2, 2)
    assert endpoints["start"].shape == endpoints["end"].shape == (2, steps)
    assert endpoints["pooled"].shape == endpoints["features"].shape[::2]
    leaves = jax.tree.leaves(variables)
    assert sum(math.prod(leaf.shape) for leaf in leaves) == card.params


def test_only_boundaries_are_joined():
    start = jnp.array([0.1, 0.9, 0.1, 0.1, 0.1, 0.1])
    end = jnp.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.1])
    segments, scores, valid = match_boundaries(jnp.full((36, 2), 0.5), start, end)
    found = np.asarray(segments[valid]) * 6
    # The first step may start something, and the last may end it.
    expected = [[1, 4], [0, 4], [1, 5], [0, 5]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert float(scores[valid][0]) == pytest.approx(0.9 * 0.8 * 0.25)


def test_proposals_fall_in_score_and_lie_in_the_video():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.standard_normal((2, 144, 2)), jnp.float32)
    curves = {
        side: jnp.asarray(rng.standard_normal((2, 12)), jnp.float32)
        for side in ("start", "end")
    }
    kept = propose(logits, curves, max_segments=8)
    assert bool((jnp.diff(kept.scores, axis=1) <= 0).all())
    assert bool((kept.segments[..., 0] < kept.segments[..., 1])[kept.valid].all())
    assert float(kept.segments.max()) <= 1


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_batch_of_features_is_refused():
    model = models.create_model("bmn_tiny")
    with pytest.raises(ValueError, match="three axes"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((12, 16)))
    with pytest.raises(TypeError, match="int32"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 12, 16), int))
