"""Grey images are those of OpenCV."""

import cv2
import jax.numpy as jnp
import numpy as np

from vidjax.flow.grey import rgb_to_grey


def test_grey_is_opencvs_within_its_fixed_point():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    got = np.asarray(rgb_to_grey(jnp.asarray(image)))
    assert np.abs(got - expected).max() <= 1
    assert (got == expected).mean() > 0.999
