"""ViViT, a vision transformer on tubelets of a video, in its four models.

Reference:
    Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021,
    https://arxiv.org/abs/2103.15691, Sec. 3.3.

Conventions are those of Scenic, scenic/projects/vivit/model.py: GELU by its tanh
approximation, layer norms with epsilon 1e-6, a norm behind every encoder, and drop path
that does not scale up what is left. Two things are ours: drop path holds in model 3 as
well, where Scenic takes its rate and forgets it; and a joint table of positions is
resized for other clips, where Scenic only resizes tables of images.
"""

import dataclasses
import functools
import math
from typing import Any, Literal

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array

from vidjax.layers.block import Block
from vidjax.layers.drop_path import drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models.registry import register
from vidjax.models.vivit_blocks import (
    ATTENTION_INIT,
    MLP_INIT,
    TimeSpaceBlock,
    gelu,
    time_and_space,
)
from vidjax.ops.check import check_clip
from vidjax.ops.position import fit_table
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

Factorisation = Literal["joint", "encoder", "self_attention", "dot_product"]
"""How space and time meet: all tokens attend to all (model 1); an encoder of frames,
then one of time (model 2); attention over time, then over space, in every block (model
3); half of the heads over time, half over space (model 4)."""

_POSITION_INIT = nn.initializers.normal(0.02)  # posembed_input: "from BERT".


@dataclasses.dataclass(frozen=True)
class Layout:
    """Size of a ViViT.

    Attributes:
        width: Channels D of a token.
        depth: Number of blocks (of space, in a factorised encoder).
        heads: Heads of every block.
        hidden: Width between the layers of an MLP.
        factorised: How space and time meet.
        time_depth: Blocks of a factorised encoder's second part.
        patch: Extent (t, h, w) of a tubelet.
        grid: Tubelets (T', H', W') of the clips of the card, by which a joint table of
            so many positions is read.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    factorised: Factorisation = "joint"
    time_depth: int = 0
    patch: tuple[int, int, int] = (2, 16, 16)
    grid: tuple[int, int, int] = (16, 14, 14)


# scenic/projects/vivit/configs and Sec. 4.1 of the paper: 4 blocks of time. The files
# published for Kinetics have as many of time as of space (google-research/scenic#432,
# configs/kinetics{400,600}/vivit_large_factorised_encoder.py).
BASE = Layout(768, 12, 12, 3072)
BASE_ENCODER = dataclasses.replace(BASE, factorised="encoder", time_depth=4)
BASE_SELF_ATTENTION = dataclasses.replace(BASE, factorised="self_attention")
BASE_DOT_PRODUCT = dataclasses.replace(BASE, factorised="dot_product")
LARGE = Layout(1024, 24, 16, 4096)
LARGE_ENCODER = dataclasses.replace(LARGE, factorised="encoder", time_depth=4)
TINY = Layout(48, 2, 4, 192, patch=(2, 8, 8), grid=(4, 4, 4))


class ViViT(nn.Module):
    """A transformer on tubelets.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Its size, and how space and time meet.
        pool: What is classified: a class token, for models 1 and 2, or the mean of all
            tokens.
        space_first: Whether space comes before time in the blocks of model 3.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the branches of the last block; it grows
            linearly from 0 at the first.
        head_std: Standard deviation of the classifier's kernel at the start;
            Scenic begins with zeros.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = BASE
    pool: Literal["token", "mean"] = "token"
    space_first: bool = False
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    head_std: float = 0.01
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C]; frames and pixels at the end that fill no tubelet are
                left out.
            train: Whether to use dropout and drop path.

        Returns:
            Logits [B, num_classes], and the tokens behind every block; "features" is
            the last map [B, T', H', W', D] (in model 2 the last tokens [B, T', D]),
            "pooled" is [B, D].

        Raises:
            ValueError: If the clip does not have five axes or is smaller than a
                tubelet, or the positions of the variables do not fit its size, or
                models 3 and 4 are to have a class token.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        layout = self.layout
        if self.pool == "token" and layout.factorised in (
            "self_attention",
            "dot_product",
        ):
            raise ValueError(
                f'A ViViT with factorised="{layout.factorised}" has no class token: '
                f'expected pool="mean", got pool="token".'
            )
        x = PatchEmbed(
            layout.width, layout.patch, crop=True, dtype=self.dtype, name="patch_embed"
        )(clip)
        model = self._encoders if layout.factorised == "encoder" else self._one_encoder
        pooled, endpoints = model(x, train)
        head = Classifier(
            self.num_classes, self.dropout_rate, self.head_std, name="logits"
        )
        logits, scores = head(pooled[:, None], train=train)
        return logits, {**endpoints, "pooled": scores["pooled"]}

    @nn.nowrap
    def _one_encoder(self, x: Array, train: bool) -> tuple[Array, Endpoints]:
        batch, *grid, width = x.shape
        x = x.reshape(batch, math.prod(grid), width)
        x = self._add_positions(x, "", (grid[0], grid[1], grid[2]))
        if self.layout.factorised == "self_attention":
            x = x.reshape(batch, grid[0], grid[1] * grid[2], width)
        x, endpoints = self._encode(x, "", self.layout.depth, train, steps=grid[0])
        pooled, tokens = self._pool(x.reshape(batch, -1, width))
        return pooled, {**endpoints, "features": tokens.reshape(batch, *grid, width)}

    @nn.nowrap
    def _encoders(self, x: Array, train: bool) -> tuple[Array, Endpoints]:
        batch, steps, *grid, width = x.shape
        x = x.reshape(batch, steps, grid[0] * grid[1], width)
        x = self._add_positions(x, "", (1, grid[0], grid[1]))
        x, endpoints = self._encode(x, "", self.layout.depth, train)
        frames, tokens = self._pool(x)
        endpoints["frames"] = tokens.reshape(batch, steps, *grid, width)
        x = self._add_positions(frames, "time_", (steps, 1, 1))
        x, more = self._encode(x, "time_", self.layout.time_depth, train)
        pooled, tokens = self._pool(x)
        return pooled, {**endpoints, **more, "features": tokens}

    @nn.nowrap
    def _add_positions(
        self, x: Array, prefix: str, grid: tuple[int, int, int]
    ) -> Array:
        """Puts a class token in front, and adds to every token that of its place."""
        width, extra = x.shape[-1], int(self.pool == "token")
        if extra:
            zeros = nn.initializers.zeros
            token = self.param(f"{prefix}cls_token", zeros, (1, 1, width))
            shape = (*x.shape[:-2], 1, width)
            token = jnp.broadcast_to(token.astype(x.dtype).reshape(-1), shape)
            x = jnp.concatenate([token, x], axis=-2)
        table = self._positions(f"{prefix or 'pos_'}embed", grid, extra, width)
        table = table.astype(x.dtype).reshape((1,) * (x.ndim - 2) + table.shape[1:])
        return x + table

    @nn.nowrap
    def _positions(
        self, name: str, grid: tuple[int, int, int], extra: int, width: int
    ) -> Array:
        """A table of positions, resized where it was made for another clip."""
        if not self.has_variable("params", name):
            shape = (1, math.prod(grid) + extra, width)
            return self.param(name, _POSITION_INIT, shape)
        table = self.get_variable("params", name)
        return fit_table(table, grid, self.layout.grid, extra)

    @nn.nowrap
    def _encode(
        self, x: Array, prefix: str, depth: int, train: bool, steps: int = 1
    ) -> tuple[Array, Endpoints]:
        """Applies the blocks of an encoder and its norm."""
        layout = self.layout
        rates = drop_path_rates(self.drop_path_rate, depth)
        common = (layout.heads, layout.hidden, train)
        joint: Any = {
            "activation": gelu,
            "drop_path_rescale": False,
            "attention_init": ATTENTION_INIT,
            "mlp_init": MLP_INIT,
        }
        if layout.factorised == "dot_product":
            joint["attend"] = functools.partial(time_and_space, steps=steps)
        both: Any = {"space_first": self.space_first}
        factorised = layout.factorised == "self_attention"
        kind = TimeSpaceBlock if factorised else Block
        kind = nn.remat(kind) if self.remat else kind
        options = both if factorised else joint
        endpoints: Endpoints = {}
        for i, rate in enumerate(rates):
            name = f"{prefix}blocks_{i}"
            block = kind(
                *common, drop_path_rate=rate, dtype=self.dtype, name=name, **options
            )
            endpoints[name] = x = block(x)
        return LayerNorm(dtype=self.dtype, name=f"{prefix}norm")(x), endpoints

    @nn.nowrap
    def _pool(self, x: Array) -> tuple[Array, Array]:
        """Splits tokens [..., N, D] into what stands for them and the others."""
        if self.pool == "token":
            return x[..., 0, :], x[..., 1:, :]
        return jnp.mean(x, axis=-2), x


_CARD = {
    "family": "vivit",
    "fusion": "attention",
    "paper": (
        'Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021, '
        "https://arxiv.org/abs/2103.15691"
    ),
    "reference": "google-research/scenic, scenic/projects/vivit/model.py",
    "views": protocol("scenic-4x3"),
}
# Videos of DMVR have 25 frames a second; zero_centering takes pixels to [-1, 1].
_CLIP = ClipSpec(
    num_frames=32,
    frame_stride=2,
    fps=25.0,
    value_range=(-1.0, 1.0),
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)
_TINY_CLIP = dataclasses.replace(_CLIP, num_frames=8, size=32)
_BUCKET = "https://storage.googleapis.com/scenic-bucket/vivit"


def _weights(tag: str, folder: str, classes: int, data: str, top1: str) -> Weights:
    """A row of the table in Scenic's README."""
    url = f"{_BUCKET}/{folder}/checkpoint"
    return Weights(
        tag=tag,
        description=f"Scenic's, trained on {data}",
        num_classes=classes,
        labels="kinetics400" if classes == 400 else None,
        file="checkpoint",
        url=url,
        get=f"Download {url} and give its path.",
        accuracy=f"{top1} {data} top-1 (scenic/projects/vivit/README.md)",
        licence="Apache-2.0",
    )


_BASE_FILE = "kinetics_400/vivit_base_16x2_unfactorized"
_MEAN: dict[str, Any] = {"pool": "mean"}


@register(
    clip=_CLIP,
    params=88_954_000,
    gmacs=451.525,
    weights=(_weights("kinetics400", _BASE_FILE, 400, "Kinetics-400", "79.9"),),
    **_CARD,
)
def vivit_base(**kwargs: Any) -> ViViT:
    """ViViT-B/16x2, model 1: every token attends to all of the clip."""
    return ViViT(**{"layout": BASE, **kwargs})


@register(clip=_CLIP, params=115_062_928, gmacs=283.342, **_CARD)
def vivit_base_factorised_encoder(**kwargs: Any) -> ViViT:
    """ViViT-B/16x2, model 2: an encoder of frames, then 4 blocks over time."""
    return ViViT(**{"layout": BASE_ENCODER, **kwargs})


@register(
    clip=_CLIP,
    params=171_765_904,
    gmacs=284.308,
    weights=(
        _weights(
            "kinetics400",
            "kinetics_400/vivit_base_16x2_fe",
            400,
            "Kinetics-400",
            "78.4",
        ),
    ),
    **_CARD,
)
def vivit_base_factorised_encoder_12(**kwargs: Any) -> ViViT:
    """ViViT-B/16x2, model 2, with 12 blocks over time as in the published file."""
    layout = dataclasses.replace(BASE_ENCODER, time_depth=12)
    return ViViT(**{"layout": layout, **kwargs})


@register(clip=_CLIP, params=117_319_312, gmacs=371.094, **_CARD)
def vivit_base_factorised_self_attention(**kwargs: Any) -> ViViT:
    """ViViT-B/16x2, model 3: attention over time and over space in every block."""
    return ViViT(**{"layout": BASE_SELF_ATTENTION, **_MEAN, **kwargs})


@register(clip=_CLIP, params=88_952_464, gmacs=276.182, **_CARD)
def vivit_base_factorised_dot_product(**kwargs: Any) -> ViViT:
    """ViViT-B/16x2, model 4: half of the heads over time, half over space."""
    return ViViT(**{"layout": BASE_DOT_PRODUCT, **_MEAN, **kwargs})


@register(clip=_CLIP, params=307_508_624, gmacs=1435.969, **_CARD)
def vivit_large(**kwargs: Any) -> ViViT:
    """ViViT-L/16x2, model 1."""
    return ViViT(**{"layout": LARGE, **kwargs})


@register(clip=_CLIP, params=354_903_440, gmacs=988.184, **_CARD)
def vivit_large_factorised_encoder(**kwargs: Any) -> ViViT:
    """ViViT-L/16x2, model 2: an encoder of frames, then 4 blocks over time."""
    return ViViT(**{"layout": LARGE_ENCODER, **kwargs})


@register(
    clip=_CLIP,
    params=606_827_920,
    gmacs=992.474,
    weights=tuple(
        _weights(
            f"kinetics{n}", f"kinetics_{n}/vivit_large_16x2_fe", n, f"Kinetics-{n}", top
        )
        for n, top in ((400, "80.3"), (600, "81.6"))
    ),
    **_CARD,
)
def vivit_large_factorised_encoder_24(**kwargs: Any) -> ViViT:
    """ViViT-L/16x2, model 2, with 24 blocks over time as configured for Kinetics."""
    layout = dataclasses.replace(LARGE_ENCODER, time_depth=24)
    return ViViT(**{"layout": layout, **kwargs})


@register(clip=_TINY_CLIP, params=78_778, gmacs=0.005585568, **_CARD)
def vivit_tiny(**kwargs: Any) -> ViViT:
    """ViViT, model 1, of two blocks."""
    return ViViT(**{"num_classes": 10, "layout": TINY, **kwargs})


@register(clip=_TINY_CLIP, params=105_130, gmacs=0.005302848, **_CARD)
def vivit_factorised_encoder_tiny(**kwargs: Any) -> ViViT:
    """ViViT, model 2, of two blocks over space and one over time."""
    layout = dataclasses.replace(TINY, factorised="encoder", time_depth=1)
    return ViViT(**{"num_classes": 10, "layout": layout, **kwargs})


@register(clip=_TINY_CLIP, params=97_690, gmacs=0.00614448, **_CARD)
def vivit_factorised_self_attention_tiny(**kwargs: Any) -> ViViT:
    """ViViT, model 3, of two blocks."""
    layout = dataclasses.replace(TINY, factorised="self_attention")
    return ViViT(**{"num_classes": 10, "layout": layout, **_MEAN, **kwargs})


@register(clip=_TINY_CLIP, params=78_682, gmacs=0.004841952, **_CARD)
def vivit_factorised_dot_product_tiny(**kwargs: Any) -> ViViT:
    """ViViT, model 4, of two blocks."""
    layout = dataclasses.replace(TINY, factorised="dot_product")
    return ViViT(**{"num_classes": 10, "layout": layout, **_MEAN, **kwargs})
