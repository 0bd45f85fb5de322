import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.ops.fuse import fuse_scores

RGB = jnp.array([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
FLOW = jnp.array([[0.0, 4.0, 1.0], [1.0, 2.0, 3.0]])


def test_scores_before_softmax_are_added_with_their_weights():
    fused = fuse_scores([RGB, FLOW], weights=(1.0, 1.5))
    np.testing.assert_allclose(fused, RGB + 1.5 * FLOW)


def test_probabilities_are_averaged_with_their_weights():
    fused = fuse_scores([RGB, FLOW], weights=(1.0, 3.0), at="softmax")
    expected = 0.25 * jax.nn.softmax(RGB) + 0.75 * jax.nn.softmax(FLOW)
    np.testing.assert_allclose(jnp.exp(fused), expected, rtol=1e-6)


def test_a_weight_of_zero_leaves_a_stream_out_wherever_scores_are_joined():
    for at in ("logits", "softmax"):
        fused = fuse_scores([RGB, FLOW], weights=(0.0, 1.0), at=at)
        np.testing.assert_allclose(
            jax.nn.softmax(fused), jax.nn.softmax(FLOW), rtol=1e-6
        )


@pytest.mark.usefixtures("unchecked")
def test_what_makes_no_sum_is_refused():
    with pytest.raises(ValueError, match="'probabilities'"):
        fuse_scores([RGB, FLOW], weights=(1.0, 1.0), at="probabilities")
    for weights in ((1.0,), (1.0, -1.0), (0.0, 0.0)):
        with pytest.raises(ValueError, match="Expected 2 weights"):
            fuse_scores([RGB, FLOW], weights=weights)
