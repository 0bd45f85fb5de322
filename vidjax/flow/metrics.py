"""How far a flow is from the truth: endpoint error, outliers, Fl-all, speed bands."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

_OUTLIERS_PX = (1, 3, 5)
# Fl-all: off by more than 3 pixels and more than 5 % of the true length (KITTI 2015,
# Menze and Geiger, "Object Scene Flow for Autonomous Vehicles", CVPR 2015).
_FL_PX, _FL_SHARE = 3.0, 0.05
# Bands of the true length in pixels, of the MPI-Sintel benchmark's tables.
_SPEEDS = {"s0-10": (0.0, 10.0), "s10-40": (10.0, 40.0), "s40+": (40.0, jnp.inf)}


def endpoint_error(
    flow: Float[Array | np.ndarray, "*lead 2"],
    truth: Float[Array | np.ndarray, "*lead 2"],
) -> Float[Array, "*lead"]:
    """Measures the distance between where pixels are said to go and where they go.

    Args:
        flow: Displacements (u, v) in pixels, [..., 2].
        truth: True displacements in pixels, [..., 2].

    Returns:
        Distance in pixels of each pixel, [...]; their mean is the EPE of papers.

    Example:
        >>> endpoint_error(jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 4.0]])).tolist()
        [5.0]
    """
    return jnp.linalg.norm(jnp.asarray(flow) - jnp.asarray(truth), axis=-1)


def flow_totals(
    flow: Float[Array | np.ndarray, "b h w 2"],
    truth: Float[Array | np.ndarray, "b h w 2"],
    *,
    valid: Bool[Array | np.ndarray, "b h w"] | None = None,
) -> dict[str, Float[Array, ""]]:
    """Counts what `flow_metrics` divides; totals of batches are added up.

    Args:
        flow: Displacements in pixels, [B, H, W, 2].
        truth: True displacements in pixels, [B, H, W, 2]; what is not finite does not
            count.
        valid: Which pixels count, such as those that stay visible, [B, H, W]; None
            counts all whose truth is known.

    Returns:
        Sums and counts, each a scalar.

    Example:
        >>> total = flow_totals(jnp.ones((1, 2, 2, 2)), jnp.zeros((1, 2, 2, 2)))
        >>> twice = {name: total[name] + total[name] for name in total}
        >>> round(float(flow_metrics(twice)["epe"]), 4)
        1.4142
    """
    known = jnp.all(jnp.isfinite(truth), axis=-1)
    mask = known if valid is None else known & valid
    truth = jnp.where(mask[..., None], truth, 0.0)
    error = endpoint_error(flow, truth)
    length = jnp.linalg.norm(truth, axis=-1)
    per_image = _masked_sum(error, mask, axis=(1, 2))
    pixels = jnp.sum(mask, axis=(1, 2))
    totals = {
        "images": jnp.sum(pixels > 0),
        "image_error": jnp.sum(per_image / jnp.maximum(pixels, 1)),
        "pixels": jnp.sum(pixels),
        "error": jnp.sum(per_image),
    }
    for px in _OUTLIERS_PX:
        totals[f"over_{px}px"] = jnp.sum(mask & (error > px))
    outlier = (error > _FL_PX) & (error > _FL_SHARE * length)
    totals["over_fl"] = jnp.sum(mask & outlier)
    for name, (low, high) in _SPEEDS.items():
        band = mask & (length >= low) & (length < high)
        totals[f"pixels_{name}"] = jnp.sum(band)
        totals[f"error_{name}"] = _masked_sum(error, band)
    return {name: total.astype(jnp.float32) for name, total in totals.items()}


def flow_metrics(totals: dict[str, Float[Array, ""]]) -> dict[str, Float[Array, ""]]:
    """Turns totals to the numbers of the benchmarks' tables.

    Args:
        totals: From `flow_totals`, or the sum of several; scalars.

    Returns:
        Scalars: "epe", the mean over all pixels (Sintel); "epe_per_image", the mean of
        the images' means (KITTI); "1px", "3px", "5px" and "fl_all", shares of pixels in
        [0, 1] that are wrong; "s0-10", "s10-40" and "s40+", the mean error where the
        truth is so many pixels long. What no pixel tells is NaN.

    References:
        Butler et al., "A Naturalistic Open Source Movie for Optical Flow Evaluation",
        ECCV 2012; Menze and Geiger, CVPR 2015. Comparisons are strict, as in
        princeton-vl/RAFT.
    """
    shares = {f"{px}px": totals[f"over_{px}px"] for px in _OUTLIERS_PX}
    shares["fl_all"] = totals["over_fl"]
    bands = {
        name: totals[f"error_{name}"] / totals[f"pixels_{name}"] for name in _SPEEDS
    }
    return {
        "epe": totals["error"] / totals["pixels"],
        "epe_per_image": totals["image_error"] / totals["images"],
        **{name: count / totals["pixels"] for name, count in shares.items()},
        **bands,
    }


def _masked_sum(
    x: Float[Array, "b h w"],
    mask: Bool[Array, "b h w"],
    axis: tuple[int, ...] | None = None,
) -> Array:
    return jnp.sum(jnp.where(mask, x, 0.0), axis=axis)
