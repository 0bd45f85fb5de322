"""Resizing and bicubic reading are OpenCV's."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.resample import resize_linear, warp_cubic


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (height, width)).astype(np.float32)


@pytest.mark.parametrize("size", [(18, 23), (30, 41), (24, 29), (48, 58)])
def test_resizing_is_opencvs(size):
    image = _image(24, 29)
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    got = resize_linear(jnp.asarray(image), size=size)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_scale_is_not_the_ratio_of_rounded_sizes():
    image = _image(23, 31)
    expected = cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_LINEAR)
    got = resize_linear(jnp.asarray(image), size=expected.shape, step=(1.25, 1.25))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    by_ratio = resize_linear(jnp.asarray(image), size=expected.shape)
    assert np.abs(np.asarray(by_ratio) - expected).max() > 1


def test_the_cuda_variant_has_pixels_at_corners():
    # cv2.cuda.resize reads at i / scale: of 0, 10, ... 70, every 1.25th.
    ramp = jnp.arange(8.0)[None] * 10
    got = resize_linear(ramp, size=(1, 6), step=(1.0, 1.25), half_pixel=False)
    np.testing.assert_allclose(got[0], 12.5 * np.arange(6))


def test_bicubic_reading_is_opencvs():
    image = _image(20, 26)
    rng = np.random.default_rng(2)
    # OpenCV before 5 rounds coordinates to 1/32 pixel, so these are such.
    flow = np.round(rng.uniform(-6, 6, (20, 26, 2)) * 32) / 32
    flow = flow.astype(np.float32)
    y, x = np.mgrid[:20, :26].astype(np.float32)
    expected = cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)
    got = warp_cubic(
        jnp.asarray(image)[None, ..., None],
        jnp.asarray(flow)[None],
        sharpness=-0.75,
        padding="zeros",
    )
    np.testing.assert_allclose(got[0, ..., 0], expected, atol=2e-3)


def test_bicubic_reading_of_a_plane_is_exact_and_the_edge_repeats():
    plane = jnp.broadcast_to(jnp.arange(12.0)[None, :], (9, 12))[None, ..., None]
    flow = jnp.full((1, 9, 12, 2), 0.3)
    got = warp_cubic(plane, flow, sharpness=-0.5, padding="edge")[0, :, :, 0]
    np.testing.assert_allclose(got[:, 1:9], plane[0, :, 1:9, 0] + 0.3, rtol=1e-5)
    beyond = warp_cubic(plane, flow + 20, sharpness=-0.5, padding="edge")
    np.testing.assert_allclose(beyond, 11.0, rtol=1e-6)
