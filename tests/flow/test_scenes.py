"""Scenes are what they say: image0(x) = image1(x + flow(x)), exactly."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.scenes import (
    Motion,
    draw_flow,
    draw_pair,
    draw_texture,
    render_pair,
    texture_at,
)


def test_a_whole_shift_moves_pixels_exactly():
    texture = draw_texture(jax.random.key(0), channels=3)
    flow = jnp.broadcast_to(jnp.array([2.0, -1.0]), (20, 24, 2))
    pair = render_pair(texture, flow)
    # image0[y, x] = image1[y - 1, x + 2].
    np.testing.assert_allclose(pair.image0[1:, :-2], pair.image1[:-1, 2:], atol=0.01)


def test_the_texture_fills_the_grey_levels_and_channels_differ():
    texture = draw_texture(jax.random.key(1), channels=3)
    y, x = jnp.mgrid[:64, :64].astype(jnp.float32)
    image = np.asarray(texture_at(texture, jnp.stack([x, y], axis=-1)))
    assert image.min() >= 0
    assert image.max() <= 255
    assert 30 < image.std() < 70
    assert np.abs(image[..., 0] - image[..., 1]).mean() > 10


@pytest.mark.parametrize("motion", get_args(Motion))
def test_the_longest_displacement_is_as_asked(motion):
    flow = draw_flow(jax.random.key(2), height=24, width=32, motion=motion, max_px=5.0)
    assert float(jnp.linalg.norm(flow, axis=-1).max()) == pytest.approx(5.0, abs=1e-4)


def test_a_turn_goes_around_a_point_and_a_zoom_away_from_it():
    key = jax.random.key(5)
    turn, zoom = (
        np.asarray(draw_flow(key, height=32, width=32, motion=motion))
        for motion in ("turn", "zoom")
    )
    for field, divergence, curl in ((turn, 0, 1), (zoom, 1, 0)):
        du_dx, dv_dy = np.diff(field[..., 0], axis=1), np.diff(field[..., 1], axis=0)
        du_dy, dv_dx = np.diff(field[..., 0], axis=0), np.diff(field[..., 1], axis=1)
        spread = abs(du_dx.mean() + dv_dy.mean())
        spin = abs(dv_dx.mean() - du_dy.mean())
        assert (spread > 0.05) == bool(divergence)
        assert (spin > 0.05) == bool(curl)


def test_seeds_decide_and_batches_are_mapped():
    def draw(key):
        return draw_pair(key, height=16, width=16, channels=2)

    keys = jax.random.split(jax.random.key(7), 2)
    pairs = jax.vmap(draw)(keys)
    assert pairs.image0.shape == (2, 16, 16, 2)
    np.testing.assert_allclose(pairs.image0[1], draw(keys[1]).image0, atol=0.01)
    assert np.abs(np.asarray(pairs.flow[0] - pairs.flow[1])).max() > 0.5


def test_an_unknown_motion_is_an_error(unchecked):
    with pytest.raises(ValueError, match="'jump'"):
        draw_flow(jax.random.key(0), height=8, width=8, motion="jump")
