"""Vision transformer (ViT) for images, alone or averaged over the frames of a clip.

Reference:
    Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image
    Recognition at Scale", ICLR 2021, https://arxiv.org/abs/2010.11929.

As in torchvision: norms before attention and MLP with epsilon 1e-6, the exact GELU, a
learned position for each block of pixels and for the class token, and the classifier
on the normalised class token without a layer between.
"""

import dataclasses
from typing import Any

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
from vidjax.models.resnet import TINY_CLIP
from vidjax.ops.check import check_clip, check_images
from vidjax.typing import Clip, ClipSpec, Endpoints, Logits, Weights

PAPER = (
    'Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image '
    'Recognition at Scale", ICLR 2021, https://arxiv.org/abs/2010.11929'
)

# torchvision's and timm's initialiser of positions.
POSITION_INIT = nn.initializers.normal(0.02)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A row of the paper's Table 1 (small: Touvron et al., DeiT, ICML 2021, Table 1).

    The MLP is four times as wide as the tokens.

    Attributes:
        width: Of a token.
        depth: Number of blocks.
        heads: Of attention.
        patch: Side of a block of pixels.
    """

    width: int
    depth: int
    heads: int
    patch: int = 16


SMALL = Layout(384, 12, 6)
BASE = Layout(768, 12, 12)
LARGE = Layout(1024, 24, 16)
TINY = Layout(48, 2, 3, patch=8)  # Ours.


class ViT(nn.Module):
    """A transformer on the blocks of each image.

    The table of positions fixes the size: the model takes images as large as those it
    was initialised with. Conversion resizes the table to another `clip_shape`.

    Attributes:
        num_classes: Number of classes; 0 leaves the classifier out.
        layout: Depth and width.
        clips: Whether it takes clips, and averages the scores of their frames.
        dropout_rate: Probability of dropping a unit before the last layer.
        drop_path_rate: Probability of dropping each branch of the last block; it grows
            linearly from 0 at the first.
        dtype: Computation dtype; parameters and logits stay float32.
        remat: Whether blocks are computed again in the backward pass to save memory.
    """

    num_classes: int = 1000
    layout: Layout = BASE
    clips: bool = False
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, clip: Clip | Float[Array, "b h w c"], *, train: bool = False
    ) -> tuple[Logits, Endpoints]:
        """Classifies images or clips.

        Args:
            clip: [B, H, W, C] or [B, 1, H, W, C]; with `clips` [B, T, H, W, C], any T.
            train: Whether to use dropout and drop paths.

        Returns:
            Logits [B, num_classes], and each frame's tokens after every block as
            "blocks_0", ... [B, T, H', W', D], with "features" (those after the last
            norm), "pooled" [B, D] (the mean of the class tokens) and "logits_per_step"
            [B, T, num_classes].

        Raises:
            ValueError: If the input has other axes, or its size is not that of the
                table of positions.
            TypeError: If it is not of floating point.
        """
        if self.clips:
            check_clip(clip)
        else:
            clip = check_images(clip)
        layout = self.layout
        patch = (1, layout.patch, layout.patch)
        x = PatchEmbed(layout.width, patch, dtype=self.dtype, name="patch_embed")(clip)
        grid = (x.shape[1], x.shape[2], x.shape[3])
        x = with_class_token(self, x.reshape(*x.shape[:2], -1, layout.width))
        x = x + self._positions(x.shape[2], clip).astype(self.dtype)
        endpoints: Endpoints = {}
        block = nn.remat(Block) if self.remat else Block
        for i, rate in enumerate(drop_path_rates(self.drop_path_rate, layout.depth)):
            x = block(
                layout.heads,
                4 * layout.width,
                train,
                drop_path_rate=rate,
                dtype=self.dtype,
                name=f"blocks_{i}",
            )(x)
            endpoints[f"blocks_{i}"] = _maps(x, grid)
        x = LayerNorm(dtype=self.dtype, name="norm")(x)
        head = Classifier(self.num_classes, self.dropout_rate, name="logits")
        logits, scores = head(x[:, :, 0], train=train)
        return logits, {**endpoints, "features": _maps(x, grid), **scores}

    @nn.nowrap
    def _positions(self, length: int, clip: Clip) -> Float[Array, "1 1 n d"]:
        stored = self.variables.get("params", {}).get("pos_embed")
        if stored is not None and stored.shape[1] != length:
            raise ValueError(
                f"Expected {stored.shape[1] - 1} blocks of {self.layout.patch} x "
                f"{self.layout.patch} pixels, for which the table of positions was "
                f"made, got {length - 1} in shape {clip.shape}, read as [B, T, H, W, "
                "C]. Conversion with clip_shape resizes the table."
            )
        shape = (1, length, self.layout.width)
        return self.param("pos_embed", POSITION_INIT, shape)[:, None]


def with_class_token(
    module: nn.Module, x: Float[Array, "b t n d"]
) -> Float[Array, "b t n+1 d"]:
    """Puts a learned token, the parameter `cls_token`, before those of every frame.

    Args:
        module: Whose parameter it is.
        x: Tokens, [B, T, N, D].

    Returns:
        [B, T, N + 1, D].
    """
    token = module.param("cls_token", POSITION_INIT, (1, 1, x.shape[-1]))
    token = token.astype(x.dtype)[None]
    token = jnp.broadcast_to(token, (*x.shape[:2], 1, x.shape[-1]))
    return jnp.concatenate([token, x], axis=2)


def _maps(x: Array, grid: tuple[int, int, int]) -> Array:
    """Maps [B, T, 1 + N, D] to [B, T, H, W, D] without the class token."""
    return x[:, :, 1:].reshape(x.shape[0], *grid, x.shape[-1])


def _weights(
    tag: str, file: str, accuracy: str, *, how: str = "", licence: str = "BSD-3-Clause"
) -> Weights:
    """A row of torchvision/models/vision_transformer.py."""
    url = f"https://download.pytorch.org/models/{file}"
    prefix = file.removesuffix(".pth").split("-")[1]
    return Weights(
        tag=tag,
        description=f"torchvision, trained on ImageNet-1k{how}",
        num_classes=1000,
        file=file,
        url=url,
        get=f"Download {url} (its SHA-256 begins {prefix}) and give its path.",
        accuracy=(
            f"{accuracy} ImageNet-1k top-1 (torchvision/models/vision_transformer.py)"
        ),
        licence=f"{licence} (torchvision)",
    )


def _swag(tag: str, file: str, accuracy: str, how: str) -> Weights:
    how = f" from SWAG, {how}"
    return _weights(tag, file, accuracy, how=how, licence="CC-BY-NC-4.0")


_CARD: dict[str, Any] = {
    "clip": ClipSpec(num_frames=1),
    "family": "vit",
    "fusion": "none",
    "paper": PAPER,
    "reference": "torchvision, torchvision/models/vision_transformer.py",
}
_LATE: dict[str, Any] = {
    **_CARD,
    "clip": ClipSpec(num_frames=8, sampling="segments"),
    "family": "frame_average_vit",
    "fusion": "late",
}


@register(
    params=22_050_664,
    gmacs=4.5989,
    **{**_CARD, "reference": "timm, timm/models/vision_transformer.py"},
)
def vit_s_16(**kwargs: Any) -> ViT:
    """ViT-S/16."""
    return ViT(**{"layout": SMALL, **kwargs})


@register(
    params=86_567_656,
    gmacs=17.564,
    weights=(
        _weights("imagenet", "vit_b_16-c867db91.pth", "81.072"),
        _swag("imagenet_swag", "vit_b_16_swag-9ac1b537.pth", "85.304", "384 pixels"),
        _swag(
            "imagenet_swag_linear",
            "vit_b_16_lc_swag-4e70ced5.pth",
            "81.886",
            "linear classifier",
        ),
    ),
    **_CARD,
)
def vit_b_16(**kwargs: Any) -> ViT:
    """ViT-B/16."""
    return ViT(**{"layout": BASE, **kwargs})


@register(
    params=304_326_632,
    gmacs=61.555,
    weights=(
        _weights("imagenet", "vit_l_16-852ce7e3.pth", "79.662"),
        _swag("imagenet_swag", "vit_l_16_swag-4f3808c9.pth", "88.064", "512 pixels"),
        _swag(
            "imagenet_swag_linear",
            "vit_l_16_lc_swag-4d563306.pth",
            "85.146",
            "linear classifier",
        ),
    ),
    **_CARD,
)
def vit_l_16(**kwargs: Any) -> ViT:
    """ViT-L/16."""
    return ViT(**{"layout": LARGE, **kwargs})


@register(
    params=67_258,
    gmacs=0.0011435,
    **{**_CARD, "clip": ClipSpec(num_frames=1, size=32, crop_fraction=1.0)},
)
def vit_tiny(**kwargs: Any) -> ViT:
    """ViT of two blocks, for tests and short demonstrations."""
    return ViT(**{"num_classes": 10, "layout": TINY, **kwargs})


@register(params=86_106_256, gmacs=140.507, **_LATE)
def frame_average_vit_b_16(**kwargs: Any) -> ViT:
    """Average over frames of ViT-B/16."""
    return ViT(**{"num_classes": 400, "clips": True, **kwargs})


@register(params=67_258, gmacs=0.0091476, **{**_LATE, "clip": TINY_CLIP})
def frame_average_vit_tiny(**kwargs: Any) -> ViT:
    """Average over frames of a ViT of two blocks."""
    return ViT(**{"num_classes": 10, "layout": TINY, "clips": True, **kwargs})
