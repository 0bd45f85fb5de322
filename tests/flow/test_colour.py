"""Pictures of flow, byte for byte torchvision's."""

import pathlib

import numpy as np
import pytest

from vidjax.flow.colour import flow_to_image

# Made with torchvision 0.29.1: flow_to_image of a batch of two, and of the second.
CASE = pathlib.Path(__file__).parent / "cases" / "torchvision_flow_to_image.npz"


def test_pictures_are_torchvisions():
    with np.load(CASE) as case:
        flow, batch, single = case["flow"], case["batch"], case["single"]
    np.testing.assert_array_equal(flow_to_image(flow), batch)
    np.testing.assert_array_equal(flow_to_image(flow[1:]), single)


def test_directions_have_their_hues():
    flow = np.array([[[2, 0], [-2, 0], [0, 2], [0, -2], [0, 0]]], np.float32)
    right, left, down, up, still = flow_to_image(flow)[0].astype(int)
    assert right.tolist() == [255, 0, 0]
    assert left[2] > left[0]  # Towards cyan.
    assert down[0] > down[2]  # Yellow.
    assert up[2] > up[1]  # Towards violet.
    assert still.tolist() == [255, 255, 255]


def test_a_fixed_scale_darkens_what_is_beyond_and_nothing_else():
    flow = np.array([[[1, 0], [2, 0], [4, 0]]], np.float32)
    image = flow_to_image(flow, max_px=2.0)[0]
    np.testing.assert_array_equal(image[:2], flow_to_image(flow[:, :2])[0])
    assert image[2].tolist() == [191, 0, 0]


def test_pixels_without_flow_are_black_and_do_not_count():
    flow = np.array([[[1, 0], [np.nan, 0], [0, np.inf]]], np.float32)
    image = flow_to_image(flow)[0]
    assert image.tolist() == [[255, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_what_is_no_flow_is_an_error():
    with pytest.raises(ValueError, match=r"\(4, 4, 3\)"):
        flow_to_image(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="above 0 pixels, got 0"):
        flow_to_image(np.zeros((4, 4, 2)), max_px=0.0)
