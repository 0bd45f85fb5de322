"""Losses of detectors of actions."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_EPSILON = 1e-8  # libs/modeling/losses.py of ActionFormer.
_MOMENTUM = 0.9  # Of the normaliser; libs/modeling/meta_archs.py.


def focal_loss(
    logits: Float[Array, "*n"],
    targets: Float[Array, "*n"],
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Float[Array, "*n"]:
    """Returns the focal loss of each logit.

    Args:
        logits: Before the sigmoid, [...].
        targets: In [0, 1], [...].
        alpha: Weight of targets of 1; those of 0 weigh 1 - alpha.
        gamma: Power with which easy ones lose weight.

    Returns:
        [...] float32.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
        https://arxiv.org/abs/1708.02002; constants as in RetinaNet.
    """
    p = jax.nn.sigmoid(logits)
    entropy = -(
        targets * jax.nn.log_sigmoid(logits)
        + (1 - targets) * jax.nn.log_sigmoid(-logits)
    )
    right = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * (1 - right) ** gamma * entropy


def offset_iou(
    found: Float[Array, "*n 2"], wanted: Float[Array, "*n 2"]
) -> Float[Array, "*n"]:
    """Returns the overlap of two segments around the same point.

    Args:
        found: Distances to start and end, not negative, [..., 2].
        wanted: The same of the other segment, [..., 2].

    Returns:
        Intersection over union, [...] in [0, 1].

    Example:
        >>> offset_iou(jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0]))
        Array(0.5, dtype=float32)
    """
    shared = jnp.sum(jnp.minimum(found, wanted), axis=-1)
    union = jnp.sum(found, axis=-1) + jnp.sum(wanted, axis=-1) - shared
    return shared / jnp.maximum(union, _EPSILON)


def diou_loss(
    found: Float[Array, "*n 2"], wanted: Float[Array, "*n 2"]
) -> Float[Array, "*n"]:
    """Returns the distance-IoU loss of segments around the same point.

    Args:
        found: Distances to start and end, not negative, [..., 2].
        wanted: The same of the segment that is to be found, [..., 2].

    Returns:
        1 - IoU + (distance of the centres / length of both together)^2, [...].

    References:
        Zheng et al., "Distance-IoU Loss", AAAI 2020, https://arxiv.org/abs/1911.08287.
    """
    whole = jnp.sum(jnp.maximum(found, wanted), axis=-1)
    centres = [0.5 * (o[..., 1] - o[..., 0]) for o in (found, wanted)]
    apart = (centres[0] - centres[1]) / jnp.maximum(whole, _EPSILON)
    return 1 - offset_iou(found, wanted) + jnp.square(apart)


class Loss(NamedTuple):
    """The loss of a batch.

    Attributes:
        total: What is minimised, [] float32.
        parts: Its parts by name: "cls_loss" and "reg_loss".
        normalizer: For the next step, [] float32.
    """

    total: Float[Array, ""]
    parts: Mapping[str, Float[Array, ""]]
    normalizer: Float[Array, ""]


def detection_loss(
    logits: Float[Array, "b n k"],
    offsets: Float[Array, "b n k2 2"],
    mask: Bool[Array, "b n"],
    classes: Float[Array, "b n k"],
    wanted: Float[Array, "b n 2"],
    normalizer: Float[Array, ""],
    *,
    label_smoothing: float = 0.0,
    regression_weight: float = 1.0,
    iou_power: float | None = None,
) -> Loss:
    """Returns the loss of a detector: focal for classes, distance-IoU for boundaries.

    Both are sums over points, divided by a moving average of the number of points that
    have an action, which belongs to the train state.

    Args:
        logits: [B, N, K].
        offsets: Distances to start and end, in strides: [B, N, 1, 2] where all classes
            share them (ActionFormer), [B, N, K, 2] where each has its own (TriDet).
        mask: Which points are of the video, [B, N].
        classes: From `assign`, [B, N, K].
        wanted: From `assign`, [B, N, 2].
        normalizer: The moving average before the step, [].
        label_smoothing: Share s of the target: y becomes y (1 - s) + s / (K + 1).
        regression_weight: Of the loss of boundaries.
        iou_power: Power of the overlap by which the classes' loss is multiplied at
            targets of 1 (TriDet); None leaves it as it is.

    Returns:
        The loss.
    """
    count = logits.shape[-1] + 1
    positive = mask & (jnp.sum(classes, axis=-1) > 0)
    normalizer = _MOMENTUM * normalizer + (1 - _MOMENTUM) * jnp.maximum(
        jnp.sum(positive), 1
    )
    smooth = classes * (1 - label_smoothing) + label_smoothing / count
    entropy = focal_loss(logits, smooth)

    shared = offsets.shape[2] == 1
    hit = positive[..., None] if shared else positive[..., None] & (classes > 0)
    # Elsewhere found and wanted are alike, so that no gradient is infinite there.
    found = jnp.where(hit[..., None], offsets, 1.0)
    right = jnp.where(hit[..., None], wanted[:, :, None], 1.0)
    if iou_power is not None:
        entropy = entropy * _power(offset_iou(found, right), iou_power)
    cls_loss = jnp.sum(jnp.where(mask[..., None], entropy, 0.0)) / normalizer
    reg_loss = jnp.sum(jnp.where(hit, diou_loss(found, right), 0.0)) / normalizer
    total = cls_loss + regression_weight * reg_loss
    return Loss(total, {"cls_loss": cls_loss, "reg_loss": reg_loss}, normalizer)


def _power(overlap: Array, power: float) -> Array:
    """Raises to a power, with a gradient of zero, not infinity, where nothing is."""
    some = overlap > 0
    return jnp.where(some, jnp.where(some, overlap, 1.0) ** power, 0.0)
