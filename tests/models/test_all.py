"""What every registered classifier must do; a new one is covered by registering."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax import models
from vidjax.ops.platform import compile_for


def _each(names):
    """Names whose tests run in one process each, which traces a network once."""
    return pytest.mark.parametrize(
        "name", [pytest.param(n, marks=pytest.mark.xdist_group(n)) for n in names]
    )


def _smallest_of_each_family():
    cards = [models.model_card(n) for n in models.list_models(task="classify")]
    cards = [card for card in cards if not card.name.endswith("tiny")]
    families = {card.family for card in cards}
    return sorted(
        min((c for c in cards if c.family == family), key=lambda card: card.params).name
        for family in families
    )


ALL = _each(models.list_models(task="classify"))
TINY = _each(models.list_models("*tiny", task="classify"))
FAMILIES = _each(_smallest_of_each_family())


@functools.cache
def _traced(name, **arguments):
    """Shapes only, at full size: no weight is allocated and nothing is compiled.

    Results and variables come of one trace, in the plain forms: both cost time.
    """
    model = models.create_model(name, **arguments)
    shape = (2, *models.model_card(name).clip.shape)
    clip = jax.ShapeDtypeStruct(shape, jnp.float32)
    with compile_for("any"):
        results, variables = jax.eval_shape(
            model.init_with_output, jax.random.key(0), clip
        )
    return model, variables, clip, results


def _abstract(name, **arguments):
    return _traced(name, **arguments)[:3]


def _weight(path, shape, rng):
    """Noise of the size of a trained weight; scales and variances near one.

    Some layers start as zero, which would hide the others.
    """
    noise = rng.standard_normal(shape).astype(np.float32)
    kind = path[-1].key
    if kind in ("scale", "var"):
        return 1 + 0.1 * np.abs(noise)
    if kind == "kernel":
        return noise / np.float32(math.sqrt(math.prod(shape[:-1])))
    return np.float32(0.1) * noise


@functools.cache
def _small(name, **arguments):
    """A tiny model with weights, and two clips of noise."""
    model, variables, clip, _ = _traced(name, num_classes=5, **arguments)
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(_weight(path, leaf.shape, rng)), variables
    )
    return model, variables, jax.random.normal(jax.random.key(1), clip.shape)


@functools.cache
def _apply(name, **arguments):
    model, _, _ = _small(name, **arguments)
    return jax.jit(model.apply)


def _classifiers(params):
    """The last layer, or those of two streams."""
    parts = (params, params.get("rgb", {}), params.get("flow", {}))
    return [part["logits"] for part in parts if "logits" in part]


@functools.cache
def _gradients(name):
    """A tiny model in training with dropout, compiled once for all tests of it.

    It gives the gradients of the first class's logits, and logits, endpoints and new
    statistics.
    """
    model, _, _ = _small(name, dropout_rate=0.5)

    def loss(params, variables, clip, key):
        results = model.apply(
            {**variables, "params": params},
            clip,
            train=True,
            rngs={"dropout": jax.random.key(key)},
            mutable=["batch_stats"],
        )
        return jnp.sum(results[0][0][:, 0]), results

    def gradients(variables, clip, key):
        return jax.grad(loss, has_aux=True)(variables["params"], variables, clip, key)

    return jax.jit(gradients)


@ALL
def test_logits_and_endpoints_have_the_promised_shapes(name):
    model, _, _, (logits, endpoints) = _traced(name)
    width = endpoints["pooled"].shape[-1]
    assert logits.shape == (2, model.num_classes)
    assert logits.dtype == jnp.float32
    assert endpoints["pooled"].shape == (2, width)
    assert len(endpoints["features"].shape) in (3, 5)  # Tokens or maps.
    assert all(value.shape[0] == 2 for value in endpoints.values())


@TINY
def test_num_classes_changes_only_the_last_layer(name):
    _, variables, _ = _abstract(name)
    _, small, _ = _abstract(name, num_classes=7)
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    changed = {
        path[-2].key
        for (path, a), b in zip(leaves, jax.tree.leaves(small["params"]), strict=True)
        if a.shape != b.shape
    }
    assert changed == {"logits"}
    for classifier in _classifiers(small["params"]):
        assert classifier["bias"].shape == (7,)
        assert classifier["kernel"].shape[1:] == (7,)


@TINY
def test_no_classes_leave_the_classifier_out_and_give_pooled_features(name):
    _, variables, _, (logits, endpoints) = _traced(name, num_classes=0)
    assert not _classifiers(variables["params"])
    assert logits.shape == endpoints["pooled"].shape
    assert logits.dtype == jnp.float32


@ALL
def test_parameters_are_as_many_as_the_card_says_under_the_promised_names(name):
    _, variables, _ = _abstract(name)
    leaves = jax.tree.leaves(variables["params"])
    assert sum(math.prod(a.shape) for a in leaves) == models.model_card(name).params
    assert _classifiers(variables["params"])
    for classifier in _classifiers(variables["params"]):
        assert set(classifier) == {"kernel", "bias"}
        assert classifier["bias"].shape == (models.create_model(name).num_classes,)


@TINY
def test_parameters_and_statistics_are_float32_whatever_the_computation(name):
    _, variables, _ = _abstract(name, dtype="bfloat16")
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@TINY
def test_recomputation_in_the_backward_pass_keeps_the_tree(name):
    _, variables, _ = _abstract(name)
    _, again, _ = _abstract(name, remat=True)
    assert jax.tree.structure(variables) == jax.tree.structure(again)


@ALL
def test_the_card_fits_its_clip(name):
    card = models.model_card(name)
    assert card.name == name
    assert len(card.clip.mean) == len(card.clip.std) == card.clip.channels
    assert "http" in card.paper
    assert len({weights.tag for weights in card.weights}) == len(card.weights)


@ALL
def test_another_number_of_channels_is_refused(name):
    model, variables, clip = _abstract(name)
    other = jax.ShapeDtypeStruct((*clip.shape[:-1], 6), jnp.float32)
    with pytest.raises(ValueError, match="channels"):
        jax.eval_shape(model.apply, variables, other)


@ALL
@pytest.mark.usefixtures("unchecked")
def test_an_input_that_is_no_clip_is_refused(name):
    model, variables, _ = _abstract(name)
    with pytest.raises(ValueError, match=r"\[B, .*H, W, C\].*got"):
        jax.eval_shape(model.apply, variables, jnp.zeros((32, 32, 3)))
    pixels = jax.ShapeDtypeStruct((1, *models.model_card(name).clip.shape), jnp.uint8)
    with pytest.raises(TypeError, match="uint8"):
        jax.eval_shape(model.apply, variables, pixels)


@TINY
def test_a_tiny_model_is_small(name):
    assert 30_000 <= models.model_card(name).params <= 250_000


@TINY
def test_results_are_finite_and_the_same_every_time(name):
    _, variables, clip = _small(name)
    first, _ = _apply(name)(variables, clip)
    again, _ = _apply(name)(variables, clip)
    assert bool(jnp.isfinite(first).all())
    assert float(jnp.std(first)) > 0
    np.testing.assert_array_equal(first, again)


@TINY
def test_clips_of_a_batch_do_not_see_each_other(name):
    _, variables, clip = _small(name)
    both, _ = _apply(name)(variables, clip)
    other, _ = _apply(name)(variables, clip.at[1].set(0.0))
    np.testing.assert_array_equal(both[0], other[0])
    assert not np.array_equal(both[1], other[1])


@TINY
def test_a_second_batch_does_not_compile_again(name):
    _, variables, clip = _small(name)
    apply = _apply(name)
    apply(variables, clip)
    compiled = apply._cache_size()
    apply(variables, clip + 1)
    assert apply._cache_size() == compiled


@TINY
def test_gradient_reaches_every_parameter(name):
    _, variables, clip = _small(name, dropout_rate=0.5)
    gradients, _ = _gradients(name)(variables, clip, 0)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        where = jax.tree_util.keystr(path)
        assert bool(jnp.isfinite(gradient).all()), where
        assert float(jnp.abs(gradient).max()) > 0, where


@TINY
def test_bfloat16_is_near_float32_and_its_logits_are_float32(name):
    _, variables, clip = _small(name)
    exact, _ = _apply(name)(variables, clip)
    low = models.create_model(name, num_classes=5, dtype="bfloat16")
    logits, endpoints = jax.jit(low.apply)(variables, clip)
    assert logits.dtype == jnp.float32
    assert endpoints["features"].dtype == jnp.bfloat16
    np.testing.assert_allclose(logits, exact, atol=0.05 * float(jnp.abs(exact).max()))


@TINY
def test_training_moves_the_statistics_and_repeats_with_its_key(name):
    _, variables, clip = _small(name, dropout_rate=0.5)
    train = _gradients(name)
    _, ((logits, _), state) = train(variables, clip, 0)
    _, ((again, _), _) = train(variables, clip, 0)
    _, ((other, _), _) = train(variables, clip, 1)
    np.testing.assert_array_equal(logits, again)
    assert not np.array_equal(logits, other)
    before, after = variables.get("batch_stats", {}), state.get("batch_stats", {})
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
    assert all(jax.tree.leaves(moved))


@TINY
def test_training_with_dropout_needs_a_key_and_mutable_statistics(name):
    model, variables, clip = _abstract(name, dropout_rate=0.5)
    train = functools.partial(model.apply, train=True)
    with pytest.raises(Exception, match="dropout"):
        jax.eval_shape(
            functools.partial(train, mutable=["batch_stats"]), variables, clip
        )
    if "batch_stats" not in variables:
        return
    rngs = {"dropout": jax.random.key(0)}
    with pytest.raises(Exception, match="batch_stats"):
        jax.eval_shape(functools.partial(train, rngs=rngs), variables, clip)


@FAMILIES
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("change", ["longer and larger", "shorter and smaller"])
def test_other_frame_counts_and_sizes_work_or_the_error_says_why_not(name, change):
    model, variables, _ = _abstract(name)
    frames, size, _, channels = models.model_card(name).clip.shape
    if change == "longer and larger":
        frames, size = (frames if frames == 1 else 2 * frames), size + 32
    else:
        frames, size = max(frames // 2, 1), size // 2
    clip = jax.ShapeDtypeStruct((1, frames, size, size, channels), jnp.float32)
    try:
        logits, _ = jax.eval_shape(model.apply, variables, clip)
        outcome = f"logits {logits.shape}"
    except ValueError as error:
        outcome = str(error)
    expected = rf"logits \(1, {model.num_classes}\)"
    reason = r"[Ee]xpected .*got .*\[B, T, H, W, C\]"
    assert re.search(f"{expected}|{reason}", outcome)
