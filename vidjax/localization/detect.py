"""A detector on features: from arrays of any length to segments in seconds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from vidjax.localization.boundary_matching import Matching, propose
from vidjax.localization.decode import Decoding, decode
from vidjax.ops.segments import Kept
from vidjax.typing import FeatureGrid, FeatureSpec

Detector = Callable[[Mapping[str, Any], Any, Any], Kept]
"""From variables, features [B, T, C] and which steps there are [B, T] to segments in
steps, with a leading axis of videos."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """An action in a video.

    Attributes:
        start_sec: Where it starts, in seconds.
        end_sec: Where it ends, in seconds.
        label: Name of its class.
        score: In [0, 1].
    """

    start_sec: float
    end_sec: float
    label: str
    score: float


def make_detector(model: nn.Module, decoding: Decoding | Matching) -> Detector:
    """Returns a detector, to be compiled once for each length and batch.

    Args:
        model: A network, such as ActionFormer, or one that proposes, such as BMN.
        decoding: How segments are taken from what it says.

    Returns:
        A pure function.
    """

    def detector(
        variables: Mapping[str, Any],
        features: Float[Array, "b t c"],
        mask: Bool[Array, "b t"],
    ) -> Kept:
        output: Any = model.apply(variables, features, mask)
        logits, endpoints = output
        if isinstance(decoding, Decoding):
            return decode(logits, endpoints, decoding)
        kept = propose(logits, endpoints, max_segments=decoding.max_segments)
        # Step t stands for the middle of a share of the video.
        return kept._replace(segments=kept.segments * features.shape[1] - 0.5)

    return detector


def pad_features(
    features: Sequence[np.ndarray], spec: FeatureSpec
) -> tuple[Float[Array, "b t c"], Bool[Array, "b t"]]:
    """Returns the features of videos as one batch, padded as a detector wants.

    Args:
        features: Of each video, [T, C].
        spec: Of the detector's card.

    Returns:
        Features [B, T, C] float32 and which steps there are [B, T], T as
        `FeatureSpec.padded` says for the longest video.

    Raises:
        ValueError: If there is no video, or one has another number of channels.

    Example:
        >>> batch, mask = pad_features([np.ones((3, 2))], FeatureSpec(4, 2))
        >>> batch.shape, mask.tolist()
        ((1, 4, 2), [[True, True, True, False]])
    """
    wrong = [a.shape for a in features if a.shape[1:] != (spec.channels,)]
    if wrong or not features:
        raise ValueError(
            f"Expected features [T, {spec.channels}] of each video, got "
            f"{wrong or 'none'}."
        )
    steps = spec.padded(max(map(len, features)))
    batch = [np.pad(a, ((0, steps - len(a)), (0, 0))) for a in features]
    counts = np.array([len(a) for a in features])
    mask = np.arange(steps)[None] < counts[:, None]
    return jnp.asarray(np.stack(batch), jnp.float32), jnp.asarray(mask)


def to_segments(
    kept: Kept, grid: FeatureGrid, duration: float, label_names: Sequence[str]
) -> list[Segment]:
    """Returns the segments of one video in seconds.

    Args:
        kept: Of one video, without an axis of videos.
        grid: When the steps are.
        duration: Of the video, in seconds; segments end there.
        label_names: Names of the K classes.

    Returns:
        The best first.
    """
    found = jax.device_get(kept)
    seconds = grid.to_seconds(found.segments.astype(np.float64))
    seconds = np.clip(seconds, 0.0, duration)[found.valid].tolist()
    labels = found.labels[found.valid].tolist()
    scores = found.scores[found.valid].tolist()
    return [
        Segment(start, end, str(label_names[label]), score)
        for (start, end), label, score in zip(seconds, labels, scores, strict=True)
    ]
