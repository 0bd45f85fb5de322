"""TimeSformer: a vision transformer on clips, attention divided into time and space.

Reference:
    Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?",
    ICML 2021, https://arxiv.org/abs/2102.05095.

The equations are those of the paper's Sec. 3. Published weights fix what it leaves
open: attention over time has a linear layer behind it (`temporal_fc`), zero at the
start in all blocks but the first; the class token takes no part in it, is repeated in
every frame for attention over space, and takes the mean of what it gathers there;
tables of positions and times are resized to other clips by the nearest place.
"""

from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.attention import SelfAttention
from vidjax.layers.block import Block
from vidjax.layers.drop_path import DropPath, drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models import vit
from vidjax.models.registry import register
from vidjax.models.resnet import TINY_CLIP
from vidjax.models.zoos import slowfast_clip
from vidjax.ops.check import check_clip
from vidjax.ops.position import resize_nearest
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

Scheme = Literal["divided", "joint", "space"]
"""Which tokens see each other: "divided", those of one place in time, then those of one
frame; "joint", all; "space", those of one frame, and frames are averaged at the end."""

TINY = vit.Layout(48, 2, 3, patch=8)  # Ours.


class TimeSformer(nn.Module):
    """A transformer on the blocks of pixels of all frames.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth and width.
        scheme: See `Scheme`.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping each branch of the last block; it grows
            linearly from 0 at the first. The authors train with 0.1.
        head_std: Standard deviation of the classifier's kernel at the start;
            the authors' is 0.02.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: vit.Layout = vit.BASE
    scheme: Scheme = "divided"
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    head_std: float = 0.01
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C]; the tables of positions and times are resized to it.
            train: Whether to use dropout and drop paths.

        Returns:
            Logits [B, num_classes], and tokens after every block as "blocks_0", ...
            [B, T, H', W', D], with "features" (those after the last norm, one frame if
            frames are averaged) and "pooled" [B, D], the class token.

        Raises:
            ValueError: If the clip does not have five axes, blocks of pixels do not
                divide it, or its size needs a table of positions resized that is not
                square.
            TypeError: If it is not of floating point.
        """
        check_clip(clip)
        layout = self.layout
        patch = (1, layout.patch, layout.patch)
        x = PatchEmbed(layout.width, patch, dtype=self.dtype, name="patch_embed")(clip)
        batch, *grid, width = x.shape
        x = vit.with_class_token(self, x.reshape(*x.shape[:2], -1, width))
        x = x + self._positions(grid[1], grid[2], clip).astype(self.dtype)
        if self.scheme == "space":
            x = x.reshape(-1, *x.shape[2:])  # Frames do not see each other.
        else:
            time = self._times(grid[0]).astype(self.dtype)
            places = (x[:, :, 1:] + time).reshape(batch, -1, width)
            x = jnp.concatenate([x[:, 0, :1], places], axis=1)
        endpoints: Endpoints = {}
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, layout.depth)):
            x = self._block(i, rate, grid[0], train)(x)
            endpoints[f"blocks_{i}"] = x[:, 1:].reshape(batch, *grid, width)
        if self.scheme == "space":
            x = jnp.mean(x.reshape(batch, grid[0], *x.shape[1:]), axis=1)
        x = LayerNorm(dtype=self.dtype, name="norm")(x)
        head = Classifier(
            self.num_classes, self.dropout_rate, self.head_std, name="logits"
        )
        logits, scores = head(x[:, :1], train=train)
        features = x[:, 1:].reshape(batch, -1, *grid[1:], width)
        return logits, {**endpoints, "features": features, "pooled": scores["pooled"]}

    @nn.nowrap
    def _block(self, index: int, rate: float, frames: int, train: bool) -> nn.Module:
        kind: Any = DividedBlock if self.scheme == "divided" else Block
        arguments: dict[str, Any] = {}
        if self.scheme == "divided":
            arguments = {"frames": frames, "zero": index > 0}
        return (nn.remat(kind) if self.remat else kind)(
            self.layout.heads,
            4 * self.layout.width,
            train,
            drop_path_rate=rate,
            dtype=self.dtype,
            name=f"blocks_{index}",
            **arguments,
        )

    @nn.nowrap
    def _positions(
        self, rows: int, columns: int, clip: Clip
    ) -> Float[Array, "1 1 n d"]:
        shape = (1, 1 + rows * columns, self.layout.width)
        stored = self.variables.get("params", {}).get("pos_embed")
        shape = shape if stored is None else stored.shape
        table = self.param("pos_embed", vit.POSITION_INIT, shape)
        if shape[1] == 1 + rows * columns:
            return table[:, None]
        side = round((shape[1] - 1) ** 0.5)
        if side**2 != shape[1] - 1:
            raise ValueError(
                f"Expected {shape[1] - 1} blocks of {self.layout.patch} x "
                f"{self.layout.patch} pixels, as in the table of positions, which is "
                f"not square and so cannot be resized, got {rows} x {columns} in shape "
                f"{clip.shape}, read as [B, T, H, W, C]."
            )
        return resize_nearest(table, (side, side), (rows, columns), extra=1)[:, None]

    @nn.nowrap
    def _times(self, frames: int) -> Float[Array, "1 t 1 d"]:
        stored = self.variables.get("params", {}).get("time_embed")
        known = frames if stored is None else stored.shape[1]
        shape = (1, known, self.layout.width)
        table = self.param("time_embed", nn.initializers.zeros, shape)
        return resize_nearest(table, (known,), (frames,))[:, :, None]


class DividedBlock(nn.Module):
    """Attention over time, attention over space and an MLP, each around a shortcut.

    Attributes:
        heads: Number of heads.
        hidden: Width between the layers of the MLP.
        train: Whether to drop paths.
        frames: Number of frames T.
        zero: Whether the layer behind attention over time is zero at the start, so
            that the block begins as that of an image network.
        drop_path_rate: Probability of dropping a branch, in [0, 1); each place of the
            map is dropped by itself in attention over time, each frame in that over
            space.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    hidden: int
    train: bool
    frames: int
    zero: bool = False
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Maps tokens [B, 1 + T * H * W, D] to the same; the class token is first."""
        token, places = x[:, None, :1], x[:, 1:]
        places = places.reshape(x.shape[0], self.frames, -1, x.shape[-1])
        places = places + self._over_time(places)
        seen = jnp.broadcast_to(token, (*places.shape[:2], 1, x.shape[-1]))
        seen = jnp.concatenate([seen, places], axis=2)
        y = self._attend(seen, "norm1", "attn")
        token = token[:, 0] + jnp.mean(y[:, :, :1], axis=1)
        places = (places + y[:, :, 1:]).reshape(x.shape[0], -1, x.shape[-1])
        x = jnp.concatenate([token, places], axis=1)
        y = LayerNorm(dtype=self.dtype, name="norm2")(x)
        y = Mlp(self.hidden, dtype=self.dtype, name="mlp")(y)
        return x + DropPath(self.drop_path_rate)(y, train=self.train)

    @nn.nowrap
    def _over_time(self, places: Float[Array, "b t n d"]) -> Float[Array, "b t n d"]:
        y = self._attend(places.swapaxes(1, 2), "temporal_norm1", "temporal_attn")
        y = nn.Dense(
            y.shape[-1],
            kernel_init=nn.initializers.zeros if self.zero else KERNEL_INIT,
            dtype=self.dtype,
            name="temporal_fc",
        )(y)
        return y.swapaxes(1, 2)

    @nn.nowrap
    def _attend(
        self, x: Float[Array, "b g n d"], norm: str, attn: str
    ) -> Float[Array, "b g n d"]:
        """Lets the N tokens of each of G groups see each other."""
        y = LayerNorm(dtype=self.dtype, name=norm)(x)
        y = y.reshape(-1, *x.shape[2:])
        y = SelfAttention(self.heads, dtype=self.dtype, name=attn)(y)
        return DropPath(self.drop_path_rate)(y, train=self.train).reshape(x.shape)


_PAPER = (
    'Bertasius et al., "Is Space-Time Attention All You Need for Video '
    'Understanding?", ICML 2021, https://arxiv.org/abs/2102.05095'
)


def _clip(num_frames: int, frame_stride: int, size: int = 224) -> ClipSpec:
    """Frames as in configs/Kinetics; three crops from a short side of `size`."""
    return slowfast_clip(num_frames, frame_stride, size=size, crop_fraction=1.0)


_DROPBOX = "https://www.dropbox.com/s"
_OPENMMLAB = "https://download.openmmlab.com/mmaction/v1.0/recognition/timesformer"


def _weights(path: str, accuracy: str, classes: int = 400) -> Weights:
    """A row of the tables in the authors' README."""
    data, url = f"Kinetics-{classes}", f"{_DROPBOX}/{path}?dl=1"
    return Weights(
        tag=f"kinetics{classes}",
        description=f"The authors', trained on {data}",
        num_classes=classes,
        labels="kinetics400" if classes == 400 else None,
        file=path.partition("/")[2],
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=f"{accuracy} {data} top-1 (README.md of facebookresearch/TimeSformer)",
        licence="CC-BY-NC-4.0",
    )


def _mmaction2(scheme: str, stamp: str, accuracy: str) -> Weights:
    config = f"timesformer_{scheme}_8xb8-8x32x1-15e_kinetics400-rgb"
    file = f"{config}_{stamp}.pth"
    url = f"{_OPENMMLAB}/{config}/{file}"
    return Weights(
        tag="kinetics400_mmaction2",
        description="MMAction2's, trained on Kinetics-400",
        num_classes=400,
        labels="kinetics400",
        file=file,
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=f"{accuracy} Kinetics-400 top-1 (configs/recognition/timesformer)",
        licence="Apache-2.0",
    )


_CARD: dict[str, Any] = {
    "clip": _clip(8, 32),
    "family": "timesformer",
    "fusion": "attention",
    "paper": _PAPER,
    "reference": "facebookresearch/TimeSformer, timesformer/models/vit.py",
    "views": protocol("timesformer-1x3"),
}


@register(
    params=121_566_352,
    gmacs=195.83,
    weights=(
        _weights("g5t24we9gl5yk88/TimeSformer_divST_8x32_224_K400.pyth", "77.9"),
        _weights("4h2qt41m2z3aqrb/TimeSformer_divST_8x32_224_K600.pyth", "79.1", 600),
        _mmaction2("divST", "20220815-a4d0d01f", "77.69"),
    ),
    **_CARD,
)
def timesformer_base(**kwargs: Any) -> TimeSformer:
    """TimeSformer, divided attention, 8 frames of 224 pixels."""
    return TimeSformer(**kwargs)


@register(
    params=86_112_400,
    gmacs=179.563,
    weights=(_mmaction2("jointST", "20220815-8022d1c0", "76.95"),),
    **_CARD,
)
def timesformer_base_joint(**kwargs: Any) -> TimeSformer:
    """TimeSformer with joint attention over all 1,568 blocks and the class token."""
    return TimeSformer(**{"scheme": "joint", **kwargs})


@register(params=86_106_256, gmacs=140.51, **{**_CARD, "fusion": "late"})
def timesformer_base_space(**kwargs: Any) -> TimeSformer:
    """TimeSformer with attention over space only; frames are averaged."""
    return TimeSformer(**{"scheme": "space", **kwargs})


@register(
    params=122_024_080,
    gmacs=1702.686,
    weights=(
        _weights("6f0x172lpqy3oxt/TimeSformer_divST_16x16_448_K400.pyth", "79.6"),
        _weights("ft1e92g2vhvxecv/TimeSformer_divST_16x16_448_K600.pyth", "81.8", 600),
    ),
    **{**_CARD, "clip": _clip(16, 16, 448)},
)
def timesformer_base_hr(**kwargs: Any) -> TimeSformer:
    """TimeSformer-HR: divided attention, 16 frames of 448 pixels."""
    return TimeSformer(**kwargs)


@register(
    params=121_633_936,
    gmacs=2379.857,
    weights=(
        _weights("r1iuxahif3sgimo/TimeSformer_divST_96x4_224_K400.pyth", "80.6"),
        _weights("857rx6xeclxfhdg/TimeSformer_divST_96x4_224_K600.pyth", "82.2", 600),
    ),
    **{**_CARD, "clip": _clip(96, 4)},
)
def timesformer_large(**kwargs: Any) -> TimeSformer:
    """TimeSformer-L: divided attention, 96 frames of 224 pixels."""
    return TimeSformer(**kwargs)


@register(params=91_354, gmacs=0.012032, **{**_CARD, "clip": TINY_CLIP})
def timesformer_tiny(**kwargs: Any) -> TimeSformer:
    """TimeSformer of two blocks, for tests and short demonstrations."""
    return TimeSformer(**{"num_classes": 10, "layout": TINY, **kwargs})


@register(params=67_642, gmacs=0.011508, **{**_CARD, "clip": TINY_CLIP})
def timesformer_joint_tiny(**kwargs: Any) -> TimeSformer:
    """TimeSformer of two blocks with joint attention."""
    tiny = {"num_classes": 10, "layout": TINY, "scheme": "joint"}
    return TimeSformer(**{**tiny, **kwargs})


@register(
    params=67_258, gmacs=0.0091443, **{**_CARD, "clip": TINY_CLIP, "fusion": "late"}
)
def timesformer_space_tiny(**kwargs: Any) -> TimeSformer:
    """TimeSformer of two blocks with attention over space only."""
    tiny = {"num_classes": 10, "layout": TINY, "scheme": "space"}
    return TimeSformer(**{**tiny, **kwargs})
