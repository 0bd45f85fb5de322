"""BMN learns what MMAction2's does: targets, losses and their gradients."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.localization.boundary_losses import (
    BoundaryTargets,
    boundary_loss,
    boundary_targets,
)

CASE = pathlib.Path(__file__).parent / "cases" / "bmn_losses.npz"


@pytest.fixture(scope="module")
def case():
    """Two videos of 16 steps; what MMAction2 made of them, at commit 4d6c934."""
    with np.load(CASE) as arrays:
        return {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}


def _targets(segments, valid):
    return boundary_targets(segments, valid, steps=16)


def test_the_targets_are_theirs(case):
    found = jax.vmap(_targets)(case["segments"], jnp.ones((2, 2), bool))
    for name in ("overlap", "start", "end"):
        np.testing.assert_allclose(getattr(found, name), case[name], atol=1e-5)


def test_places_without_an_action_change_nothing(case):
    segments = jnp.pad(case["segments"], ((0, 0), (0, 1), (0, 0)), constant_values=0.5)
    valid = jnp.array([[True, True, False]] * 2)
    found = jax.vmap(_targets)(segments, valid)
    np.testing.assert_allclose(found.overlap, case["overlap"], atol=1e-5)
    nothing = _targets(segments[0], jnp.zeros(3, bool))
    assert all(float(jnp.max(part)) == 0 for part in nothing)


def test_the_losses_and_their_gradients_are_theirs(case):
    targets = BoundaryTargets(case["overlap"], case["start"], case["end"])

    def total(logits, start):
        loss = boundary_loss(
            logits, start, case["end_logits"], targets, case["chances"]
        )
        return loss.total, loss

    given = (case["logits"], case["start_logits"])
    (_, loss), grads = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(*given)
    parts = [loss.total, loss.boundary, loss.regression, loss.classification]
    np.testing.assert_allclose(parts, case["losses"], rtol=1e-5)
    np.testing.assert_allclose(grads[0], case["grad"], atol=1e-6)
    np.testing.assert_allclose(grads[1], case["start_grad"], atol=1e-6)


def test_a_video_without_actions_has_a_finite_loss(case):
    targets = jax.tree.map(
        jnp.zeros_like, BoundaryTargets(case["overlap"], case["start"], case["end"])
    )
    loss = boundary_loss(
        case["logits"],
        case["start_logits"],
        case["end_logits"],
        targets,
        case["chances"],
    )
    assert bool(jnp.isfinite(loss.total))
    assert float(loss.regression) == 0
