"""Farnebäck's flow: neighbourhoods as quadratic polynomials, and how far these moved.

Reference:
    Farnebäck, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003.

Constants, order of operations and borders follow OpenCV's calcOpticalFlowFarneback. It
is the cheap classical flow: no iteration depends on the data, so that batches, jit and
gradients cost nothing extra.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vidjax.flow.check import check_pair
from vidjax.flow.resample import linear_matrix, resize_linear
from vidjax.ops.platform import target_platform

_MIN_SIZE = 32  # Pixels of the shortest side of the coarsest scale, OpenCV's.
# What pixels near the border count, from the border inwards, OpenCV's.
_BORDER = (0.14, 0.14, 0.4472, 0.4472, 0.4472)
_REGULAR = 1e-3  # Added to the determinant of every 2 x 2 system, OpenCV's.
_EXACT = jax.lax.Precision.HIGHEST


class _Settings(NamedTuple):
    """All that is fixed while a program is compiled; see `farneback`."""

    window: int
    iterations: int
    poly_n: int
    poly_sigma: float
    gaussian: bool


def farneback(
    image0: Shaped[Array | np.ndarray, "b h w"],
    image1: Shaped[Array | np.ndarray, "b h w"],
    *,
    num_levels: int = 5,
    pyramid_scale: float = 0.5,
    window: int = 13,
    iterations: int = 10,
    poly_n: int = 5,
    poly_sigma: float = 1.1,
    gaussian: bool = False,
) -> Float[Array, "b h w 2"]:
    """Computes flow by polynomial expansion, as OpenCV does.

    The defaults are those of cv2.FarnebackOpticalFlow.create.

    Args:
        image0: First images, grey, in [0, 255], [B, H, W]; any real dtype.
        image1: Second images, [B, H, W].
        num_levels: Coarser scales at most; no side gets below 32 pixels.
        pyramid_scale: Size of a scale as a share of the next finer one, in (0, 1).
        window: Side of the window over which motion is averaged, in pixels, odd.
        iterations: Improvements of the flow at each scale.
        poly_n: Reach of the neighbourhood of the polynomials, in pixels.
        poly_sigma: Standard deviation of its weights, in pixels.
        gaussian: Whether the window has Gaussian weights, which is slower and more
            exact, or equal ones.

    Returns:
        Displacements (u, v) in pixels, float32 [B, H, W, 2]:
        image0(x) ≈ image1(x + flow(x)).

    Raises:
        ValueError: If the images are not two batches of grey images of one size, or a
            parameter is out of range.

    Example:
        >>> image = jnp.zeros((1, 32, 32)).at[:, 8:20, 8:20].set(255.0)
        >>> flow = farneback(image, jnp.roll(image, 1, axis=2))
        >>> flow.shape, bool(flow[0, 14, 8, 0] > 0.5)
        ((1, 32, 32, 2), True)

    References:
        Farnebäck, SCIA 2003, Sec. 4.
    """
    check_pair(image0, image1)
    image0, image1 = jnp.asarray(image0), jnp.asarray(image1)
    settings = _Settings(window, iterations, poly_n, poly_sigma, gaussian)
    _check_settings(settings, num_levels, pyramid_scale)
    flow = None
    for level in reversed(range(_count_scales(image0, num_levels, pyramid_scale))):
        scale = pyramid_scale**level
        size = (round(image0.shape[1] * scale), round(image0.shape[2] * scale))
        if flow is None:
            flow = jnp.zeros((len(image0), 2, *size))
        else:
            flow = resize_linear(flow, size=size) / pyramid_scale
        flow = _refine(image0, image1, flow, scale, settings)
    return jnp.moveaxis(jnp.asarray(flow), 1, -1)


def _check_settings(settings: _Settings, num_levels: int, pyramid_scale: float) -> None:
    """Raises one error that lists all parameters that are out of range."""
    problems = []
    if num_levels < 0:
        problems.append(f"num_levels must be at least 0, got {num_levels}")
    if not 0 < pyramid_scale < 1:
        problems.append(f"pyramid_scale must be in (0, 1), got {pyramid_scale}")
    if settings.window < 1 or settings.window % 2 == 0:
        problems.append(f"window must be odd, got {settings.window}")
    for name in ("iterations", "poly_n", "poly_sigma"):
        if not getattr(settings, name) > 0:
            problems.append(f"{name} must be above 0, got {getattr(settings, name)}")
    if problems:
        raise ValueError("; ".join(problems) + ".")


def _count_scales(image: Array, num_levels: int, pyramid_scale: float) -> int:
    """The full size and as many coarser ones as fit."""
    side = min(image.shape[1:])
    fitting = [n for n in range(num_levels + 1) if side * pyramid_scale**n >= _MIN_SIZE]
    return max(1, len(fitting))


@functools.partial(jax.jit, static_argnames=("scale", "settings"))
def _refine(
    image0: Shaped[Array, "b h w"],
    image1: Shaped[Array, "b h w"],
    flow: Float[Array, "b 2 h2 w2"],
    scale: float,
    settings: _Settings,
) -> Float[Array, "b 2 h2 w2"]:
    """Improves the flows of a batch at one scale."""

    def one(pair: tuple[Array, Array, Array]) -> Array:
        return _refine_one(*pair, scale, settings)

    pairs = (image0, image1, flow)
    if target_platform() == "cpu":  # One pair at a time stays in a core's cache.
        return jax.lax.map(one, pairs)
    return jax.vmap(one)(pairs)


def _refine_one(
    image0: Array, image1: Array, flow: Array, scale: float, settings: _Settings
) -> Float[Array, "2 h w"]:
    """Improves the flow of one pair at one scale."""
    down, across = (
        _shrink_matrix(old, new, scale)
        for old, new in zip(image0.shape, flow.shape[1:], strict=True)
    )
    both = jnp.stack([image0, image1]).astype(jnp.float32)
    both = jnp.matmul(down, both, precision=_EXACT)
    both = jnp.matmul(both, across.T, precision=_EXACT)
    first, second = _expand(both, settings.poly_n, settings.poly_sigma)
    table = jnp.moveaxis(second, 0, -1).reshape(-1, 5)
    weights = _window_weights(settings)

    def improve(_: Array, flow: Array) -> Array:
        system = _equations(first, table, flow)
        system = _correlate(_correlate(system, weights, axis=1), weights, axis=2)
        return _solve(system)

    return jax.lax.fori_loop(0, settings.iterations, improve, flow)


def _shrink_matrix(length: int, new_length: int, scale: float) -> np.ndarray:
    """Smooths a column of pixels and resizes it, [new_length, length]."""
    sigma = (1 / scale - 1) / 2
    reach = max(round(5 * sigma) | 1, 3) // 2
    offsets = np.arange(-reach, reach + 1)
    if sigma > 0:
        taps = np.exp(-(offsets**2) / (2 * sigma**2))
    else:
        taps = np.array([1.0, 2.0, 1.0])  # What cv2.GaussianBlur takes for sigma 0.
    blur = np.zeros((length, length))
    for offset, tap in zip(offsets, taps / taps.sum(), strict=True):
        place = np.abs(np.arange(length) + offset) % max(2 * length - 2, 1)
        place = np.minimum(place, 2 * length - 2 - place)  # Mirrored at the border.
        np.add.at(blur, (np.arange(length), place), tap)
    resize = linear_matrix(length, new_length, step=length / new_length)
    return (resize @ blur).astype(np.float32)


def _expand(
    x: Float[Array, "n h w"], reach: int, sigma: float
) -> Float[Array, "n 5 h w"]:
    """Fits a quadratic polynomial around each pixel: Sec. 3 of the paper.

    Returns:
        Coefficients of x, y, x², y² and xy, as Gaussian-weighted least squares give
        them.
    """
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32).astype(np.float64)
    of_one, of_x, of_square, of_xy = _least_squares(weights, offsets)
    powers = [weights * offsets**p for p in range(3)]
    # Moments: first down the columns, then along the rows.
    rows = [_correlate(x, taps, axis=1) for taps in powers]
    flat, slope_x, curve_x = (_correlate(rows[0], taps, axis=2) for taps in powers)
    slope_y, twist = (_correlate(rows[1], taps, axis=2) for taps in powers[:2])
    curve_y = _correlate(rows[2], powers[0], axis=2)
    coefficients = (
        slope_x * of_x,
        slope_y * of_x,
        flat * of_one + curve_x * of_square,
        flat * of_one + curve_y * of_square,
        twist * of_xy,
    )
    return jnp.stack(coefficients, axis=1)


def _least_squares(weights: np.ndarray, offsets: np.ndarray) -> tuple[float, ...]:
    """Entries of the inverse normal matrix that tie moments to coefficients.

    Returns:
        Of 1 to x² (or y²), of x to itself, of x² to itself, and of xy to itself; the
        other entries are zero by symmetry.
    """
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    basis = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]).reshape(6, -1)
    weight = np.outer(weights, weights).ravel()
    inverse = np.linalg.inv((basis * weight) @ basis.T)
    return inverse[0, 3], inverse[1, 1], inverse[3, 3], inverse[5, 5]


def _correlate(x: Float[Array, "n h w"], taps: np.ndarray, *, axis: int) -> Array:
    """Correlates along an axis; beyond the border the outermost pixels repeat."""
    reach, length = len(taps) // 2, x.shape[axis]
    edges = [(0, 0)] * x.ndim
    edges[axis] = (reach, reach)
    padded = jnp.pad(x, edges, mode="edge")
    parts = (
        jax.lax.slice_in_dim(padded, i, i + length, axis=axis) * np.float32(tap)
        for i, tap in enumerate(taps)
        if tap
    )
    return functools.reduce(jnp.add, parts)


def _equations(
    first: Float[Array, "5 h w"],
    table: Float[Array, "hw 5"],
    flow: Float[Array, "2 h w"],
) -> Float[Array, "5 h w"]:
    """Sets up the 2 x 2 systems of all pixels: Eqs. 4 to 7 of the paper.

    Args:
        first: Polynomials of the first image.
        table: Polynomials of the second image, a row for each pixel.
        flow: Displacements so far.

    Returns:
        Entries xx, xy, yy of the matrices, and x, y of the right hand sides.
    """
    height, width = flow.shape[1:]
    moved, inside = _read(table, flow)
    inside = inside[None]
    # Where the second image ends, the first one alone has to do.
    slope = jnp.where(inside, first[:2] - moved[:2], first[:2]) / 2
    curve = jnp.where(inside, (first[2:] + moved[2:]) / 2, first[2:])
    xx, yy, xy = curve[0], curve[1], curve[2] / 2
    x = slope[0] + xx * flow[0] + xy * flow[1]
    y = slope[1] + xy * flow[0] + yy * flow[1]
    weight = _border_weight(height)[:, None] * _border_weight(width)[None, :]
    xx, yy, xy, x, y = (weight * part for part in (xx, yy, xy, x, y))
    return jnp.stack(
        [xx**2 + xy**2, (xx + yy) * xy, yy**2 + xy**2, xx * x + xy * y, xy * x + yy * y]
    )


def _read(
    table: Float[Array, "hw 5"], flow: Float[Array, "2 h w"]
) -> tuple[Float[Array, "5 h w"], Array]:
    """Reads polynomials at x + flow, bilinearly, and tells where that is inside."""
    height, width = flow.shape[1:]
    x = flow[0] + jnp.arange(width, dtype=jnp.float32)[None, :]
    y = flow[1] + jnp.arange(height, dtype=jnp.float32)[:, None]
    left, top = jnp.floor(x), jnp.floor(y)
    inside = (left >= 0) & (left < width - 1) & (top >= 0) & (top < height - 1)
    right, down = (x - left)[..., None], (y - top)[..., None]
    column = jnp.clip(left, 0, width - 2).astype(jnp.int32)
    place = jnp.clip(top, 0, height - 2).astype(jnp.int32) * width + column
    above = table[place] * (1 - right) + table[place + 1] * right
    below = table[place + width] * (1 - right) + table[place + width + 1] * right
    return jnp.moveaxis(above * (1 - down) + below * down, -1, 0), inside


def _border_weight(length: int) -> np.ndarray:
    """What the pixels of a row or a column count, float32 [length]."""
    weight = np.ones(length, np.float32)
    reach = min(len(_BORDER), length)
    weight[:reach] *= _BORDER[:reach]
    weight[length - reach :] *= _BORDER[:reach][::-1]
    return weight


def _window_weights(settings: _Settings) -> np.ndarray:
    """Weights of the window along one axis, [window]."""
    reach = settings.window // 2
    if not settings.gaussian or reach == 0:
        return np.full(settings.window, 1 / settings.window)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * (0.3 * reach) ** 2))
    return weights / weights.sum()


def _solve(system: Float[Array, "5 h w"]) -> Float[Array, "2 h w"]:
    """Solves the 2 x 2 systems of all pixels."""
    xx, xy, yy, x, y = system
    scale = 1 / (xx * yy - xy * xy + _REGULAR)
    return jnp.stack([(yy * x - xy * y) * scale, (xx * y - xy * x) * scale])
