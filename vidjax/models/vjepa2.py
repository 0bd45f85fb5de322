"""V-JEPA 2: a vision transformer with rotary positions, and a probe of attention.

Reference:
    Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding,
    Prediction and Planning", 2025, https://arxiv.org/abs/2506.09985.

Conventions are those of facebookresearch/vjepa2, src/models. There are no tables of
positions: query and key are turned by frame, row and column, each in a third of a
head's channels (rounded down to an even number; the rest is not turned). The authors'
rotation turns pairs of channels that stand side by side, yet gives them angles in the
order of two halves, so that the two of a pair turn differently: weights are made for
that, and it is kept. Norms have epsilon 1e-6 in the encoder and 1e-5 in the probe.
"""

import dataclasses
import functools
import math
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.layers.block import Block
from vidjax.layers.drop_path import drop_path_rates
from vidjax.layers.head import Classifier
from vidjax.layers.mlp import KERNEL_INIT, Mlp
from vidjax.layers.norm import LayerNorm
from vidjax.layers.patch_embed import PatchEmbed
from vidjax.models.registry import register
from vidjax.ops.attention import attention
from vidjax.ops.check import check_clip
from vidjax.protocols import protocol
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

_BASE_ANGLE = 10_000.0  # src/models/utils/modules.py, rotate_queries_or_keys.


@dataclasses.dataclass(frozen=True)
class Layout:
    """Size of a V-JEPA 2.

    Attributes:
        width: Channels D of a token.
        depth: Number of blocks.
        heads: Heads of the encoder's blocks.
        hidden: Width between the layers of the encoder's MLPs; the probe's are 4 D.
        probe_depth: Blocks of attention of the probe, the last of them pooling.
        probe_heads: Heads of the probe's blocks.
        patch: Extent (t, h, w) of a tubelet.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    probe_depth: int = 4
    probe_heads: int = 16
    patch: tuple[int, int, int] = (2, 16, 16)


# src/models/vision_transformer.py; the probe's num_probe_blocks and num_heads are those
# of configs/eval.
LARGE = Layout(1024, 24, 16, 4096)
HUGE = Layout(1280, 32, 16, 5120)
GIANT = Layout(1408, 40, 22, 6144)
TINY = Layout(64, 2, 4, 128, probe_depth=2, probe_heads=4, patch=(2, 8, 8))


def rotate(
    query: Float[Array, "b n h d"],
    key: Float[Array, "b n h d"],
    *,
    grid: tuple[int, int, int],
) -> tuple[Float[Array, "b n h d"], Float[Array, "b n h d"]]:
    """Turns query and key by their frame, row and column.

    Args:
        query: [B, N, H, D]; N tubelets in the order of frames, rows, columns.
        key: The same shape.
        grid: Numbers (T', H', W') of frames, rows and columns; their product is N.

    Returns:
        Both, turned; the channels behind the last whole third stay.
    """
    part = 2 * (query.shape[-1] // 3 // 2)
    number = jnp.arange(math.prod(grid))
    places = jnp.stack(jnp.unravel_index(number, grid), axis=-1).astype(jnp.float32)
    speed = _BASE_ANGLE ** -(jnp.arange(part // 2) / (part / 2))
    # Angles 0, 1, 2 ... and once more, beside pairs (0, 1), (2, 3) ...
    angle = places[:, :, None] * jnp.concatenate([speed, speed])[None, None, :]
    angle = angle.reshape(1, len(places), 1, 3 * part)
    cos, sin = jnp.cos(angle), jnp.sin(angle)

    def turn(x: Array) -> Array:
        moving = x[..., : 3 * part].astype(jnp.float32)
        pairs = moving.reshape(*moving.shape[:-1], -1, 2)
        crossed = jnp.stack([-pairs[..., 1], pairs[..., 0]], axis=-1)
        turned = moving * cos + crossed.reshape(moving.shape) * sin
        return jnp.concatenate([turned.astype(x.dtype), x[..., 3 * part :]], axis=-1)

    return turn(query), turn(key)


class CrossAttention(nn.Module):
    """A learned token that gathers from all others: query, key and value, no output.

    Attributes:
        heads: Number of heads.
        dtype: Computation dtype; parameters stay float32.
    """

    heads: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, token: Float[Array, "b 1 d"], x: Float[Array, "b n d"]
    ) -> Float[Array, "b 1 d"]:
        """Maps one token [B, 1, D] and N others [B, N, D] to one [B, 1, D]."""
        batch, length, width = x.shape
        dense = functools.partial(nn.Dense, kernel_init=KERNEL_INIT, dtype=self.dtype)
        query = dense(width, name="query")(token).reshape(batch, 1, self.heads, -1)
        both = dense(2 * width, name="kv")(x).reshape(batch, length, 2, self.heads, -1)
        y = attention(query, both[:, :, 0], both[:, :, 1])
        return y.reshape(batch, 1, width)


class Probe(nn.Module):
    """Blocks of attention, and one more in which a learned token pools all others.

    Attributes:
        layout: Depth and heads.
        train: Whether it is trained.
        dtype: Computation dtype; parameters stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    layout: Layout
    train: bool
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b 1 d"]:
        """Maps tokens [B, N, D] to one [B, 1, D]."""
        width, heads = x.shape[-1], self.layout.probe_heads
        epsilon = 1e-5  # PyTorch's default, in src/models/attentive_pooler.py.
        block = nn.remat(Block) if self.remat else Block
        for i in range(self.layout.probe_depth - 1):
            x = block(
                heads,
                4 * width,
                self.train,
                epsilon=epsilon,
                dtype=self.dtype,
                name=f"blocks_{i}",
            )(x)
        norm = functools.partial(LayerNorm, epsilon, self.dtype)
        token = self.param("query_token", KERNEL_INIT, (1, 1, width))
        token = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], 1, width))
        attn = CrossAttention(heads, self.dtype, name="attn")
        token = token + attn(token, norm(name="norm1")(x))
        mlp = Mlp(4 * width, dtype=self.dtype, name="mlp")
        return token + mlp(norm(name="norm2")(token))


class VJEPA2(nn.Module):
    """V-JEPA 2's encoder and the probe that classifies what it sees.

    Attributes:
        num_classes: Number of classes; 0 leaves probe and classifier out, as the files
            of the encoder alone do.
        layout: Depth and widths.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping the branches of the encoder's last
            block; it grows linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 174
    layout: Layout = LARGE
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(self, clip: Clip, *, train: bool = False) -> tuple[Logits, Endpoints]:
        """Classifies clips.

        Args:
            clip: [B, T, H, W, C], any size; frames and pixels at the end that fill no
                tubelet are left out.
            train: Whether to use dropout and drop path.

        Returns:
            Logits [B, num_classes] (without classes, the mean of the encoder's tokens),
            and the maps [B, T', H', W', D] behind every block; "features" is the
            encoder's, "pooled" [B, D] the probe's.

        Raises:
            ValueError: If the clip does not have five axes or is smaller than a
                tubelet.
            TypeError: If the clip is not of floating point.
        """
        check_clip(clip)
        layout = self.layout
        x = PatchEmbed(
            layout.width, layout.patch, crop=True, dtype=self.dtype, name="patch_embed"
        )(clip)
        batch, *grid, width = shape = x.shape
        x = x.reshape(batch, -1, width)
        turn = functools.partial(rotate, grid=(grid[0], grid[1], grid[2]))
        block = nn.remat(Block) if self.remat else Block
        endpoints: Endpoints = {}
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, layout.depth)):
            x = block(
                layout.heads,
                layout.hidden,
                train,
                rotate=turn,
                drop_path_rate=rate,
                dtype=self.dtype,
                name=f"blocks_{i}",
            )(x)
            endpoints[f"blocks_{i}"] = x.reshape(shape)
        x = LayerNorm(dtype=self.dtype, name="norm")(x)
        endpoints["features"] = x.reshape(shape)
        if self.num_classes:
            x = Probe(layout, train, self.dtype, self.remat, name="probe")(x)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(x, train=train)
        return logits, {**endpoints, "pooled": scores["pooled"]}


_CARD = {
    "family": "vjepa2",
    "fusion": "attention",
    "paper": (
        'Assran et al., "V-JEPA 2: Self-Supervised Video Models Enable Understanding, '
        'Prediction and Planning", 2025, https://arxiv.org/abs/2506.09985'
    ),
    "reference": "facebookresearch/vjepa2, src/models",
    # configs/inference/*/ssv2.yaml: num_segments and num_views_per_segment.
    "views": protocol("vjepa2-2x3"),
}
# evals/video_classification_frozen: a short side of 256 / 224 sizes, rounded down.
_CLIP = ClipSpec(num_frames=16, frame_stride=4, size=256, crop_fraction=256 / 292)
_LONG_CLIP = dataclasses.replace(_CLIP, num_frames=64, frame_stride=2)
_URL = "https://dl.fbaipublicfiles.com/vjepa2"


def _encoder(file: str) -> Weights:
    """A file of the table of encoders in the authors' README."""
    return Weights(
        tag="pretrained",
        description="The authors' encoder, trained on unlabelled video",
        num_classes=0,
        file=file,
        url=f"{_URL}/{file}",
        get=(
            f'Download {_URL}/{file}, read its entry "target_encoder" and leave out '
            "the classifier (num_classes=0)."
        ),
        licence="MIT",
    )


def _probed(tag: str, repository: str, classes: int, accuracy: str) -> Weights:
    """An encoder and its probe, in one file on the Hugging Face Hub."""
    url = f"https://huggingface.co/facebook/{repository}"
    return Weights(
        tag=tag,
        description="The authors' encoder and probe, converted by transformers",
        num_classes=classes,
        file="model.safetensors",
        url=f"{url}/resolve/main/model.safetensors",
        get=f"Download model.safetensors of {url} and give its path.",
        accuracy=f"{accuracy} top-1 (README.md of facebookresearch/vjepa2)",
        licence="MIT",
    )


@register(
    clip=_CLIP,
    params=353_399_982,
    gmacs=935.242,
    weights=(
        _encoder("vitl.pt"),
        _probed("ssv2", "vjepa2-vitl-fpc16-256-ssv2", 174, "73.7 SSv2"),
        _probed("diving48", "vjepa2-vitl-fpc32-256-diving48", 48, "89.0 Diving48"),
    ),
    **_CARD,
)
def vjepa2_large(**kwargs: Any) -> VJEPA2:
    """V-JEPA 2, ViT-L/16, with the classes of Something-Something v2."""
    return VJEPA2(**{"layout": LARGE, **kwargs})


@register(
    clip=_LONG_CLIP,
    params=708_942_254,
    gmacs=11693.083,
    weights=(_encoder("vith.pt"),),
    **_CARD,
)
def vjepa2_huge(**kwargs: Any) -> VJEPA2:
    """V-JEPA 2, ViT-H/16, with the classes of Something-Something v2."""
    return VJEPA2(**{"layout": HUGE, **kwargs})


@register(
    clip=_LONG_CLIP,
    params=1_105_668_142,
    gmacs=17028.779,
    weights=(_encoder("vitg.pt"),),
    **_CARD,
)
def vjepa2_giant(**kwargs: Any) -> VJEPA2:
    """V-JEPA 2, ViT-g/16, with the classes of Something-Something v2."""
    return VJEPA2(**{"layout": GIANT, **kwargs})


@register(
    clip=dataclasses.replace(_CLIP, num_frames=8, frame_stride=2, size=32),
    params=188_234,
    gmacs=0.011051648,
    **_CARD,
)
def vjepa2_tiny(**kwargs: Any) -> VJEPA2:
    """V-JEPA 2 of two blocks, with a probe of two."""
    return VJEPA2(**{"num_classes": 10, "layout": TINY, **kwargs})
