"""TV-L1: flow whose total variation is small and which keeps the brightness of pixels.

Reference:
    Zach, Pock and Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow",
    DAGM 2007; Sánchez, Meinhardt-Llopis and Facciolo, "TV-L1 Optical Flow Estimation",
    IPOL 2013, https://doi.org/10.5201/ipol.2013.26, whose numbering is cited below.

Constants, order of operations and borders follow OpenCV, which has two algorithms of
this name: `cv2.optflow.DualTVL1OpticalFlow`, and `cv2.cuda.OpticalFlowDual_TVL1`, which
made the published flow of two-stream data sets.
"""

import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vidjax.flow.check import check_pair
from vidjax.flow.differences import centred_gradient
from vidjax.flow.median import SIZES
from vidjax.flow.resample import resize_linear, warp_cubic
from vidjax.flow.tvl1_steps import (
    Field,
    Recipe,
    Settings,
    State,
    iterate,
    linearise,
    start,
)
from vidjax.ops.platform import target_platform

Variant = Literal["opencv_cpu", "opencv_cuda"]

_MIN_SIZE = 16  # Pixels of the shortest side of the coarsest scale, OpenCV's.


_RECIPES = {
    "opencv_cpu": Recipe(5, -0.75, "zeros", True, False),
    "opencv_cuda": Recipe(0, -0.5, "edge", False, True),
}


def tvl1(
    image0: Shaped[Array | np.ndarray, "b h w"],
    image1: Shaped[Array | np.ndarray, "b h w"],
    *,
    variant: Variant = "opencv_cpu",
    tau: float = 0.25,
    lambda_: float = 0.15,
    theta: float = 0.3,
    num_scales: int = 5,
    scale_step: float = 0.8,
    num_warps: int = 5,
    inner_iterations: int = 30,
    outer_iterations: int = 10,
    epsilon: float | None = 0.01,
    median: int | None = None,
) -> Float[Array, "b h w 2"]:
    """Computes flow by TV-L1, as OpenCV does.

    Args:
        image0: First images, grey, in [0, 255], [B, H, W]; any real dtype. Images in
            [0, 1] give flow that is almost zero.
        image1: Second images, [B, H, W].
        variant: "opencv_cpu" filters the flow by medians, takes zeros outside the
            second image, and looks at its progress in every iteration. "opencv_cuda",
            which made the flow of two-stream data sets, has no medians, repeats the
            edge, and looks now and then.
        tau: Time step of the dual variables, at most 0.25 for certain convergence.
        lambda_: Weight of brightness against smoothness; more is less smooth.
        theta: How tightly the two are coupled.
        num_scales: Scales of the pyramid at most; no side gets below 16 pixels.
        scale_step: Size of a scale as a share of the next finer one, in (0, 1).
        num_warps: How often the second image is warped at each scale.
        inner_iterations: Iterations between two median filters.
        outer_iterations: Median filters after each warp, at most.
        epsilon: A pair is finished with a warp when the root mean square of an update
            is below so many pixels. None always does all iterations, which has a
            gradient and is the same work for all pairs.
        median: Side of the window of the median filter, 3 or 5, or 0 for none; None
            takes what the variant has.

    Returns:
        Displacements (u, v) in pixels, float32 [B, H, W, 2]:
        image0(x) ≈ image1(x + flow(x)).

    Raises:
        ValueError: If the images are not two batches of grey images of one size, or a
            parameter is out of range.

    Example:
        >>> wave = jnp.sin(jnp.arange(24.0) / 2)
        >>> image = 100 + 100 * jnp.broadcast_to(wave, (1, 24, 24))
        >>> flow = tvl1(image, jnp.roll(image, 1, axis=2), num_scales=1)
        >>> flow.shape, bool(abs(flow[0, 12, 12, 0] - 1) < 0.1)
        ((1, 24, 24, 2), True)

    References:
        Zach et al., DAGM 2007; Sánchez et al., IPOL 2013. Unrolled by fixed iterations
        it is the layer of TVNet (Fan et al., CVPR 2018).
    """
    check_pair(image0, image1)
    image0, image1 = jnp.asarray(image0), jnp.asarray(image1)
    settings = Settings(
        _recipe(variant, median),
        tau,
        lambda_,
        theta,
        num_warps,
        inner_iterations,
        outer_iterations,
        epsilon,
    )
    _check_settings(settings, num_scales, scale_step)
    half_pixel = settings.recipe.half_pixel
    pyramid = _pyramid(image0, image1, num_scales, scale_step, half_pixel)
    flow = Field(*jnp.zeros((2, *pyramid[-1][0].shape)))
    for scale, (first, second) in enumerate(reversed(pyramid)):
        if scale:
            flow = _enlarge(flow, first.shape[1:], scale_step, half_pixel)
        flow = _refine(first, second, flow, settings)
    return jnp.stack(flow, axis=-1)


def _recipe(variant: str, median: int | None) -> Recipe:
    if variant not in get_args(Variant):
        raise ValueError(
            f"variant must be one of {get_args(Variant)}, got {variant!r}."
        )
    recipe = _RECIPES[variant]
    return recipe if median is None else recipe._replace(median=median)


def _check_settings(settings: Settings, num_scales: int, scale_step: float) -> None:
    """Raises one error that lists all parameters that are out of range."""
    counts = {
        "num_scales": num_scales,
        "num_warps": settings.num_warps,
        "inner_iterations": settings.inner_iterations,
        "outer_iterations": settings.outer_iterations,
    }
    sizes = {n: getattr(settings, n) for n in ("tau", "lambda_", "theta")}
    problems = [f"{n} must be at least 1, got {v}" for n, v in counts.items() if v < 1]
    problems += [f"{n} must be above 0, got {v}" for n, v in sizes.items() if not v > 0]
    if not 0 < scale_step < 1:
        problems.append(f"scale_step must be in (0, 1), got {scale_step}")
    if settings.epsilon is not None and not settings.epsilon > 0:
        problems.append(f"epsilon must be above 0 or None, got {settings.epsilon}")
    if settings.recipe.median not in (0, *SIZES):
        problems.append(f"median must be 0, 3 or 5, got {settings.recipe.median}")
    if problems:
        raise ValueError("; ".join(problems) + ".")


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _pyramid(
    image0: Shaped[Array, "b h w"],
    image1: Shaped[Array, "b h w"],
    num_scales: int,
    scale_step: float,
    half_pixel: bool,
) -> list[tuple[Array, Array]]:
    """Both images at all scales, the finest first."""
    both = jnp.stack([image0, image1]).astype(jnp.float32)
    scales = [both]
    for _ in range(1, num_scales):
        size = (round(both.shape[2] * scale_step), round(both.shape[3] * scale_step))
        if min(size) < _MIN_SIZE:
            break
        # The step is not the ratio of the sizes, which are rounded.
        step = (1 / scale_step, 1 / scale_step)
        both = resize_linear(both, size=size, step=step, half_pixel=half_pixel)
        scales.append(both)
    return [(first, second) for first, second in scales]


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _enlarge(
    flow: Field, size: tuple[int, int], scale_step: float, half_pixel: bool
) -> Field:
    """Takes a flow to the next finer scale, where it is longer."""
    larger = (resize_linear(x, size=size, half_pixel=half_pixel) for x in flow)
    return Field(*(x / scale_step for x in larger))


@functools.partial(jax.jit, static_argnames="settings")
def _refine(
    image0: Float[Array, "b h w"],
    image1: Float[Array, "b h w"],
    flow: Field,
    settings: Settings,
) -> Field:
    """Improves a flow at one scale."""
    if target_platform() != "cpu":
        return _refine_together(image0, image1, flow, settings)

    # One pair at a time stays in a core's cache, and takes the iterations that it needs
    # and not those of the slowest. A lone pair goes the same way, to the same flow.
    def one(pair: tuple[Array, Array, Field]) -> Field:
        first, second, flow = jax.tree.map(lambda x: x[None], pair)
        refined = _refine_together(first, second, flow, settings)
        return Field(*(part[0] for part in refined))

    return jax.lax.map(one, (image0, image1, flow))


def _refine_together(
    image0: Float[Array, "b h w"],
    image1: Float[Array, "b h w"],
    flow: Field,
    settings: Settings,
) -> Field:
    """Improves the flow of all pairs in step."""
    recipe = settings.recipe
    second = jnp.stack([image1, *centred_gradient(image1)], axis=-1)

    def rewarp(_: Array, state: State) -> State:
        flow = jnp.stack(state.flow, axis=-1)
        warped = warp_cubic(
            second, flow, sharpness=recipe.sharpness, padding=recipe.padding
        )
        slope = Field(warped[..., 1], warped[..., 2])
        # What the linearised difference of brightness is where the flow is zero.
        constant = warped[..., 0] - jnp.sum(warped[..., 1:] * flow, axis=-1) - image0
        return iterate(state, linearise(constant, slope), settings)

    state = jax.lax.fori_loop(0, settings.num_warps, rewarp, start(flow))
    return state.flow
