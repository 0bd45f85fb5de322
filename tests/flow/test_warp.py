"""The backward warp, against values by hand and against scenes with exact truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.scenes import draw_pair
from vidjax.flow.warp import leaves_image, warp


def test_a_pixel_is_read_where_the_flow_points():
    # Value 10 y + x: the place a number came from can be read off it.
    image = jnp.asarray(10 * np.arange(4)[:, None] + np.arange(5.0)[None])[
        None, ..., None
    ]
    flow = jnp.zeros((1, 4, 5, 2)).at[0, 1, 2].set(jnp.array([1.5, 1.25]))

    warped = warp(image, flow)[0, ..., 0]

    assert warped[1, 2] == 10 * 2.25 + 3.5
    np.testing.assert_array_equal(warped.at[1, 2].set(12), image[0, ..., 0])


@pytest.mark.parametrize(
    ("padding", "expected"), [("zeros", [0, 1.5, 3, 0]), ("edge", [3, 3, 3, 3])]
)
def test_outside_is_zero_or_the_edge(padding, expected):
    image = jnp.full((1, 4, 4, 1), 3.0)
    moves = jnp.array([-9.0, -1.5, 0.0, 2.0])  # To columns -9, -0.5, 2 and 5.
    flow = jnp.stack([moves, jnp.zeros(4)], axis=-1)
    flow = jnp.broadcast_to(flow, (1, 4, 4, 2))
    np.testing.assert_array_equal(
        warp(image, flow, padding=padding)[0, 1, :, 0], expected
    )


def test_the_warped_second_image_is_the_first():
    pair = draw_pair(jax.random.key(3), height=48, width=64, channels=3, max_px=4.0)
    warped = warp(pair.image1[None], pair.flow[None], padding="edge")[0]
    inside = ~np.asarray(leaves_image(pair.flow[None])[0])
    error = np.abs(np.asarray(warped - pair.image0))[inside]
    unmoved = np.abs(np.asarray(pair.image1 - pair.image0))[inside]
    assert error.mean() < 2.0  # Of 255: what a bilinear read of the texture costs.
    assert unmoved.mean() > 15.0


def test_what_leaves_the_image_is_told():
    flow = jnp.zeros((1, 3, 4, 2)).at[0, 0, 0].set(jnp.array([-0.1, 0.0]))
    flow = flow.at[0, 2, 1].set(jnp.array([0.0, 0.1])).at[0, 1, 1].set(2.0)
    left = np.argwhere(np.asarray(leaves_image(flow)[0])).tolist()
    assert left == [[0, 0], [1, 1], [2, 1]]


def test_flow_receives_a_gradient():
    image = jax.random.uniform(jax.random.key(0), (1, 5, 5, 1))
    slope = jax.grad(lambda flow: warp(image, flow).sum())(jnp.full((1, 5, 5, 2), 0.3))
    assert np.isfinite(np.asarray(slope)).all()
    assert float(jnp.abs(slope[0, 1:3, 1:3]).min()) > 0


def test_batches_that_differ_and_unknown_padding_are_errors(unchecked):
    with pytest.raises(ValueError, match=r"\(2, 4, 4, 1\)"):
        warp(jnp.zeros((2, 4, 4, 1)), jnp.zeros((1, 4, 4, 2)))
    with pytest.raises(ValueError, match="mirror"):
        warp(jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 4, 4, 2)), padding="mirror")
