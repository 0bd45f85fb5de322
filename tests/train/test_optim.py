"""Schedules and optimizers against hand-written values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.config import OptimConfig
from vidjax.train.optim import make_optimizer, make_schedule


def _rates(steps, at, **fields):
    schedule = make_schedule(OptimConfig(**fields), steps)
    return [float(schedule(s)) for s in at]


def test_cosine_falls_to_half_in_the_middle_and_to_zero_at_the_end():
    rates = _rates(100, (0, 50, 100), learning_rate=0.4, schedule="cosine")

    np.testing.assert_allclose(rates, [0.4, 0.2, 0.0], atol=1e-7)


def test_cosine_may_end_above_zero():
    rates = _rates(
        100, (0, 50, 100), learning_rate=0.4, schedule="cosine", end_rate=0.1
    )
    assert rates == pytest.approx([0.4, 0.25, 0.1])


def test_warmup_rises_linearly_from_zero_and_cosine_begins_where_it_ends():
    rates = _rates(
        110, (0, 5, 10, 60, 110), learning_rate=1.0, schedule="cosine", warmup_steps=10
    )

    np.testing.assert_allclose(rates, [0.0, 0.5, 1.0, 0.5, 0.0], atol=1e-7)


def test_cosine_with_warmup_equals_optax():
    ours = make_schedule(
        OptimConfig(learning_rate=0.3, schedule="cosine", warmup_steps=7), 50
    )
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.3, 7, 50)

    for s in range(50):
        assert float(ours(s)) == pytest.approx(float(theirs(s)), abs=1e-7)


def test_step_drops_at_its_steps_counted_from_the_beginning():
    rates = _rates(
        100,
        (0, 1, 2, 29, 30, 79, 80, 99),
        learning_rate=2.0,
        schedule="step",
        warmup_steps=2,
        drops=(30, 80),
        drop_factor=0.5,
    )

    np.testing.assert_allclose(rates, [0, 1, 2, 2, 1, 1, 0.5, 0.5], rtol=1e-6)


def test_a_warmup_longer_than_the_run_is_cut_off():
    # A trial of a few steps of a long recipe.
    rates = _rates(5, (0, 4), learning_rate=1.0, schedule="cosine", warmup_steps=50)

    np.testing.assert_allclose(rates, [0.0, 0.08], rtol=1e-6)


def test_constant_stays():
    assert _rates(10, (0, 9), learning_rate=0.25, schedule="constant") == [0.25, 0.25]


PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 4.0]]), "bias": np.array([1.0, -1.0])}
GRADS = [
    {"kernel": np.array([[0.1, 0.2], [-0.3, 0.4]]), "bias": np.array([0.5, -0.5])},
    {"kernel": np.array([[-0.2, 0.1], [0.3, 0.1]]), "bias": np.array([0.1, 0.2])},
    {"kernel": np.array([[0.3, 0.3], [0.3, -0.4]]), "bias": np.array([-0.5, 0.4])},
]


def _run(**fields):
    config = OptimConfig(**{"schedule": "constant", "learning_rate": 0.1} | fields)
    optimizer = make_optimizer(config, steps=10)
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = optimizer.init(params)
    for grads in GRADS:
        updates, state = optimizer.update(
            jax.tree.map(jnp.asarray, grads), state, params
        )
        params = optax.apply_updates(params, updates)
    return params


def _sgd_by_hand(*, nesterov=False, decay=0.0, decays=("kernel",), clip=None):
    params = {k: v.copy() for k, v in PARAMS.items()}
    velocity = {k: np.zeros_like(v) for k, v in PARAMS.items()}
    for grads in GRADS:
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        scale = 1.0 if clip is None else min(1.0, clip / norm)
        for k in params:
            g = scale * grads[k] + (decay * params[k] if k in decays else 0.0)
            velocity[k] = 0.9 * velocity[k] + g
            step = g + 0.9 * velocity[k] if nesterov else velocity[k]
            params[k] = params[k] - 0.1 * step
    return params


@pytest.mark.parametrize(
    ("fields", "by_hand"),
    [
        ({}, {}),
        ({"nesterov": True}, {"nesterov": True}),
        ({"weight_decay": 0.05}, {"decay": 0.05}),
        (
            {"weight_decay": 0.05, "decay": "all"},
            {"decay": 0.05, "decays": ("kernel", "bias")},
        ),
        ({"clip_norm": 0.4}, {"clip": 0.4}),
        # Clipping sees the gradients before weight decay is added.
        ({"clip_norm": 0.4, "weight_decay": 0.05}, {"clip": 0.4, "decay": 0.05}),
    ],
)
def test_sgd_equals_its_definition(fields, by_hand):
    got, expected = _run(name="sgd", **fields), _sgd_by_hand(**by_hand)

    for k in PARAMS:
        np.testing.assert_allclose(got[k], expected[k], rtol=1e-5)


@pytest.mark.parametrize("decays", ["kernels", "all"])
def test_adamw_equals_its_definition(decays):
    got = _run(name="adamw", weight_decay=0.05, decay=decays, b1=0.8, b2=0.95)

    for k, value in PARAMS.items():
        p, m, v = value.copy(), np.zeros_like(value), np.zeros_like(value)
        for t, grads in enumerate(GRADS, start=1):
            g = grads[k]
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
            step = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
            decay = 0.05 if decays == "all" or k == "kernel" else 0.0
            p = p - 0.1 * (step + decay * p)
        np.testing.assert_allclose(got[k], p, rtol=1e-5)


def test_tables_and_tokens_decay_with_kernels_and_not_with_layers():
    params = {"pos_embed": jnp.ones((1, 4, 3)), "logits": {"kernel": jnp.ones((3, 2))}}
    zeros = jax.tree.map(jnp.zeros_like, params)
    moved = {}
    for decays in ("kernels", "layers"):
        config = OptimConfig(name="adamw", weight_decay=0.1, decay=decays)
        optimizer = make_optimizer(config, steps=1)
        updates, _ = optimizer.update(zeros, optimizer.init(params), params)
        moved[decays] = [bool(u.any()) for u in jax.tree.leaves(updates)]

    assert moved == {"kernels": [True, True], "layers": [True, False]}


def test_lars_scales_a_kernel_by_the_trust_ratio_and_a_bias_not():
    got = _run(name="lars", weight_decay=0.05)

    for k, value in PARAMS.items():
        p, velocity = value.copy(), np.zeros_like(value)
        for grads in GRADS:
            g = grads[k] + (0.05 * p if k == "kernel" else 0.0)
            if k == "kernel":
                g = g * 0.001 * np.linalg.norm(p) / np.linalg.norm(g)
            velocity = 0.9 * velocity + 0.1 * g
            p = p - velocity
        np.testing.assert_allclose(got[k], p, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"learning_rate": -1.0}, "learning_rate is not negative"),
        ({"warmup_steps": -1}, "warmup_steps is not negative"),
        ({"drops": (3,)}, "drops come with schedule"),
        ({"schedule": "step", "drops": (5, 3)}, "drops are rising"),
        ({"drop_factor": 0.0}, "drop_factor is positive"),
        ({"momentum": 1.0}, "momentum is in"),
        ({"b1": -0.1}, "b1 is in"),
        ({"b2": 1.0}, "b2 is in"),
        ({"weight_decay": -1e-4}, "weight_decay is not negative"),
        ({"layer_decay": 0.0}, "layer_decay is in"),
        ({"backbone_rate": 0.0}, "backbone_rate is positive"),
        ({"clip_norm": 0.0}, "clip_norm is positive"),
        ({"label_smoothing": 1.0}, "label_smoothing is in"),
    ],
)
def test_a_value_that_makes_no_optimizer_raises(fields, rule):
    with pytest.raises(ValueError, match=rule):
        make_optimizer(OptimConfig(**fields), steps=10)


def test_all_problems_are_in_one_message():
    config = dataclasses.replace(OptimConfig(), momentum=2.0, drop_factor=-1.0)

    with pytest.raises(ValueError, match=r"drop_factor is positive; momentum is in"):
        make_schedule(config, steps=10)


def test_a_run_without_steps_raises():
    with pytest.raises(ValueError, match="steps is at least 1"):
        make_schedule(OptimConfig(), steps=0)


def test_one_cycle_rises_from_a_share_and_falls_to_almost_nothing():
    config = OptimConfig(schedule="onecycle", learning_rate=1.0, warmup_steps=5)
    schedule = make_schedule(config, steps=105)
    rates = [float(schedule(step)) for step in (0, 5, 55, 105)]
    np.testing.assert_allclose(rates, [1 / 25, 1.0, 0.5, 1 / 250_000], rtol=1e-4)
