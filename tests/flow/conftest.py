"""Pairs of images with their flow, drawn and real."""

import pathlib

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.scenes import draw_pair

CASES = pathlib.Path(__file__).parent / "cases"


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """So that OpenCV's sums come in one order."""
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)


@pytest.fixture(scope="session")
def scenes():
    """Exact scenes as bytes: first and second images [5, 64, 80], and their flow."""

    def draw(motion):
        return draw_pair(jax.random.key(1), height=64, width=80, motion=motion)

    pairs = [draw(motion) for motion in ("shift", "turn", "zoom", "waves", "step")]
    parts = zip(*pairs, strict=True)
    image0, image1, flow = (np.asarray(jnp.stack(part)) for part in parts)
    return *(np.round(x[..., 0]).astype(np.uint8) for x in (image0, image1)), flow


@pytest.fixture(scope="session")
def film():
    """Two pairs of grey frames of a film of NASA's, uint8 [2, 64, 80] each.

    "13013" is in the public domain; frames 216 and 218, 276 and 278 of torchcodec's
    copy with 320 x 180 pixels, of each a part that moves.
    """
    with np.load(CASES / "nasa_13013.npz") as case:
        return case["image0"], case["image1"]
