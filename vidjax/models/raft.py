"""RAFT: optical flow by looking up correlations again and again.

Reference:
    Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow",
    ECCV 2020, https://arxiv.org/abs/2003.12039.

Widths, order of channels and borders are those of princeton-vl/RAFT, names those of
torchvision (torchvision/models/optical_flow/raft.py). Unlike both, images of any size
from 64 pixels on are taken, and frames may be 1080p without the volume of all
correlations. The flow at (x, y) is (u, v) in pixels: image0(x) is image1(x + flow).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.models.raft_encoder import LARGE, SMALL, TINY, Encoder, Layout
from vidjax.models.raft_update import STRIDE, Update, Upsample, pixel_grid
from vidjax.models.registry import register
from vidjax.ops.check import check_clip
from vidjax.ops.correlation import (
    Form,
    Levels,
    correlation_volumes,
    look_up,
    look_up_on_demand,
    pool_levels,
    volume_bytes,
)
from vidjax.typing import ClipSpec, Endpoints, Weights

MIN_SIZE = 64
"""Pixels a side: the coarsest of four levels of a map of one eighth is one pixel."""

_BROADCAST: Any = nn.broadcast  # Of `nn.scan`, whose types know numbers only.
_LEVELS = 4


class RAFT(nn.Module):
    """Optical flow between two images.

    Attributes:
        layout: Widths.
        iterations: Updates N where a call does not say otherwise. The authors train
            with 12 and test with 24 (KITTI) or 32 (Sintel).
        padding: Where borders are repeated so that sides become multiples of 8:
            "centred" on both sides, as the authors do for Sintel, or "bottom", for
            KITTI: below, left and right.
        lookup: How correlations are read, "gather" or "matmul"; None chooses by
            platform.
        volume_bytes: The most memory for the correlations of all pixels with all; a
            larger volume is never built, and parts of it are computed again in every
            iteration, in as much memory.
        freeze_norm: Whether batch norm keeps its statistics in training, as the
            authors train after FlyingChairs.
        dtype: Computation dtype; parameters, correlations and flow stay float32.
        remat: Whether an iteration is computed again in the backward pass to save
            memory.
    """

    layout: Layout = LARGE
    iterations: int = 12
    padding: Literal["centred", "bottom"] = "centred"
    lookup: Form | None = None
    volume_bytes: int = 2**31  # Ours.
    freeze_norm: bool = False
    dtype: DTypeLike = jnp.float32
    remat: bool = True

    @nn.compact
    def __call__(
        self,
        image0: Float[Array, "..."],
        image1: Float[Array, "b h w c"] | None = None,
        *,
        iterations: int | None = None,
        flow_init: Float[Array, "b h8 w8 2"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, "b h w 2"], Endpoints]:
        """Computes the flow from one image to another.

        Args:
            image0: [B, H, W, 3] with values in [-1, 1], at least 64 pixels a side; or,
                without `image1`, clips of two frames [B, 2, H, W, 3].
            image1: [B, H, W, 3] as `image0`, or None.
            iterations: Updates N, at least 1; None takes those of the module.
            flow_init: Flow to start from, "coarse" of the pair of frames before this
                one or any other in its form, [B, H', W', 2]; None starts from none.
            train: Whether to use batch statistics, and to give the flow after every
                iteration.

        Returns:
            The flow (u, v) in pixels, [B, H, W, 2] float32; and the endpoints "coarse"
            [B, H', W', 2], the flow of every eighth pixel in units of eight pixels,
            "features" [B, H', W', D], those of `image0`, "hidden" [B, H', W', D2] and,
            in training, "flows" [B, N, H, W, 2]. H' and W' are H / 8 and W / 8, rounded
            up.

        Raises:
            ValueError: If the images are not as they should be, or there are less than
                one iteration.
            TypeError: If they are not of floating point.
        """
        image0, image1 = _check_pair(image0, image1)
        iterations = self.iterations if iterations is None else iterations
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}.")
        size = image0.shape[1:3]
        pads = _pads(size, self.padding)
        image0, image1 = _pad(image0, pads), _pad(image1, pads)

        features0, features1 = self._encode_both(image0, image1, train)
        hidden, context = self._encode_context(image0, train)
        start = pixel_grid(features0.shape[:3])
        places = start if flow_init is None else start + _checked(flow_init, start)

        source, read = self._correlations(features0, features1)
        step = nn.remat(Update, prevent_cse=False) if self.remat and train else Update
        updates: Any = nn.scan(
            step,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=_BROADCAST,
            length=iterations,
        )(self.layout, read, train, self.dtype, name="update")
        (hidden, places), history = updates((hidden, places), source, context)

        coarse = places - start
        endpoints = {"coarse": coarse, "features": features0, "hidden": hidden}
        if train:
            flows = _crop(self._upsample_all(*history), pads, size)
            endpoints["flows"] = jnp.moveaxis(flows, 0, 1)
            return flows[-1], endpoints
        upsample = Upsample(self.layout.mask, self.dtype, name="mask_predictor")
        _, flow = upsample((), hidden, coarse)
        return _crop(flow, pads, size), endpoints

    @nn.nowrap
    def _encode_both(
        self, image0: Array, image1: Array, train: bool
    ) -> tuple[Array, Array]:
        layout = self.layout
        encoder = Encoder(
            layout,
            layout.features,
            "instance",
            train,
            self.dtype,
            name="feature_encoder",
        )
        both = encoder(jnp.concatenate([image0, image1]))
        features0, features1 = jnp.split(both, 2)
        return features0, features1

    @nn.nowrap
    def _encode_context(self, image0: Array, train: bool) -> tuple[Array, Array]:
        """Returns the first state [B, H', W', D] and the context [B, H', W', D2]."""
        layout = self.layout
        encoder = Encoder(
            layout,
            layout.hidden + layout.context,
            "batch" if layout.context_norm else "none",
            train and not self.freeze_norm,
            self.dtype,
            name="context_encoder",
        )
        both = encoder(image0)
        return jnp.tanh(both[..., : layout.hidden]), nn.relu(both[..., layout.hidden :])

    @nn.nowrap
    def _correlations(
        self, features0: Array, features1: Array
    ) -> tuple[tuple[Any, ...], Callable[..., Array]]:
        """Returns what an iteration reads correlations from, and how."""
        how: dict[str, Any] = {"radius": self.layout.radius, "form": self.lookup}
        if volume_bytes(features0.shape, levels=_LEVELS) <= self.volume_bytes:
            volumes = correlation_volumes(features0, features1, levels=_LEVELS)
            return (volumes,), functools.partial(look_up, **how)
        maps: Levels = pool_levels(features1, levels=_LEVELS)
        how["max_bytes"] = self.volume_bytes
        return (features0, maps), functools.partial(look_up_on_demand, **how)

    @nn.nowrap
    def _upsample_all(self, hidden: Array, coarse: Array) -> Array:
        """Maps states and flows of N iterations to flows [N, B, H, W, 2]."""
        step = nn.remat(Upsample, prevent_cse=False) if self.remat else Upsample
        upsample = nn.scan(
            step, variable_broadcast="params", split_rngs={"params": False}
        )(self.layout.mask, self.dtype, name="mask_predictor")
        return upsample((), hidden, coarse)[1]


def _check_pair(image0: Array, image1: Array | None) -> tuple[Array, Array]:
    """Returns two images [B, H, W, 3]; raises unless they are a pair."""
    if image1 is not None:
        if image0.shape != image1.shape or image0.ndim != 4:
            raise ValueError(
                "Expected two images of the same shape [B, H, W, C], got "
                f"{image0.shape} and {image1.shape}."
            )
        clip = jnp.stack([image0, image1], axis=1)
    else:
        clip = image0
    check_clip(clip, min_size=MIN_SIZE, channels=3)
    if clip.shape[1] != 2:
        raise ValueError(
            f"Expected two frames, got {clip.shape[1]} in a clip of shape "
            f"{clip.shape}, read as [B, T, H, W, C]."
        )
    return clip[:, 0], clip[:, 1]


def _checked(flow_init: Array, start: Array) -> Array:
    if flow_init.shape != start.shape:
        raise ValueError(
            f"Expected flow_init of shape {start.shape}, the flow of every eighth "
            f"pixel as endpoint 'coarse' has it, got {flow_init.shape}."
        )
    return flow_init.astype(jnp.float32)


def _pads(size: tuple[int, ...], padding: str) -> tuple[tuple[int, int], ...]:
    """Pixels (before, after) that make height and width multiples of eight."""
    if padding not in ("centred", "bottom"):
        raise ValueError(f'padding must be "centred" or "bottom", got {padding!r}.')
    height, width = (-side % STRIDE for side in size)
    above = height // 2 if padding == "centred" else 0
    return (above, height - above), (width // 2, width - width // 2)


def _pad(image: Array, pads: tuple[tuple[int, int], ...]) -> Array:
    return jnp.pad(image, ((0, 0), *pads, (0, 0)), mode="edge")


def _crop(
    flow: Array, pads: tuple[tuple[int, int], ...], size: tuple[int, ...]
) -> Array:
    """Undoes `_pad` on [..., H, W, 2]."""
    (top, _), (left, _) = pads
    return flow[..., top : top + size[0], left : left + size[1], :]


def _published(
    size: str, tag: str, digits: str, trained: str, accuracy: str
) -> Weights:
    """Weights of torchvision; of two with the same training, V1 are the authors'."""
    file = f"raft_{size}_{tag.upper()}-{digits}.pth"
    url = f"https://download.pytorch.org/models/{file}"
    theirs = "the authors', " if tag.endswith("v1") else ""
    return Weights(
        tag=tag,
        description=f"torchvision, {theirs}trained on {trained}",
        num_classes=0,
        file=file,
        url=url,
        get=f"Download {url} (its SHA-256 begins {digits}) and give its path.",
        accuracy=f"{accuracy} (torchvision/models/optical_flow/raft.py)",
        licence="BSD-3-Clause (torchvision)",
    )


_CHAIRS_THINGS = "FlyingChairs and FlyingThings3D"
_SINTEL = f"{_CHAIRS_THINGS}, then Sintel, KITTI and HD1K"
_TRAIN = "px Sintel train EPE, clean / final"
_TEST = "px Sintel test EPE, clean / final"

_CARD: dict[str, Any] = {
    "task": "flow",
    # The crop with which the authors fine-tune on Sintel is 368 x 768; ours is square.
    "clip": ClipSpec(
        num_frames=2,
        size=512,
        crop_fraction=1.0,
        value_range=(-1.0, 1.0),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    ),
    "family": "raft",
    "fusion": "none",
    "paper": (
        'Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", '
        "ECCV 2020, https://arxiv.org/abs/2003.12039"
    ),
    "reference": "princeton-vl/RAFT; torchvision, torchvision/models/optical_flow",
}


@register(
    params=5_257_536,
    gmacs=192.49,
    weights=(
        _published(
            "large", "c_t_v1", "22a6c225", _CHAIRS_THINGS, f"1.44 / 2.79 {_TRAIN}"
        ),
        _published(
            "large", "c_t_v2", "1bb1363a", _CHAIRS_THINGS, f"1.38 / 2.72 {_TRAIN}"
        ),
        _published("large", "c_t_skht_v1", "0b8c9e55", _SINTEL, f"1.94 / 3.18 {_TEST}"),
        _published("large", "c_t_skht_v2", "ff5fadd5", _SINTEL, f"1.82 / 3.07 {_TEST}"),
        _published(
            *("large", "c_t_skht_k_v1", "4a6a5039"),
            f"{_SINTEL}, then KITTI",
            "5.10 % KITTI test Fl-all",
        ),
        _published(
            *("large", "c_t_skht_k_v2", "b5c70766"),
            f"{_SINTEL}, then KITTI",
            "5.19 % KITTI test Fl-all",
        ),
    ),
    **_CARD,
)
def raft_large(**kwargs: Any) -> RAFT:
    """RAFT as in the paper."""
    return RAFT(**{"layout": LARGE, **kwargs})


@register(
    params=990_162,
    gmacs=48.398,
    weights=(
        _published(
            "small", "c_t_v1", "ad48884c", _CHAIRS_THINGS, f"2.12 / 3.28 {_TRAIN}"
        ),
        _published(
            "small", "c_t_v2", "01064c6d", _CHAIRS_THINGS, f"1.99 / 3.28 {_TRAIN}"
        ),
    ),
    **_CARD,
)
def raft_small(**kwargs: Any) -> RAFT:
    """RAFT with bottlenecks, one recurrent unit and bilinear upsampling."""
    return RAFT(**{"layout": SMALL, **kwargs})


@register(
    params=249_824,
    gmacs=0.12625,
    **{**_CARD, "clip": dataclasses.replace(_CARD["clip"], size=64)},
)
def raft_tiny(**kwargs: Any) -> RAFT:
    """RAFT of narrow layers, for tests and short demonstrations."""
    return RAFT(**{"layout": TINY, **kwargs})
