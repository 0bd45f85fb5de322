"""Names of TimeSformer, and its tables for other clips."""

import math

import numpy as np

from vidjax.convert import vit
from vidjax.convert.rules import (
    Arrays,
    Naming,
    dense_rules,
    kernel_from_torch,
    layer_norm_rules,
    same,
)

TIMES = "params/time_embed"
_BACK = {vit.patches_from_torch: vit.patches_to_torch}


def _original() -> vit.Rules:
    """Names of facebookresearch/TimeSformer: those of timm and more."""
    block, target = r"blocks\.(\d+)", r"blocks_\1"
    return {
        "(cls_token|pos_embed|time_embed)": (r"params/\1", same),
        **vit.patch_rules(r"patch_embed\.proj"),
        **vit.block_rules(block, target),
        rf"{block}\.attn\.qkv\.bias": (f"params/{target}/attn/qkv/bias", same),
        **layer_norm_rules(rf"{block}\.temporal_norm1", f"{target}/temporal_norm1"),
        **dense_rules(
            rf"{block}\.temporal_attn\.(qkv|proj)", rf"{target}/temporal_attn/\2"
        ),
        **dense_rules(rf"{block}\.temporal_fc", f"{target}/temporal_fc"),
        **layer_norm_rules("norm", "norm"),
        **dense_rules("head", "logits"),
    }


def _transformers() -> vit.Rules:
    """Names of transformers, which are the same in its versions 4 and 5."""
    embeddings = r"timesformer\.embeddings"
    block, target = r"timesformer\.encoder\.layer\.(\d+)", r"blocks_\1"
    rules = {
        rf"{embeddings}\.cls_token": ("params/cls_token", same),
        rf"{embeddings}\.position_embeddings": (vit.POSITIONS, same),
        rf"{embeddings}\.time_embeddings": (TIMES, same),
        **vit.patch_rules(rf"{embeddings}\.patch_embeddings\.projection"),
        **layer_norm_rules(rf"{block}\.layernorm_before", f"{target}/norm1"),
        **layer_norm_rules(rf"{block}\.layernorm_after", f"{target}/norm2"),
        **layer_norm_rules(rf"{block}\.temporal_layernorm", f"{target}/temporal_norm1"),
        **dense_rules(rf"{block}\.temporal_dense", f"{target}/temporal_fc"),
        **dense_rules(rf"{block}\.intermediate\.dense", f"{target}/mlp/fc1"),
        **dense_rules(rf"{block}\.output\.dense", f"{target}/mlp/fc2"),
        **layer_norm_rules(r"timesformer\.layernorm", "norm"),
        **dense_rules("classifier", "logits"),
    }
    for theirs, ours in (
        ("attention", "attn"),
        ("temporal_attention", "temporal_attn"),
    ):
        layer = rf"{block}\.{theirs}"
        rules |= dense_rules(rf"{layer}\.attention\.qkv", f"{target}/{ours}/qkv")
        rules |= dense_rules(rf"{layer}\.output\.dense", f"{target}/{ours}/proj")
    return rules


def _mmaction2(*, divided: bool) -> vit.Rules:
    """Names of MMAction2, whose norms are in the layers they precede if divided."""
    layer = r"backbone\.transformer_layers\.layers\.(\d+)"
    target, space = r"blocks_\1", 1 if divided else 0
    attention = rf"{layer}\.attentions\.{space}"
    norm1 = rf"{attention}\.norm" if divided else rf"{layer}\.norms\.0"
    norm2 = rf"{layer}\.ffns\.0\.norm" if divided else rf"{layer}\.norms\.1"
    rules = {
        r"backbone\.(cls_token|pos_embed|time_embed)": (r"params/\1", same),
        **vit.patch_rules(r"backbone\.patch_embed\.projection"),
        **_torch_attention(rf"{attention}\.attn", f"{target}/attn"),
        **layer_norm_rules(norm1, f"{target}/norm1"),
        **layer_norm_rules(norm2, f"{target}/norm2"),
        **dense_rules(rf"{layer}\.ffns\.0\.layers\.0\.0", f"{target}/mlp/fc1"),
        **dense_rules(rf"{layer}\.ffns\.0\.layers\.1", f"{target}/mlp/fc2"),
        **layer_norm_rules(r"backbone\.norm", "norm"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }
    if divided:
        time = rf"{layer}\.attentions\.0"
        rules |= _torch_attention(rf"{time}\.attn", f"{target}/temporal_attn")
        rules |= layer_norm_rules(rf"{time}\.norm", f"{target}/temporal_norm1")
        rules |= dense_rules(rf"{time}\.temporal_fc", f"{target}/temporal_fc")
    return rules


def _torch_attention(source: str, target: str) -> vit.Rules:
    """Names of torch.nn.MultiheadAttention."""
    return {
        rf"{source}\.in_proj_weight": (
            f"params/{target}/qkv/kernel",
            kernel_from_torch,
        ),
        rf"{source}\.in_proj_bias": (f"params/{target}/qkv/bias", same),
        **dense_rules(rf"{source}\.out_proj", f"{target}/proj"),
    }


ORIGINAL = Naming("facebookresearch/TimeSformer", _original(), back=_BACK)
TRANSFORMERS = Naming("transformers", _transformers(), back=_BACK)
MMACTION2 = Naming("MMAction2", _mmaction2(divided=True), back=_BACK)
MMACTION2_UNDIVIDED = Naming(
    "MMAction2's undivided", _mmaction2(divided=False), back=_BACK
)


def clip_shape(got: Arrays, shape: vit.Shape) -> vit.Shape:
    """Returns the shape of the clips that the tables were made for.

    Args:
        got: Arrays of any shape by path.
        shape: Shape (T, H, W, C) of the card's clip.

    Returns:
        The shape, with the frames and the size that the tables speak of.
    """
    frames = got[TIMES].shape[1] if TIMES in got else shape[0]
    return (frames, *vit.clip_shape(got, shape)[1:])


def resize(got: Arrays, shape: vit.Shape) -> None:
    """Resizes the tables to a clip as the authors do when they load weights.

    By the nearest place along the flattened grid, as if it had one axis
    (load_pretrained in timesformer/models/helpers.py); the class token keeps its own.
    The model itself, given another clip, resizes along both axes.

    Args:
        got: Arrays of any shape by path; changed.
        shape: Shape (T, H, W, C) of the clip.
    """
    if TIMES in got:
        got[TIMES] = _nearest(got[TIMES], shape[0])
    if vit.POSITIONS in got and vit.PATCHES in got:
        table, patch = got[vit.POSITIONS], got[vit.PATCHES].shape[1]
        places = _nearest(table[:, 1:], math.prod(n // patch for n in shape[1:3]))
        got[vit.POSITIONS] = np.concatenate([table[:, :1], places], axis=1)


def _nearest(table: np.ndarray, rows: int) -> np.ndarray:
    """Takes [1, N, D] to [1, rows, D]."""
    count = table.shape[1]
    # In float32, as PyTorch counts.
    step = np.arange(rows, dtype=np.float32) * np.float32(count / rows)
    return table[:, np.minimum(step.astype(int), count - 1)]
