"""Names of Multiscale Vision Transformers."""

import re

import numpy as np

from vidjax.convert.qkv import join
from vidjax.convert.rules import (
    Arrays,
    Naming,
    Transform,
    conv_rules,
    dense_rules,
    layer_norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]

_BLOCK = r"blocks\.(\d+)"
_PLACE = r"blocks_\1"


def _table(source: str, target: str, transform: Transform = same) -> Rules:
    return {source: (f"params/{target}", transform)}


def _blocks(prefix: str = "") -> Rules:
    """Names inside of blocks that SlowFast, PyTorchVideo and MMAction2 share."""
    block = prefix + _BLOCK
    rules = {
        **dense_rules(rf"{block}\.attn\.qkv", f"{_PLACE}/attn/qkv"),
        **dense_rules(rf"{block}\.attn\.proj", f"{_PLACE}/attn/proj"),
        **conv_rules(rf"{block}\.attn\.pool_([qkv])", rf"{_PLACE}/attn/pool_\2"),
        **layer_norm_rules(rf"{block}\.attn\.norm_([qkv])", rf"{_PLACE}/attn/norm_\2"),
        **dense_rules(rf"{block}\.mlp\.(fc[12])", rf"{_PLACE}/mlp/\2"),
        **dense_rules(rf"{block}\.proj", f"{_PLACE}/proj"),
    }
    return rules | _shared(prefix)


def _shared(prefix: str = "") -> Rules:
    """Names inside of blocks that all share."""
    block = prefix + _BLOCK
    return {
        **layer_norm_rules(rf"{block}\.norm([12])", rf"{_PLACE}/norm\2"),
        **_table(rf"{block}\.attn\.rel_pos_([thw])", rf"{_PLACE}/attn/rel_pos_\2"),
    }


def _slowfast() -> Rules:
    """Names of facebookresearch/SlowFast."""
    return {
        **_blocks(),
        **_table("cls_token", "cls_token"),
        **_table("pos_embed_spatial", "pos_embed"),
        **_table("pos_embed_temporal", "time_embed"),
        **_table("pos_embed_class", "cls_pos_embed"),
        **dense_rules(r"patch_embed\.proj", "patch_embed"),
        **layer_norm_rules("norm", "norm"),
        **dense_rules(r"head\.projection", "logits"),
    }


def _pytorchvideo() -> Rules:
    """Names of pytorchvideo/models/vision_transformers.py."""
    positions = r"cls_positional_encoding"
    return {
        **_blocks(),
        **_table(rf"{positions}\.cls_token", "cls_token"),
        **_table(rf"{positions}\.pos_embed_spatial", "pos_embed"),
        **_table(rf"{positions}\.pos_embed_temporal", "time_embed"),
        **_table(rf"{positions}\.pos_embed_class", "cls_pos_embed"),
        **dense_rules(r"patch_embed\.patch_model", "patch_embed"),
        **layer_norm_rules("norm_embed", "norm"),
        **dense_rules(r"head\.proj", "logits"),
    }


def _mmaction2() -> Rules:
    """Names of mmaction/models/backbones/mvit.py, whose third norm is the last."""
    prefix = r"backbone\."
    return {
        **_blocks(prefix),
        **_table(rf"{prefix}cls_token", "cls_token"),
        **dense_rules(rf"{prefix}patch_embed\.projection", "patch_embed"),
        **layer_norm_rules(rf"{prefix}norm3", "norm"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }


def _torchvision() -> Rules:
    """Names of torchvision/models/video/mvit.py, whose tables have fewer axes."""
    attention, place = rf"{_BLOCK}\.attn", f"{_PLACE}/attn"
    pool = rf"{attention}\.pool_([qkv])"
    return {
        **_shared(),
        **dense_rules(rf"{attention}\.qkv", f"{place}/qkv"),
        **dense_rules(rf"{attention}\.project\.0", f"{place}/proj"),
        **conv_rules(rf"{pool}\.pool", rf"{place}/pool_\2"),
        **layer_norm_rules(rf"{pool}\.norm_act\.0", rf"{place}/norm_\2"),
        **dense_rules(rf"{_BLOCK}\.mlp\.0", f"{_PLACE}/mlp/fc1"),
        **dense_rules(rf"{_BLOCK}\.mlp\.3", f"{_PLACE}/mlp/fc2"),
        **dense_rules(rf"{_BLOCK}\.project", f"{_PLACE}/proj"),
        **_table(r"pos_encoding\.class_token", "cls_token", _row_to_table),
        **_table(r"pos_encoding\.spatial_pos", "pos_embed", _rows_to_table),
        **_table(r"pos_encoding\.temporal_pos", "time_embed", _rows_to_table),
        **_table(r"pos_encoding\.class_pos", "cls_pos_embed", _row_to_table),
        **dense_rules("conv_proj", "patch_embed"),
        **layer_norm_rules("norm", "norm"),
        **dense_rules(r"head\.1", "logits"),
    }


def _row_to_table(array: np.ndarray) -> np.ndarray:
    """Maps [D] to [1, 1, D]."""
    return array[None, None]


def _row_from_table(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, D] to [D]."""
    return array[0, 0]


def _rows_to_table(array: np.ndarray) -> np.ndarray:
    """Maps [N, D] to [1, N, D]."""
    return array[None]


def _rows_from_table(array: np.ndarray) -> np.ndarray:
    """Maps [1, N, D] to [N, D]."""
    return array[0]


_PARTS = r"(.*\.attn\.)(?P<part>[qkv])\.(weight|bias)"

# PyTorchVideo's release (0.1.5) leaves the norms of pooled queries, keys and values at
# PyTorch's default epsilon of 1e-5; the others take 1e-6. Nothing but a convolution
# without bias stands between a linear layer and such a norm, so with this factor the
# layer gives the same numbers at the other epsilon.
_AT_OUR_EPSILON = np.float32(np.sqrt(1e-6 / 1e-5))


def _join(arrays: Arrays) -> Arrays:
    """Joins the layers of queries, keys and values where there are three."""
    return join(arrays, _PARTS, r"\1qkv.\3", "qkv")


def _scale_and_join(arrays: Arrays) -> Arrays:
    """The same, once those that meet a norm are scaled to our epsilon."""
    scaled = dict(arrays)
    for name, array in arrays.items():
        match = re.fullmatch(_PARTS, name)
        if match and f"{match[1]}norm_{match['part']}.weight" in arrays:
            scaled[name] = array * _AT_OUR_EPSILON
    return _join(scaled)


# Files from before queries, keys and values shared a layer are read as well.
SLOWFAST = Naming("facebookresearch/SlowFast", _slowfast(), prepare=_join, restore=dict)
# No way back: which epsilon a reader takes depends on its version.
PYTORCHVIDEO = Naming(
    "PyTorchVideo",
    _pytorchvideo(),
    prepare=_scale_and_join,
    # Modules that hold the pools and norms again.
    aliases={
        r"(.*\.attn\.)_attention_pool_([qkv])\.(pool|norm)\.(weight|bias)": (
            r"\1\3_\2.\4"
        )
    },
)
MMACTION2 = Naming("MMAction2", _mmaction2())
TORCHVISION = Naming(
    "torchvision",
    _torchvision(),
    back={_row_to_table: _row_from_table, _rows_to_table: _rows_from_table},
)
