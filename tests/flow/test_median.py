"""Medians by exchanges are right for all patterns of zeros and ones, and OpenCV's."""

import itertools

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.median import median_filter


@pytest.mark.parametrize("size", [3, 5])
def test_every_pattern_of_zeros_and_ones_has_its_median(size):
    # By the zero-one principle this proves a network of exchanges right. One window
    # for each number of ones in each column, whose order the network sorts away.
    patterns = itertools.product(range(size + 1), repeat=size)
    ones = np.array(list(patterns))[:, None, :]
    windows = (np.arange(size)[None, :, None] < ones).astype(np.float32)
    middle = size // 2
    got = median_filter(jnp.asarray(windows), size=size)[:, middle, middle]
    np.testing.assert_array_equal(got, np.median(windows, axis=(1, 2)))


@pytest.mark.parametrize("size", [3, 5])
def test_it_is_opencvs_to_the_border(size):
    x = np.random.default_rng(0).standard_normal((2, 11, 14)).astype(np.float32)
    expected = [cv2.medianBlur(one, size) for one in x]
    np.testing.assert_array_equal(median_filter(jnp.asarray(x), size=size), expected)


def test_another_size_is_an_error():
    with pytest.raises(ValueError, match="got 7"):
        median_filter(jnp.zeros((8, 8)), size=7)
