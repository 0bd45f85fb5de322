"""One update: the loss, the masks, the randomness, the types."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.train.state import make_init, start_state
from vidjax.train.step import (
    classification,
    cross_entropy,
    make_predict_step,
    make_train_step,
)

KEY = jax.random.key(3)


def make_step(*args, **kwargs):
    return jax.jit(make_train_step(*args, **kwargs))


def _fresh(model, clip_shape, optimizer=None):
    optimizer = optimizer or optax.sgd(0.1, momentum=0.9)
    state = make_init(model, optimizer, clip_shape=clip_shape)(jax.random.key(0))
    return state, optimizer


def _flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def test_an_update_is_the_gradient_of_the_mean_loss(
    net, pixels, clip_shape, make_batch
):
    model = net()
    state, optimizer = _fresh(model, clip_shape, optax.sgd(0.1))
    batch = make_batch()

    new, metrics = make_step(model, optimizer, prepare=pixels)(state, batch, KEY)

    def loss(params):
        (logits, _), _ = model.apply(
            {"params": params, **state.model_state},
            pixels(batch["clip"]),
            train=True,
            mutable=["batch_stats"],
        )
        return optax.softmax_cross_entropy_with_integer_labels(
            logits, batch["label"]
        ).mean()

    value, grads = jax.jit(jax.value_and_grad(loss))(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, grads)
    assert float(metrics["loss"]) == pytest.approx(float(value), rel=1e-6)
    assert float(metrics["grad_norm"]) == pytest.approx(
        float(np.linalg.norm(_flat(grads))), rel=1e-5
    )
    np.testing.assert_allclose(_flat(new.params), _flat(expected), atol=1e-6)
    assert int(new.step) == 1
    assert bool(metrics["finite"])


def test_training_learns_what_is_in_the_clip(net, pixels, clip_shape, batches):
    model = net()
    state, optimizer = _fresh(model, clip_shape)
    step = make_step(model, optimizer, prepare=pixels)

    metrics = {}
    for _, batch in zip(range(60), batches(), strict=False):
        state, metrics = step(state, batch, KEY)

    assert float(metrics["top1"]) > 0.7  # Chance is 0.25.
    assert step._cache_size() == 1


def test_running_statistics_are_updated(net, pixels, clip_shape, make_batch):
    model = net()
    state, optimizer = _fresh(model, clip_shape)

    new, _ = make_step(model, optimizer, prepare=pixels)(state, make_batch(), KEY)

    before, after = _flat(state.model_state), _flat(new.model_state)
    assert np.abs(before - after).max() > 1e-3


def test_masked_rows_change_neither_loss_nor_top1(pixels, clip_shape, make_batch, net):
    class NoNorm(net):
        def __call__(self, clip, *, train=False):
            return super().__call__(clip, train=False)

    model = NoNorm()
    state, optimizer = _fresh(model, clip_shape)
    step = make_step(model, optimizer, prepare=pixels)
    batch = make_batch(size=16)
    part = {name: value[:11] for name, value in batch.items()}
    masked = {**batch, "mask": np.arange(16) < 11}
    masked["label"] = np.where(masked["mask"], batch["label"], 0).astype(np.int32)

    whole, metrics = step(state, masked, KEY)
    cut, expected = step(state, part, KEY)

    assert float(metrics["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-6)
    assert float(metrics["top1"]) == pytest.approx(float(expected["top1"]))
    np.testing.assert_allclose(_flat(whole.params), _flat(cut.params), atol=1e-6)


def test_dropout_is_a_function_of_key_and_step(net, pixels, clip_shape, make_batch):
    model = net(dropout_rate=0.5)
    state, optimizer = _fresh(model, clip_shape)
    step = make_step(model, optimizer, prepare=pixels)
    batch = make_batch()

    def loss(step_number, key):
        at = state.replace(step=jnp.asarray(step_number, jnp.int32))
        return float(step(at, batch, key)[1]["loss"])

    assert loss(5, KEY) == loss(5, KEY)
    assert loss(5, KEY) != loss(6, KEY)
    assert loss(5, KEY) != loss(5, jax.random.key(4))


def test_smoothed_labels_are_the_stated_mixture():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32)
    label = jnp.asarray(rng.integers(0, 5, 6), jnp.int32)

    got = cross_entropy(logits, label, label_smoothing=0.2)

    target = optax.smooth_labels(jax.nn.one_hot(label, 5), 0.2)
    expected = optax.softmax_cross_entropy(logits, target)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_label_smoothing_reaches_the_step(net, pixels, clip_shape, make_batch):
    model = net()
    state, optimizer = _fresh(model, clip_shape)
    losses = [
        make_step(model, optimizer, prepare=pixels, losses=classification(s))(
            state, make_batch(), KEY
        )[1]["loss"]
        for s in (0.0, 0.3)
    ]

    assert abs(float(losses[0]) - float(losses[1])) > 1e-3


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_label_smoothing_out_of_range_raises(value):
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\)"):
        classification(value)


def test_bfloat16_compute_keeps_parameters_and_loss_in_float32(
    net, pixels, clip_shape, make_batch
):
    model = net(dtype="bfloat16")
    state, optimizer = _fresh(model, clip_shape)

    state, metrics = make_step(model, optimizer, prepare=pixels)(
        state, make_batch(), KEY
    )

    assert {x.dtype for x in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert metrics["loss"].dtype == jnp.float32


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_an_update_that_is_not_finite_says_so(
    net, pixels, clip_shape, make_batch, what
):
    class Broken(net):
        def __call__(self, clip, *, train=False):
            logits, endpoints = super().__call__(clip, train=train)
            if what == "loss":
                return logits * jnp.nan, endpoints
            # The square root of zero has an infinite slope and a finite value.
            zero = jnp.sum(logits - jax.lax.stop_gradient(logits))
            return logits + jnp.sqrt(zero), endpoints

    model = Broken()
    state, optimizer = _fresh(model, clip_shape)

    _, metrics = make_step(model, optimizer, prepare=pixels)(state, make_batch(), KEY)

    assert not bool(metrics["finite"])


def test_prediction_uses_running_statistics_and_no_dropout(
    net, pixels, clip_shape, make_batch
):
    model = net(dropout_rate=0.5)
    state, _ = _fresh(model, clip_shape)
    predict = jax.jit(make_predict_step(model, prepare=pixels))
    batch = make_batch()

    logits, _ = predict(state.variables, batch)

    alone = [
        predict(state.variables, {"clip": batch["clip"][i : i + 1]})[0][0]
        for i in range(len(logits))
    ]
    assert logits.shape == (16, 4)
    np.testing.assert_allclose(logits, np.stack(alone), atol=1e-5)


def test_variables_that_training_starts_from_are_not_changed(
    net, pixels, clip_shape, make_batch
):
    model = net()
    given = model.init(jax.random.key(0), jnp.zeros((1, *clip_shape)))
    before = jax.tree.map(np.array, given)
    optimizer = optax.sgd(0.5)
    state = start_state(given, optimizer)
    step = jax.jit(make_train_step(model, optimizer, prepare=pixels), donate_argnums=0)

    for i in range(3):
        state, _ = step(state, make_batch(i), KEY)

    # Not even their memory is taken, though the state is donated to each update.
    np.testing.assert_array_equal(_flat(given), _flat(before))
    assert np.abs(_flat(state.params) - _flat(given["params"])).max() > 1e-3
