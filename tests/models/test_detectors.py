"""What every registered detector of actions must do."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.localization.presets import PRESETS

ALL = pytest.mark.parametrize("name", models.list_models(task="localize"))
TINY = pytest.mark.parametrize("name", models.list_models("*tiny", task="localize"))


@functools.cache
def _abstract(name, **arguments):
    """Shapes of results and variables at full size; nothing is computed."""
    model = models.create_model(name, **arguments)
    features = jax.ShapeDtypeStruct(
        (2, *models.model_card(name).clip.shape), jnp.float32
    )
    return model, *jax.eval_shape(model.init_with_output, jax.random.key(0), features)


@functools.cache
def _small(name):
    """A tiny detector whose weights have moved from where they start, and features."""
    model = models.create_model(name)
    features = jax.random.normal(
        jax.random.key(1), (2, *models.model_card(name).clip.shape)
    )
    variables = jax.jit(model.init)(jax.random.key(0), features)
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(2), len(leaves))
    moved = [
        leaf + 0.1 * jax.random.normal(key, leaf.shape)
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return model, tree.unflatten(moved), features


@functools.cache
def _apply(name):
    return jax.jit(_small(name)[0].apply)


@ALL
def test_every_point_has_logits_and_all_is_as_the_card_says(name):
    model, (logits, endpoints), variables = _abstract(name)
    card = models.model_card(name)
    levels = len(PRESETS[name].decoding.ranges)
    points = sum(card.clip.length >> level for level in range(levels))
    assert logits.shape == (2, points, model.num_classes)
    assert logits.dtype == jnp.float32
    assert endpoints["mask"].shape == (2, points)
    assert endpoints["features"].shape[:2] == (2, points)
    assert endpoints["pooled"].shape == (2, endpoints["features"].shape[-1])
    leaves = jax.tree.leaves(variables)
    assert sum(math.prod(leaf.shape) for leaf in leaves) == card.params
    assert card.clip.multiple % 2 ** (levels - 1) == 0
    assert "http" in card.paper


@TINY
def test_parameters_are_the_same_with_recomputation_and_in_bfloat16(name):
    _, _, variables = _abstract(name)
    for change in ({"remat": True}, {"dtype": "bfloat16"}):
        _, (logits, _), other = _abstract(name, **change)
        assert jax.tree.structure(variables) == jax.tree.structure(other)
        assert {leaf.dtype for leaf in jax.tree.leaves(other)} == {jnp.dtype("float32")}
        assert logits.dtype == jnp.float32


@TINY
def test_padding_says_nothing_and_videos_do_not_see_each_other(name):
    _, variables, features = _small(name)
    mask = jnp.arange(features.shape[1])[None] < jnp.array([[20], [32]])
    logits, endpoints = _apply(name)(variables, features, mask)
    padded = ~endpoints["mask"]
    assert not bool(logits[padded].any())
    other, _ = _apply(name)(variables, features.at[1].set(0.0), mask)
    np.testing.assert_array_equal(logits[0], other[0])
    assert not np.array_equal(logits[1], other[1])


@TINY
def test_the_first_scores_are_those_of_the_prior(name):
    model = models.create_model(name, empty_classes=(1,))
    features = jnp.zeros((1, *models.model_card(name).clip.shape))
    bias = jax.jit(model.init)(jax.random.key(0), features)["params"]["logits"]["bias"]
    np.testing.assert_allclose(jax.nn.sigmoid(bias), [0.01, 1e-6, 0.01], rtol=1e-4)


@TINY
def test_gradient_reaches_every_parameter(name):
    model, variables, features = _small(name)
    model = model.clone(drop_path_rate=0.0)

    def loss(params):
        logits, endpoints = model.apply(
            {"params": params},
            features,
            train=True,
            rngs={"dropout": jax.random.key(0)},
        )
        rest = (v for k, v in endpoints.items() if k.endswith(("offsets", "_logits")))
        bins = jnp.sum(endpoints.get("bins", 0.0))
        return jnp.sum(logits) + sum(map(jnp.sum, rest)) + bins

    gradients = jax.jit(jax.grad(loss))(variables["params"])
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert float(jnp.abs(gradient).max()) > 0, jax.tree_util.keystr(path)


@TINY
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_batch_of_features_is_refused(name):
    model, variables, features = _small(name)
    for wrong, error, message in (
        (features[0], ValueError, r"\[B, T, C\], got 2"),
        (features[:, :30], ValueError, "multiple of 4 steps"),
        (features[..., :5], ValueError, "16 channels"),
        (features.astype(int), TypeError, "int32"),
    ):
        with pytest.raises(error, match=message):
            jax.eval_shape(model.apply, variables, wrong)
    with pytest.raises(ValueError, match="a mask of shape"):
        jax.eval_shape(model.apply, variables, features, jnp.ones((2, 5), bool))


def test_detectors_are_listed_and_are_no_classifiers():
    assert "actionformer_thumos14" in models.list_models("action*", task="localize")
    assert models.list_models("action*", task="classify") == []
    with pytest.raises(ValueError, match="'localize'"):
        models.registry.clip_spec("tridet_hacs")
