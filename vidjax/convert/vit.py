"""Names of vision transformers, alone and inside of others."""

import math

import numpy as np

from vidjax.convert.rules import (
    Arrays,
    Naming,
    Transform,
    dense_rules,
    kernel_from_torch,
    kernel_to_torch,
    layer_norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]
Shape = tuple[int, ...]

POSITIONS = "params/pos_embed"
PATCHES = "params/patch_embed/kernel"

_CUBIC = -0.75  # torch.nn.functional.interpolate, mode="bicubic".


def patches_from_torch(array: np.ndarray) -> np.ndarray:
    """Gives the kernel of an image's patches a time axis of one frame.

    Args:
        array: [O, I, H, W].

    Returns:
        [1, H, W, I, O].

    Raises:
        ValueError: If the array has another rank.
    """
    if array.ndim != 4:
        raise ValueError("it should be [O, I, H, W]")
    return kernel_from_torch(array)[None]


def patches_to_torch(array: np.ndarray) -> np.ndarray:
    """Undoes `patches_from_torch`.

    Args:
        array: [1, H, W, I, O].

    Returns:
        [O, I, H, W].
    """
    return kernel_to_torch(array[0])


def patch_rules(source: str) -> Rules:
    """Returns the rules of the embedding of an image's patches.

    Args:
        source: Regular expression of the convolution's name.
    """
    return {
        rf"{source}\.weight": (PATCHES, patches_from_torch),
        rf"{source}\.bias": ("params/patch_embed/bias", same),
    }


def block_rules(source: str, target: str) -> Rules:
    """Returns the rules of a block with timm's names, its attention's biases aside.

    Args:
        source: Regular expression of the block's name.
        target: Its path below "params".
    """
    return {
        **layer_norm_rules(rf"{source}\.norm([12])", rf"{target}/norm\2"),
        rf"{source}\.attn\.qkv\.weight": (
            f"params/{target}/attn/qkv/kernel",
            kernel_from_torch,
        ),
        **dense_rules(rf"{source}\.attn\.proj", f"{target}/attn/proj"),
        **dense_rules(rf"{source}\.mlp\.fc([12])", rf"{target}/mlp/fc\2"),
    }


def _timm() -> Rules:
    block = r"blocks\.(\d+)"
    return {
        "(cls_token|pos_embed)": (r"params/\1", same),
        **patch_rules(r"patch_embed\.proj"),
        **block_rules(block, r"blocks_\1"),
        rf"{block}\.attn\.qkv\.bias": (r"params/blocks_\1/attn/qkv/bias", same),
        **layer_norm_rules("norm", "norm"),
        **dense_rules("head", "logits"),
    }


def _torchvision() -> Rules:
    block, target = r"encoder\.layers\.encoder_layer_(\d+)", r"blocks_\1"
    attention = rf"{block}\.self_attention"
    return {
        "class_token": ("params/cls_token", same),
        r"encoder\.pos_embedding": (POSITIONS, same),
        **patch_rules("conv_proj"),
        **layer_norm_rules(rf"{block}\.ln_([12])", rf"{target}/norm\2"),
        rf"{attention}\.in_proj_weight": (
            f"params/{target}/attn/qkv/kernel",
            kernel_from_torch,
        ),
        rf"{attention}\.in_proj_bias": (f"params/{target}/attn/qkv/bias", same),
        **dense_rules(rf"{attention}\.out_proj", f"{target}/attn/proj"),
        **dense_rules(rf"{block}\.mlp\.0", f"{target}/mlp/fc1"),
        **dense_rules(rf"{block}\.mlp\.3", f"{target}/mlp/fc2"),
        **layer_norm_rules(r"encoder\.ln", "norm"),
        **dense_rules(r"heads\.head", "logits"),
    }


def _present_names(arrays: Arrays) -> Arrays:
    """Renames layers of MLPs as they were before torchvision 0.13, in its files."""
    old = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}
    renamed = {}
    for name, array in arrays.items():
        for before, after in old.items():
            name = name.replace(before, after)
        renamed[name] = array
    return renamed


_BACK = {patches_from_torch: patches_to_torch}
TORCHVISION = Naming(
    "torchvision", _torchvision(), prepare=_present_names, back=_BACK, restore=dict
)
TIMM = Naming("timm", _timm(), back=_BACK)


def clip_shape(got: Arrays, shape: Shape) -> Shape:
    """Returns the shape of the clips that a table of positions was made for.

    Args:
        got: Arrays of any shape by path.
        shape: Shape (T, H, W, C) of the card's clip.

    Returns:
        The shape, with the size that a square table of another length speaks of.
    """
    if POSITIONS not in got or PATCHES not in got:
        return shape
    side, patch = math.isqrt(got[POSITIONS].shape[1] - 1), got[PATCHES].shape[1]
    rows, columns = shape[1] // patch, shape[2] // patch
    if side**2 + 1 != got[POSITIONS].shape[1] or side**2 == rows * columns:
        return shape
    return (shape[0], side * patch, side * patch, shape[3])


def resize(got: Arrays, shape: Shape) -> None:
    """Resizes a square table of positions to a clip, as torchvision does.

    Bicubic, corners staying corners (`interpolate_embeddings` in
    torchvision/models/vision_transformer.py); the class token keeps its place.

    Args:
        got: Arrays of any shape by path; changed.
        shape: Shape (T, H, W, C) of the clip.
    """
    if POSITIONS not in got or PATCHES not in got:
        return
    table, patch = got[POSITIONS], got[PATCHES].shape[1]
    side = math.isqrt(table.shape[1] - 1)
    rows, columns = shape[1] // patch, shape[2] // patch
    if side**2 + 1 != table.shape[1] or (rows, columns) == (side, side):
        return
    places = table[0, 1:].reshape(side, side, -1)
    places = np.einsum(
        "ih,jw,hwd->ijd", _cubic(side, rows), _cubic(side, columns), places
    )
    places = places.reshape(1, rows * columns, -1).astype(table.dtype)
    got[POSITIONS] = np.concatenate([table[:, :1], places], axis=1)


def _cubic(size: int, new_size: int) -> np.ndarray:
    """Share of each of `size` places in each of `new_size`, [new_size, size]."""
    position = np.linspace(0.0, size - 1.0, new_size)
    first = np.floor(position).astype(int)
    weights = np.zeros((new_size, size))
    for tap in range(-1, 3):
        distance = np.abs(position - (first + tap))
        near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
        far = (((distance - 5) * distance + 8) * distance - 4) * _CUBIC
        share = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
        place = np.clip(first + tap, 0, size - 1)  # The edge goes on beyond.
        np.add.at(weights, (np.arange(new_size), place), share)
    return weights
