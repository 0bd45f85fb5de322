"""Differences on images: the divergence is minus the adjoint of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np

from vidjax.flow.differences import (
    centred_gradient,
    divergence,
    forward_differences,
)


def test_divergence_is_minus_the_adjoint_of_the_differences():
    x = jax.random.normal(jax.random.key(0), (5, 6))
    field = jax.random.normal(jax.random.key(1), (2, 5, 6))
    field = field.at[0, :, -1].set(0.0).at[1, -1].set(0.0)
    left = jnp.vdot(jnp.stack(forward_differences(x)), field)
    np.testing.assert_allclose(left, -jnp.vdot(x, divergence(*field)), rtol=1e-5)


def test_the_gradient_of_a_plane_is_its_slope_and_half_of_it_at_the_border():
    y, x = jnp.mgrid[:4, :5].astype(jnp.float32)
    across, down = centred_gradient((3 * x - 2 * y)[None])
    np.testing.assert_array_equal(across[0, 2], [1.5, 3, 3, 3, 1.5])
    np.testing.assert_array_equal(down[0, :, 2], [-1, -2, -2, -1])
