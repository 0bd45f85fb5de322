"""Names of Video Swin Transformer."""

import numpy as np

from vidjax.convert.rules import (
    Naming,
    Transform,
    conv_rules,
    dense_rules,
    kernel_from_torch,
    layer_norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]

_IGNORE = (r"(.*\.)?relative_position_index",)
_TABLE = "relative_position_bias_table"
_PATCH_FRAMES = 2
_WINDOW_FRAMES = 8


def _block(source: str, target: str, fc1: str, fc2: str) -> Rules:
    """Rules of a block, whose name in both is given by expressions."""
    attention = rf"{source}\.attn"
    return {
        **layer_norm_rules(rf"{source}\.norm1", f"{target}/norm1"),
        rf"{attention}\.{_TABLE}": (f"params/{target}/{_TABLE}", same),
        **dense_rules(rf"{attention}\.qkv", f"{target}/attn/qkv"),
        **dense_rules(rf"{attention}\.proj", f"{target}/attn/proj"),
        **layer_norm_rules(rf"{source}\.norm2", f"{target}/norm2"),
        **dense_rules(rf"{source}\.mlp\.{fc1}", f"{target}/mlp/fc1"),
        **dense_rules(rf"{source}\.mlp\.{fc2}", f"{target}/mlp/fc2"),
    }


def _patches(prefix: str) -> Rules:
    source = rf"{prefix}patch_embed"
    return {
        **dense_rules(rf"{source}\.proj", "patch_embed"),
        **layer_norm_rules(rf"{source}\.norm", "patch_norm"),
    }


def _merging(source: str, target: str) -> Rules:
    return {
        **conv_rules(rf"{source}\.reduction", f"{target}/reduction"),
        **layer_norm_rules(rf"{source}\.norm", f"{target}/norm"),
    }


def _torchvision() -> Rules:
    """Names of torchvision: stages and what joins their tokens share one list."""
    rules = {
        **_patches(""),
        **layer_norm_rules("norm", "norm"),
        **dense_rules("head", "logits"),
    }
    for stage in range(1, 5):
        place = 2 * stage - 2
        source, target = rf"features\.{place}\.(\d+)", rf"layer{stage}_\1"
        rules |= _block(source, target, "0", "3")
        rules |= _merging(rf"features\.{place + 1}", f"merge{stage}")
    return rules


def _original(prefix: str, norm: str, head: str) -> Rules:
    """Names of the authors' code, which count stages from 0."""
    rules = {
        **_patches(prefix),
        **layer_norm_rules(rf"{prefix}{norm}", "norm"),
        **dense_rules(head, "logits"),
    }
    for stage in range(1, 5):
        layer = rf"{prefix}layers\.{stage - 1}"
        source, target = rf"{layer}\.blocks\.(\d+)", rf"layer{stage}_\1"
        rules |= _block(source, target, "fc1", "fc2")
        rules |= _merging(rf"{layer}\.downsample", f"merge{stage}")
    return rules


def _image() -> Rules:
    """Names of microsoft/Swin-Transformer, whose weights know no time.

    Kernels of patches are spread over the frames of a block, and biases hold whatever
    the distance in time (inflate_weights of Video-Swin-Transformer).
    """
    rules = _original("", "norm", "head")
    rules[r"patch_embed\.proj\.weight"] = ("params/patch_embed/kernel", _spread_patches)
    return {
        name: (path, _repeat_biases if path.endswith(_TABLE) else transform)
        for name, (path, transform) in rules.items()
    }


def _spread_patches(array: np.ndarray) -> np.ndarray:
    """Maps [D, C, H, W] to [T, H, W, C, D], divided by T."""
    kernel = kernel_from_torch(array)[None] / _PATCH_FRAMES
    return np.repeat(kernel, _PATCH_FRAMES, axis=0)


def _repeat_biases(array: np.ndarray) -> np.ndarray:
    """Maps [N, heads] to [(2 * 8 - 1) * N, heads]."""
    return np.tile(array, (2 * _WINDOW_FRAMES - 1, 1))


TORCHVISION = Naming("torchvision", _torchvision(), ignore=_IGNORE)
ORIGINAL = Naming(
    "SwinTransformer/Video-Swin-Transformer",
    _original(r"backbone\.", "norm", r"cls_head\.fc_cls"),
    ignore=_IGNORE,
)
MMACTION2 = Naming(
    "MMAction2",
    _original(r"backbone\.", "norm3", r"cls_head\.fc_cls"),
    ignore=_IGNORE,
)
IMAGE = Naming(
    "microsoft/Swin-Transformer", _image(), ignore=(*_IGNORE, r".*\.attn_mask")
)
