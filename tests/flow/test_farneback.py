"""Farnebäck's flow is OpenCV's, pixel by pixel."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.farneback import farneback


def _opencv(image0, image1, **settings):
    method = cv2.FarnebackOpticalFlow.create(**settings)
    pairs = zip(image0, image1, strict=True)
    return np.stack([method.calc(a, b, None) for a, b in pairs])


def test_one_iteration_is_opencvs(scenes):
    image0, image1, _ = scenes
    got = farneback(image0, image1, num_levels=0, iterations=1)
    expected = _opencv(image0, image1, numLevels=0, numIters=1)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_defaults_give_opencvs_flow(scenes):
    image0, image1, truth = scenes
    got = np.asarray(farneback(image0, image1))
    np.testing.assert_allclose(got, _opencv(image0, image1), atol=1e-3)
    error = np.linalg.norm(got - truth, axis=-1).mean(axis=(1, 2))
    assert error.max() < 0.4  # Pixels; the fields are up to 3 long.


def test_a_gaussian_window_and_other_scales_are_opencvs(scenes):
    image0, image1, _ = scenes
    got = farneback(
        image0,
        image1,
        pyramid_scale=0.702,
        num_levels=2,
        window=11,
        iterations=2,
        poly_n=7,
        poly_sigma=1.5,
        gaussian=True,
    )
    expected = _opencv(
        image0,
        image1,
        pyrScale=0.702,
        numLevels=2,
        winSize=11,
        numIters=2,
        polyN=7,
        polySigma=1.5,
        flags=cv2.OPTFLOW_FARNEBACK_GAUSSIAN,
    )
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_real_frames_give_opencvs_flow(film):
    got = np.asarray(farneback(*film))
    error = np.linalg.norm(got - _opencv(*film), axis=-1)
    assert (error < 0.1).mean() > 0.999
    assert error.mean() < 1e-3


def test_it_is_differentiable():
    image = jax.random.uniform(jax.random.key(0), (2, 32, 32), maxval=255.0)

    def total(image0):
        return farneback(image0, image[1:], iterations=2, num_levels=0).sum()

    slope = np.asarray(jax.grad(total)(image[:1]))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


def test_what_is_wrong_is_told_at_once(unchecked):
    image = jnp.zeros((1, 40, 40))
    with pytest.raises(ValueError, match=r"window must be odd, got 4; iterations"):
        farneback(image, image, window=4, iterations=0)
    with pytest.raises(ValueError, match=r"\(0, 1\), got 1.5"):
        farneback(image, image, pyramid_scale=1.5)
    with pytest.raises(ValueError, match="num_levels must be at least 0"):
        farneback(image, image, num_levels=-1)
    with pytest.raises(ValueError, match="rgb_to_grey"):
        farneback(jnp.zeros((1, 40, 40, 3)), jnp.zeros((1, 40, 40, 3)))
