"""TV-L1 is OpenCV's: one step exactly, a full run as nearly as OpenCV is to itself."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.flow.encode import flow_to_bytes
from vidjax.flow.tvl1 import tvl1
from vidjax.ops.platform import compile_for


def _opencv(image0, image1, **settings):
    pairs = zip(image0, image1, strict=True)
    flows = []
    for first, second in pairs:
        # A new one for each pair: it remembers how many scales the last one had.
        method = cv2.optflow.DualTVL1OpticalFlow_create(**settings)
        flows.append(method.calc(first, second, None))
    return np.stack(flows)


def _bytes(flow):
    return np.asarray(flow_to_bytes(jnp.asarray(flow))).astype(int)


@pytest.fixture(scope="module")
def flows(scenes, film):
    """Flow of the scenes and of the film by the defaults, in one program."""
    both = (np.concatenate(parts) for parts in zip(scenes[:2], film, strict=True))
    flow = np.asarray(tvl1(*both))
    return flow[:5], flow[5:]


def test_one_step_is_opencvs(scenes):
    image0, image1, _ = scenes
    got = tvl1(
        image0,
        image1,
        num_scales=1,
        num_warps=1,
        inner_iterations=20,
        outer_iterations=1,
        epsilon=None,
    )
    expected = _opencv(
        image0,
        image1,
        nscales=1,
        warps=1,
        innnerIterations=20,
        outerIterations=1,
        epsilon=1e-9,
    )
    np.testing.assert_allclose(got, expected, atol=1e-5)


def _check_against_opencv(flow, expected):
    """OpenCV's own rule for its implementations, and bytes as two-stream data has."""
    error = np.linalg.norm(flow - expected, axis=-1)
    assert (error < 0.1).mean() >= 0.95
    assert error.mean() <= 0.03
    assert (np.abs(_bytes(flow) - _bytes(expected)) <= 1).mean() >= 0.99


def test_a_full_run_is_opencvs_by_its_own_rule(scenes, flows):
    # Rounding grows over thousands of iterations, and OpenCV's flow of the transposed
    # images differs from its own by as much.
    expected, truth = _opencv(*scenes[:2]), scenes[2]
    _check_against_opencv(flows[0], expected)
    ours, theirs = (
        np.linalg.norm(flow - truth, axis=-1).mean() for flow in (flows[0], expected)
    )
    assert ours < 0.2  # Pixels; the fields are up to 3 long.
    assert abs(ours - theirs) < 0.005


def test_real_frames_give_opencvs_flow(film, flows):
    expected = _opencv(*film)
    assert np.linalg.norm(expected, axis=-1).mean() > 0.3  # They do move.
    _check_against_opencv(flows[1], expected)


def test_the_cuda_variant_is_another(scenes, flows):
    # No OpenCV with CUDA is here to compare with: by the truth, away from the edge,
    # where it takes repeated pixels for what it sees.
    flow = np.asarray(tvl1(*scenes[:2], variant="opencv_cuda", num_scales=3))
    error, apart = (
        np.linalg.norm(flow - other, axis=-1)[:, 6:-6, 6:-6].mean()
        for other in (scenes[2], flows[0])
    )
    assert error < 0.15
    assert 0.001 < apart < 0.15


def test_pairs_in_step_stop_each_by_itself(scenes):
    # What a GPU and a TPU do: all pairs at once, those that are finished held still.
    short = {"num_scales": 1, "num_warps": 2, "epsilon": 0.02}
    image0, image1 = scenes[0][:3, :32, :40], scenes[1][:3, :32, :40]
    one_by_one = np.asarray(tvl1(image0, image1, **short))
    jax.clear_caches()
    with compile_for("tpu"):
        together = np.asarray(tvl1(image0, image1, **short))
    jax.clear_caches()
    error = np.linalg.norm(one_by_one - together, axis=-1)
    assert (error < 0.01).mean() > 0.99


def test_fixed_iterations_have_a_gradient():
    image = jax.random.uniform(jax.random.key(0), (2, 20, 20), maxval=255.0)

    def total(image0):
        return tvl1(
            image0,
            image[1:],
            num_scales=1,
            num_warps=2,
            inner_iterations=2,
            outer_iterations=2,
            epsilon=None,
            median=3,
        ).sum()

    slope = np.asarray(jax.grad(total)(image[:1]))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


def test_what_is_wrong_is_told_at_once(unchecked):
    image = jnp.zeros((1, 24, 24))
    with pytest.raises(ValueError, match=r"num_warps .* got 0; tau must be above 0"):
        tvl1(image, image, num_warps=0, tau=0.0)
    with pytest.raises(ValueError, match=r"scale_step must be in \(0, 1\), got 1.0"):
        tvl1(image, image, scale_step=1.0)
    with pytest.raises(ValueError, match="epsilon must be above 0 or None"):
        tvl1(image, image, epsilon=0.0)
    with pytest.raises(ValueError, match="median must be 0, 3 or 5, got 4"):
        tvl1(image, image, median=4)
    with pytest.raises(ValueError, match="'opencv_gpu'"):
        tvl1(image, image, variant="opencv_gpu")
    with pytest.raises(ValueError, match=r"\(1, 24, 24\) and \(1, 24, 25\)"):
        tvl1(image, jnp.zeros((1, 24, 25)))
    with pytest.raises(ValueError, match=r"image\[None\]"):
        tvl1(image[0], image[0])
    with pytest.raises(TypeError, match="complex64"):
        tvl1(image.astype(complex), image)
