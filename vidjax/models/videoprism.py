"""VideoPrism: a frozen video encoder, and what pools and classifies its tokens.

Reference:
    Zhao et al., "VideoPrism: A Foundational Visual Encoder for Video Understanding",
    ICML 2024, https://arxiv.org/abs/2402.13217.

Conventions are those of google-deepmind/videoprism, videoprism/encoders.py: blocks over
space, a norm, blocks over time at every place, a norm; scores of attention are bounded
by 50 tanh(score / 50); the exact GELU; tables of positions are resized to the clip.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.block import Block
from vidjax.layers.drop_path import drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models.registry import register
from vidjax.ops.attention import attention
from vidjax.ops.check import check_clip
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

_SOFT_CAP = 50.0  # atten_logit_cap of videoprism/models.py.
# default_kernel_init of videoprism/layers.py.
_KERNEL_INIT = nn.initializers.lecun_normal()
_capped = functools.partial(attention, soft_cap=_SOFT_CAP)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Size of a VideoPrism.

    Attributes:
        width: Channels D of a token.
        depth: Number of blocks over space.
        heads: Heads of every block.
        hidden: Width between the layers of an MLP.
        frames: Rows of the table of times.
        time_depth: Number of blocks over time.
        patch: Side of a block of pixels.
        side: Rows and columns of the table of places.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    frames: int
    time_depth: int = 4
    patch: int = 18
    side: int = 16


# CONFIGS of videoprism/models.py.
BASE = Layout(768, 12, 12, 3072, frames=16)
LARGE = Layout(1024, 24, 16, 4096, frames=8)
TINY = Layout(48, 1, 4, 96, frames=4, time_depth=1, patch=8, side=4)


class Pooler(nn.Module):
    """A learned token that gathers from all others, and a norm.

    Attributes:
        heads: Number of heads.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b 1 d"]:
        """Maps tokens [B, N, D] to one [B, 1, D]."""
        batch, length, width = x.shape
        dense = functools.partial(nn.Dense, kernel_init=_KERNEL_INIT, dtype=self.dtype)
        token = self.param("query_token", _KERNEL_INIT, (1, width))
        query = dense(width, name="query")(token).reshape(1, 1, self.heads, -1)
        both = dense(2 * width, name="kv")(x).reshape(batch, length, 2, self.heads, -1)
        # softplus(0) = log 2: a channel's scale begins as 1 (PerDimScale).
        scale = self.param("channel_scale", nn.initializers.zeros, query.shape[-1:])
        scale = jax.nn.softplus(scale) / jax.nn.softplus(0.0)
        query = query * scale.astype(self.dtype).reshape(1, 1, 1, -1)
        query = jnp.broadcast_to(query, (batch, *query.shape[1:]))
        y = attention(query, both[:, :, 0], both[:, :, 1]).reshape(batch, 1, width)
        return LayerNorm(dtype=self.dtype, name="norm")(dense(width, name="proj")(y))


class VideoPrism(nn.Module):
    """VideoPrism's encoder of space and time.

    Attributes:
        num_classes: Number of classes; 0 leaves pooling and classifier out, as the
            published files do.
        layout: Depth and widths.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the branches of the last block of space
            and of time; it grows linearly from 0 at the first of each.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 400
    layout: Layout = BASE
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any T; H and W are multiples of the patch.
            train: Whether to use dropout and drop path.

        Returns:
            Logits [B, num_classes] (without classes, the mean of the encoder's tokens),
            and "features", the encoder's tokens [B, T * N, D] by frames, rows and
            columns; "frames", those before time is seen, [B, T, H', W', D]; "pooled"
            [B, D]; and the tokens behind every block.

        Raises:
            ValueError: If the clip does not have five axes, or patches do not divide
                its frames.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        layout = self.layout
        patch = (1, layout.patch, layout.patch)
        x = PatchEmbed(layout.width, patch, dtype=self.dtype, name="patch_embed")(clip)
        batch, frames, *grid, width = shape = x.shape
        places = self._table("pos_embed", (layout.side, layout.side), tuple(grid))
        x = x.reshape(batch, frames, -1, width) + places[:, None]
        x, endpoints = self._encode(x, "", layout.depth, train)
        endpoints["frames"] = x.reshape(shape)
        times = self._table("time_embed", (layout.frames,), (frames,))
        x = x.swapaxes(1, 2) + times[:, None]  # [B, N, T, D].
        x, more = self._encode(x, "time_", layout.time_depth, train)
        x = x.swapaxes(1, 2).reshape(batch, -1, width)
        endpoints |= {**more, "features": x}
        if self.num_classes:
            x = Pooler(layout.heads, self.dtype, name="pooler")(x)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(x, train=train)
        return logits, {**endpoints, "pooled": scores["pooled"]}

    @nn.compact
    def _table(
        self, name: str, grid: tuple[int, ...], new_grid: tuple[int, ...]
    ) -> Float[Array, "1 n d"]:
        """A table of positions, resized by linear interpolation between centres."""
        width = self.layout.width
        rows = functools.reduce(lambda a, b: a * b, grid)
        table = self.param(name, _KERNEL_INIT, (rows, width))
        if grid != new_grid:
            table = table.reshape(*grid, width)
            table = jax.image.resize(table, (*new_grid, width), method="bilinear")
        return table.reshape(1, -1, width).astype(self.dtype)

    @nn.compact
    def _encode(
        self, x: Float[Array, "b g n d"], prefix: str, depth: int, train: bool
    ) -> tuple[Float[Array, "b g n d"], Endpoints]:
        """Applies blocks to every group of N tokens, and a norm."""
        endpoints: Endpoints = {}
        block = nn.remat(Block) if self.remat else Block
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, depth)):
            name = f"{prefix}blocks_{i}"
            endpoints[name] = x = block(
                self.layout.heads,
                self.layout.hidden,
                train,
                attend=_capped,
                drop_path_rate=rate,
                attention_init=_KERNEL_INIT,
                mlp_init=_KERNEL_INIT,
                dtype=self.dtype,
                name=name,
            )(x)
        return LayerNorm(dtype=self.dtype, name=f"{prefix}norm")(x), endpoints


_CARD = {
    "family": "videoprism",
    "fusion": "attention",
    "paper": (
        'Zhao et al., "VideoPrism: A Foundational Visual Encoder for Video '
        'Understanding", ICML 2024, https://arxiv.org/abs/2402.13217'
    ),
    "reference": "google-deepmind/videoprism, videoprism/encoders.py",
}
# Frames spread over the video, as in its notebook; pixels in [0, 1].
_CLIP = ClipSpec(
    num_frames=16,
    sampling="segments",
    size=288,
    crop_fraction=1.0,
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
)


def _weights(size: str, frames: int, top1: str) -> Weights:
    """A row of CHECKPOINTS of videoprism/models.py."""
    repository = f"https://huggingface.co/google/videoprism-{size}-f{frames}r288"
    file = f"flax_{size}_f{frames}r288_repeated.npz"
    return Weights(
        tag="pretrained",
        description="The authors' encoder, trained on video with and without text",
        num_classes=0,
        file=file,
        url=f"{repository}/resolve/main/{file}",
        get=(
            f"Download {file} of {repository} and give its path; it has no classifier "
            "(num_classes=0)."
        ),
        accuracy=(
            f"{top1} Kinetics-400 top-1, frozen, with a classifier that is not "
            "published (README.md of google-deepmind/videoprism)"
        ),
    )


@register(
    clip=_CLIP,
    params=117_037_520,
    gmacs=491.483,
    weights=(_weights("base", 16, "82.9"),),
    **_CARD,
)
def videoprism_base(**kwargs: Any) -> VideoPrism:
    """VideoPrism-B, 16 frames, with a pooling classifier for Kinetics-400."""
    return VideoPrism(**{"layout": BASE, **kwargs})


@register(
    clip=dataclasses.replace(_CLIP, num_frames=8),
    params=358_576_592,
    gmacs=753.798,
    weights=(_weights("large", 8, "85.0"),),
    **_CARD,
)
def videoprism_large(**kwargs: Any) -> VideoPrism:
    """VideoPrism-L, 8 frames, with a pooling classifier for Kinetics-400."""
    return VideoPrism(**{"layout": LARGE, **kwargs})


@register(
    clip=dataclasses.replace(_CLIP, num_frames=8, size=32),
    params=58_390,
    gmacs=0.006798048,
    **_CARD,
)
def videoprism_tiny(**kwargs: Any) -> VideoPrism:
    """VideoPrism of one block over space and one over time."""
    return VideoPrism(**{"num_classes": 10, "layout": TINY, **kwargs})
