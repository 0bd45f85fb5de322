"""From a 2D network to a video network: kernels get a time axis.

Reference:
    Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics
    Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750, Sec. 2.4.1 ("average"), and
    Feichtenhofer et al., "Convolutional Two-Stream Network Fusion", CVPR 2016, for
    kernels that begin as one frame ("center").
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from flax import linen as nn

from vidjax.convert.rules import Arrays
from vidjax.convert.variables import (
    HEAD,
    Head,
    Variables,
    abstract_variables,
    check_head,
    flatten,
    fresh_variables,
    unflatten,
)

Temporal = Literal["average", "center"]


def inflate(
    variables_2d: Mapping[str, Any],
    model_3d: nn.Module,
    clip_shape: tuple[int, int, int, int],
    temporal: Temporal = "average",
    *,
    head: Head = "keep",
) -> Variables:
    """Turns the variables of a 2D network into those of a video network.

    Places with the same path and shape are taken over. A kernel [H, W, I, O] fills a
    kernel [T, H, W, I, O], or one whose T frames are stacked, [H, W, T * I, O]. On a
    clip of one repeated image, and where no zeros of a border in time are seen, the
    video network then gives the 2D network's logits.

    Args:
        variables_2d: {"params": ..., "batch_stats": ...} of the 2D network.
        model_3d: The video network; its places have the same paths.
        clip_shape: Shape (T, H, W, C) of its clips.
        temporal: "average" repeats a kernel over time and divides by its length;
            "center" puts it into the middle and zeros elsewhere.
        head: "keep" takes the classifier over; "reset" starts it afresh; "match" takes
            it over if it has the right number of classes and else starts afresh.

    Returns:
        Variables of the video network: nested dicts of NumPy arrays.

    Raises:
        ValueError: If `temporal` or `head` is unknown, or the networks do not match:
            all that is wrong, in one message.

    Example:
        >>> import vidjax, jax, jax.numpy as jnp
        >>> image_model = vidjax.create_model("resnet_tiny")
        >>> video_model = vidjax.create_model("early_fusion_resnet_tiny")
        >>> trained = image_model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        >>> inflated = inflate(trained, video_model, (8, 32, 32, 3))
        >>> inflated["params"]["backbone"]["conv1"]["kernel"].shape
        (3, 3, 24, 16)
    """
    if temporal not in ("average", "center"):
        raise ValueError(f'temporal must be "average" or "center", got {temporal!r}.')
    check_head(head)
    source, want = flatten(variables_2d), abstract_variables(model_3d, clip_shape)
    fresh = head == "reset" or (head == "match" and not _same_head(source, want))
    if fresh:
        source, want = _without_head(source), _without_head(want)

    problems = [
        f"{path}: the video network has no such place"
        for path in source.keys() - want.keys()
    ]
    problems += [
        f"{path}: the 2D network has no such place"
        for path in want.keys() - source.keys()
    ]
    inflated: Arrays = {}
    for path in source.keys() & want.keys():
        array = _inflate_array(source[path], want[path].shape, temporal)
        if array is None:
            problems.append(
                f"{path}: {source[path].shape} cannot become {want[path].shape}"
            )
        else:
            inflated[path] = array.astype(want[path].dtype)
    if problems:
        raise ValueError(
            "The networks do not match:\n  " + "\n  ".join(sorted(problems))
        )
    if fresh:
        inflated |= fresh_variables(model_3d, clip_shape, HEAD)
    return unflatten(inflated)


def _inflate_array(
    array: np.ndarray, shape: tuple[int, ...], temporal: Temporal
) -> np.ndarray | None:
    """Gives an array a time axis if that makes it fit."""
    if array.shape == shape:
        return array
    if array.ndim != 4:
        return None
    if shape[1:] == array.shape:  # [T, H, W, I, O].
        return _over_time(array, shape[0], temporal)
    height, width, channels, features = array.shape
    frames = shape[2] // channels if len(shape) == 4 else 0
    if shape != (height, width, frames * channels, features):
        return None
    stacked = _over_time(array, frames, temporal)  # [T, H, W, I, O].
    return stacked.transpose(1, 2, 0, 3, 4).reshape(shape)


def _over_time(kernel: np.ndarray, length: int, temporal: Temporal) -> np.ndarray:
    weights = np.zeros(length, kernel.dtype)
    if temporal == "average":
        weights[:] = 1 / length
    else:
        weights[length // 2] = 1
    return weights.reshape(-1, 1, 1, 1, 1) * kernel


def _same_head(source: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    path = f"{HEAD}kernel"
    return path in source and path in want and source[path].shape == want[path].shape


def _without_head(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {path: a for path, a in arrays.items() if not path.startswith(HEAD)}
