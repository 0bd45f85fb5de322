"""From a 2D network to a video network: kernels get a time axis.

References:
    Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics
    Dataset", CVPR 2017, https://arxiv.org/abs/1705.07750, Sec. 2.4.1 ("average");
    Feichtenhofer et al., "Spatiotemporal Residual Networks for Video Action
    Recognition", NeurIPS 2016, https://arxiv.org/abs/1611.02155, for kernels that begin
    as one frame ("center"); Wang et al., "Temporal Segment Networks", ECCV 2016,
    https://arxiv.org/abs/1608.00859, Sec. 3.2, for first kernels that see optical flow.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from vidjax.convert.rules import Arrays
from vidjax.convert.streams import STEM, Colours, spread_colours
from vidjax.convert.variables import (
    HEAD,
    Places,
    Variables,
    abstract_variables,
    check_head,
    flatten,
    fresh_variables,
    unflatten,
)
from vidjax.convert.vit_inflation import (
    CLASS_TOKEN,
    PATCHES,
    POSITIONS,
    begin_attention_over_time,
    tile_positions,
)
from vidjax.typing import Head, Temporal, TimeAttention

# What a path of a 2D network may be called in a video network, beside its own name.
_RENAMES = (
    (re.compile(r"^(\w+)/backbone/"), r"\1/slow/"),
    (re.compile(r"/Conv2d_"), "/Conv3d_"),
)
# What only video networks have. The fast pathway is seen through weights that begin at
# zero, and so are non-local blocks: neither changes what a still clip gives. In vision
# transformers it is what comes over time: tables, a second encoder, a layer in a block.
_ONLY_VIDEO = re.compile(
    r"\w+/((fast/|fuse_\w+/|.*_non_local/).*|time_.+|blocks_\d+/temporal_fc/.+)"
)
_SPATIAL = re.compile(r"\w+/(.*?)/(conv2|bn2)/.+")


@dataclasses.dataclass(frozen=True)
class Inflation:
    """An inflated network, and where its arrays come from.

    Attributes:
        variables: {"params": ..., "batch_stats": ...}: nested dicts of NumPy arrays.
        taken: Paths of arrays that came over as they were.
        inflated: Paths of kernels, and of tables of positions, that were given a time
            axis.
        widened: Paths of arrays that were filled up, with zeros where they meet the
            fast pathway of SlowFast, with the mean over colours where they meet flow.
        copied: Paths of attention over time, filled with attention over space.
        zeroed: Paths of its last layers, filled with zeros.
        fresh: Paths of arrays that a 2D network cannot give, initialised as the model
            initialises them.
        dropped: Paths of the 2D network that the video network has no place for: the
            class token, where the mean is classified.
    """

    variables: Variables
    taken: tuple[str, ...]
    inflated: tuple[str, ...]
    widened: tuple[str, ...]
    copied: tuple[str, ...]
    zeroed: tuple[str, ...]
    fresh: tuple[str, ...]
    dropped: tuple[str, ...]


def inflate(
    variables_2d: Mapping[str, Any],
    model_3d: nn.Module,
    clip_shape: tuple[int, int, int, int],
    temporal: Temporal = "average",
    *,
    head: Head = "keep",
    colours: Colours = "mean",
    time_attention: TimeAttention | None = None,
) -> Variables:
    """Turns the variables of a 2D network into those of a video network.

    On a clip of one repeated image a convolutional network then gives the 2D network's
    logits: with "center" always, with "average" where no zeros beyond the ends of the
    clip are seen, so everywhere if the model has `time_padding="edge"`. Exceptions are
    arrays that a 2D network cannot give, see `explain_inflation`.

    So does a TimeSformer, divided with `time_attention="zero"`, or over space alone. In
    every ViViT, and in a joint TimeSformer, the tokens of all times are then alike. The
    frames' encoder of ViViT's model 2 has the features of the image, and models 3 (with
    "zero") and 4 give what they give for one tubelet. With a class token and joint
    attention the image's logits do not come out: T times as many tokens compete with
    it for attention. (ViViT's GELU is the tanh approximation, ViT's the exact one, so
    that its features are the image's to about 1e-3.)

    Args:
        variables_2d: {"params": ..., "batch_stats": ...} of the 2D network.
        model_3d: The video network.
        clip_shape: Shape (T, H, W, C) of its clips. With C other than the channels of
            the 2D network, such as 10 for five stacked flows, the first kernel is made
            from that of colours (cross-modality initialisation).
        temporal: See `vidjax.typing.Temporal`.
        head: "keep" takes the classifier over; "reset" starts it afresh; "match" takes
            it over if it has the right number of classes and else starts afresh.
        colours: See `vidjax.convert.streams.Colours`.
        time_attention: How a transformer's attention over time begins, see
            `vidjax.typing.TimeAttention`; None is "copy" for TimeSformer and "zero" for
            ViViT's model 3.

    Returns:
        Variables of the video network: nested dicts of NumPy arrays.

    Raises:
        ValueError: If `temporal`, `head`, `colours` or `time_attention` is unknown, or
            the networks do not match: all that is wrong, in one message.

    Example:
        >>> import vidjax, jax, jax.numpy as jnp
        >>> image_model = vidjax.create_model("resnet_tiny")
        >>> video_model = vidjax.create_model("early_fusion_resnet_tiny")
        >>> trained = image_model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        >>> inflated = inflate(trained, video_model, (8, 32, 32, 3))
        >>> inflated["params"]["backbone"]["conv1"]["kernel"].shape
        (3, 3, 24, 16)
    """
    return explain_inflation(
        variables_2d,
        model_3d,
        clip_shape,
        temporal,
        head=head,
        colours=colours,
        time_attention=time_attention,
    ).variables


def explain_inflation(
    variables_2d: Mapping[str, Any],
    model_3d: nn.Module,
    clip_shape: tuple[int, int, int, int],
    temporal: Temporal = "average",
    *,
    head: Head = "keep",
    colours: Colours = "mean",
    time_attention: TimeAttention | None = None,
) -> Inflation:
    """Inflates, and tells what became of each array.

    Arrays go to the place with the same path; "backbone/" may be "slow/", and "Conv2d"
    "Conv3d". A kernel [H, W, I, O] fills a kernel [T, H, W, I, O], or one whose T
    frames are stacked, [H, W, T * I, O]. In SlowFast, what the slow pathway and the
    classifier take from the fast pathway begins at zero.

    Fresh, as no 2D network has them, are the fast pathway, what leads from it to the
    slow one, non-local blocks (which begin as the identity), and, with the norm after
    them, 3x3 convolutions of bottlenecks that are depthwise or factorised in the video
    network only (CSN, R(2+1)D): in this last case a still clip gives other logits than
    its image.

    In a vision transformer the kernel of patches becomes one of tubelets, positions are
    repeated over time, and attention over time begins as `time_attention` says. Fresh
    are tables of times, the layer behind TimeSformer's attention over time, which is
    zero in all blocks but the first, and the encoder over time of ViViT's model 2.

    Args:
        variables_2d: As in `inflate`.
        model_3d: As in `inflate`.
        clip_shape: As in `inflate`.
        temporal: As in `inflate`.
        head: As in `inflate`.
        colours: As in `inflate`.
        time_attention: As in `inflate`.

    Returns:
        Variables and the lists of their paths.

    Raises:
        ValueError: As `inflate`.
    """
    if temporal not in ("average", "center"):
        raise ValueError(f'temporal must be "average" or "center", got {temporal!r}.')
    check_head(head)
    want = abstract_variables(model_3d, clip_shape)
    source = {_place(path, want): a for path, a in flatten(variables_2d).items()}
    begun = begin_attention_over_time(source, want, time_attention)
    given = begun.copied | begun.zeroed
    fresh = {path for path in want.keys() - given if _ONLY_VIDEO.fullmatch(path)}
    dropped = {CLASS_TOKEN} & source.keys() - want.keys()
    separated = _separated(source, want)
    fresh |= separated & want.keys()
    left_out = separated | dropped
    source = {path: a for path, a in source.items() if path not in left_out}
    if head == "reset" or (head == "match" and not _same_classes(source, want)):
        fresh |= {path for path in want if path.startswith(HEAD)}
        source = {p: a for p, a in source.items() if not p.startswith(HEAD)}

    has_token = CLASS_TOKEN in want
    rules = _Rules(model_3d, clip_shape, temporal, colours, has_token)
    filled = _fill(source, want, fresh | given.keys(), rules)
    arrays = {path: array for path, (_, array) in filled.items()} | given
    if fresh:
        arrays |= fresh_variables(model_3d, clip_shape, tuple(sorted(fresh)))
    by = {
        how: tuple(sorted(path for path, (h, _) in filled.items() if h == how))
        for how in ("taken", "inflated", "widened")
    }
    return Inflation(
        unflatten(arrays),
        **by,
        copied=tuple(sorted(begun.copied)),
        zeroed=tuple(sorted(begun.zeroed)),
        fresh=tuple(sorted(fresh)),
        dropped=tuple(sorted(dropped)),
    )


@dataclasses.dataclass(frozen=True)
class _Rules:
    """What decides how an array changes."""

    model: Any
    clip_shape: tuple[int, int, int, int]
    temporal: Temporal
    colours: Colours
    has_token: bool

    def change(
        self, path: str, array: np.ndarray, shape: tuple[int, ...]
    ) -> tuple[str, np.ndarray] | None:
        """Fits an array to a shape: how, and the result; None if nothing does."""
        if array.shape == shape:
            return "taken", array
        if path == f"{HEAD}kernel" and shape[0] > array.shape[0]:
            return self._widen_head(array, shape)
        if path in (POSITIONS, PATCHES):
            changed = self._of_transformer(path, array, shape)
            if changed is None or changed.shape != shape:
                return None
            return "inflated", changed
        if array.ndim != 4 or shape[-1] != array.shape[-1]:
            return None
        how = "inflated"
        channels = self.clip_shape[-1]
        if STEM.fullmatch(path) and array.shape[2] not in (channels, shape[-2]):
            how, array = "widened", spread_colours(array, channels, how=self.colours)
        kernel = self._over_time(array, shape)
        if kernel is not None and path.startswith("params/slow/"):
            more = shape[-2] - kernel.shape[-2]
            if more > 0:
                how = "widened"
                kernel = np.pad(kernel, (*((0, 0),) * 3, (0, more), (0, 0)))
        return None if kernel is None or kernel.shape != shape else (how, kernel)

    def _of_transformer(
        self, path: str, array: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray | None:
        if path == POSITIONS:
            return tile_positions(array, shape[1], extra=int(self.has_token))
        return self._repeat(array[0], shape[0]) if array.shape[0] == 1 else None

    def _over_time(
        self, array: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray | None:
        height, width, channels, features = array.shape
        if len(shape) == 5:
            return self._repeat(array, shape[0])
        frames = self.clip_shape[0]
        if shape == (height, width, frames * channels, features):
            stacked = self._repeat(array, frames)  # [T, H, W, I, O].
            return stacked.transpose(1, 2, 0, 3, 4).reshape(shape)
        return array if shape == array.shape else None

    def _repeat(self, kernel: np.ndarray, length: int) -> np.ndarray:
        weights = np.zeros(length, kernel.dtype)
        if self.temporal == "average":
            weights[:] = 1 / length
        else:
            weights[length // 2] = 1
        return weights.reshape(-1, 1, 1, 1, 1) * kernel

    def _widen_head(
        self, kernel: np.ndarray, shape: tuple[int, ...]
    ) -> tuple[str, np.ndarray] | None:
        layout = getattr(self.model, "layout", None)
        first = getattr(layout, "first", None)
        if first is None or kernel.shape[1:] != shape[1:]:
            return None
        more = shape[0] - kernel.shape[0]
        rows = (0, more) if first == "slow" else (more, 0)
        return "widened", np.pad(kernel, (rows, (0, 0)))


def _fill(
    source: Arrays, want: Places, fresh: set[str], rules: _Rules
) -> dict[str, tuple[str, np.ndarray]]:
    """Fills every place that is not fresh, or raises with all that is wrong."""
    filled: dict[str, tuple[str, np.ndarray]] = {}
    problems = []
    for path in sorted((source.keys() | want.keys()) - fresh):
        if path not in want:
            problems.append(f"{path}: the video network has no such place")
        elif path not in source:
            problems.append(f"{path}: the 2D network has no such place")
        elif changed := rules.change(path, source[path], want[path].shape):
            filled[path] = (changed[0], changed[1].astype(want[path].dtype))
        else:
            problems.append(
                f"{path}: {source[path].shape} cannot become {want[path].shape}"
            )
    if problems:
        raise ValueError("The networks do not match:\n  " + "\n  ".join(problems))
    return filled


def _place(path: str, want: Places) -> str:
    """Returns the name that a path of the 2D network has in the video network."""
    names = [path, *(pattern.sub(new, path) for pattern, new in _RENAMES)]
    return next((name for name in names if name in want), path)


def _separated(source: Arrays, want: Places) -> set[str]:
    """Returns the paths of 3x3 convolutions, and norms, that are of another make.

    Those of bottlenecks which are depthwise, or come in two, in the video network only.
    """
    blocks = set()
    for path, kernel in source.items():
        match = _SPATIAL.fullmatch(path)
        if match is None or not path.endswith("/conv2/kernel"):
            continue
        bottleneck = f"params/{match[1]}/conv3/kernel" in want
        place = want.get(path)
        if bottleneck and (place is None or place.shape[-2] == 1 < kernel.shape[-2]):
            blocks.add(match[1])
    matches = {path: _SPATIAL.fullmatch(path) for path in {*source, *want}}
    return {path for path, match in matches.items() if match and match[1] in blocks}


def _same_classes(source: Arrays, want: Places) -> bool:
    path = f"{HEAD}bias"
    return path in source and path in want and source[path].shape == want[path].shape
