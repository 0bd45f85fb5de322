"""Names of VideoMAE, and what only some of its files hold."""

import jax
import numpy as np

from vidjax.convert.qkv import join, split
from vidjax.convert.rules import (
    Arrays,
    Naming,
    conv_rules,
    dense_rules,
    kernel_from_torch,
    layer_norm_rules,
    same,
)
from vidjax.convert.variables import Places
from vidjax.convert.vit import POSITIONS, Rules, block_rules
from vidjax.ops.position import sines_and_cosines

_NORM = ("params/norm/scale", "params/norm/bias")
_NO_NORM = ("transformers", "vidjax")  # Whose files may lack the encoder's norm.
_MASK_TOKEN = "params/mask_token"
_DECODER = ("decoder/", "encoder_to_decoder/", "mask_token", "norm/", "logits/")
_SAME_TABLE = 1e-5  # Between ways of computing sines in float32.


def _original_block(source: str, target: str) -> Rules:
    return {
        **block_rules(source, target),
        rf"{source}\.attn\.([qv]_bias)": (rf"params/{target}/attn/\2", same),
    }


def _original() -> Rules:
    """Names of MCG-NJU/VideoMAE's networks for classification."""
    return {
        "pos_embed": (POSITIONS, same),  # Where it is learned.
        **dense_rules(r"patch_embed\.proj", "patch_embed"),
        **_original_block(r"blocks\.(\d+)", r"blocks_\1"),
        **layer_norm_rules("fc_norm", "fc_norm"),
        **dense_rules("head", "logits"),
    }


def _original_pretraining() -> Rules:
    """Names of its masked autoencoders."""
    return {
        r"encoder\.pos_embed": (POSITIONS, same),
        **dense_rules(r"encoder\.patch_embed\.proj", "patch_embed"),
        **_original_block(r"encoder\.blocks\.(\d+)", r"blocks_\1"),
        **layer_norm_rules(r"encoder\.norm", "norm"),
        **conv_rules("encoder_to_decoder", "encoder_to_decoder"),
        "mask_token": ("params/mask_token", same),
        **_original_block(r"decoder\.blocks\.(\d+)", r"decoder/blocks_\1"),
        **layer_norm_rules(r"decoder\.norm", "decoder/norm"),
        **dense_rules(r"decoder\.head", "logits"),
    }


def _mmaction2() -> Rules:
    block, target = r"backbone\.blocks\.(\d+)", r"blocks_\1"
    return {
        r"backbone\.pos_embed": (POSITIONS, same),
        **dense_rules(r"backbone\.patch_embed\.projection", "patch_embed"),
        **layer_norm_rules(rf"{block}\.norm([12])", rf"{target}/norm\2"),
        rf"{block}\.attn\.([qv]_bias)": (rf"params/{target}/attn/\2", same),
        **conv_rules(rf"{block}\.attn\.qkv", f"{target}/attn/qkv"),
        **dense_rules(rf"{block}\.attn\.proj", f"{target}/attn/proj"),
        **dense_rules(rf"{block}\.mlp\.layers\.0\.0", f"{target}/mlp/fc1"),
        **dense_rules(rf"{block}\.mlp\.layers\.1", f"{target}/mlp/fc2"),
        **layer_norm_rules(r"backbone\.fc_norm", "fc_norm"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }


def _transformers_block(source: str, target: str, version: int) -> Rules:
    """Names of a block; version 5 made biases of the layers of query and value."""
    attention = rf"{source}\.attention\.attention"
    rules = {
        **layer_norm_rules(rf"{source}\.layernorm_before", f"{target}/norm1"),
        **layer_norm_rules(rf"{source}\.layernorm_after", f"{target}/norm2"),
        rf"{attention}\.qkv\.weight": (
            f"params/{target}/attn/qkv/kernel",
            kernel_from_torch,
        ),
        **dense_rules(rf"{source}\.attention\.output\.dense", f"{target}/attn/proj"),
        **dense_rules(rf"{source}\.intermediate\.dense", f"{target}/mlp/fc1"),
        **dense_rules(rf"{source}\.output\.dense", f"{target}/mlp/fc2"),
    }
    for part in ("query", "value"):
        name = rf"{part}\.bias" if version == 5 else f"{part[0]}_bias"
        path = f"params/{target}/attn/{part[0]}_bias"
        rules[rf"{attention}\.{name}"] = (path, same)
    return rules


def _transformers(version: int) -> Rules:
    layer = r"videomae\.encoder\.layer\.(\d+)"
    embeddings = r"videomae\.embeddings"
    return {
        rf"{embeddings}\.position_embeddings": (POSITIONS, same),
        **dense_rules(rf"{embeddings}\.patch_embeddings\.projection", "patch_embed"),
        **_transformers_block(layer, r"blocks_\1", version),
    }


def _transformers_classifier(version: int) -> Rules:
    return {
        **_transformers(version),
        **layer_norm_rules("fc_norm", "fc_norm"),
        **dense_rules("classifier", "logits"),
    }


def _transformers_pretraining(version: int) -> Rules:
    layer = r"decoder\.decoder_layers\.(\d+)"
    return {
        **_transformers(version),
        **layer_norm_rules(r"videomae\.layernorm", "norm"),
        **conv_rules("encoder_to_decoder", "encoder_to_decoder"),
        "mask_token": ("params/mask_token", same),
        **_transformers_block(layer, r"decoder/blocks_\1", version),
        **layer_norm_rules(r"decoder\.norm", "decoder/norm"),
        **dense_rules(r"decoder\.head", "logits"),
    }


_PARTS = ("query", "key", "value")


def _join(arrays: Arrays) -> Arrays:
    pattern = r"(.+\.attention\.attention)\.(?P<part>query|key|value)\.weight"
    return join(arrays, pattern, r"\1.qkv.weight", _PARTS)


def _split(arrays: Arrays) -> Arrays:
    pattern = r"(.+\.attention\.attention)\.qkv\.weight"
    return split(arrays, pattern, r"\1.{part}.weight", _PARTS)


def _begin_classifying(arrays: Arrays) -> Arrays:
    """Adds the norm behind the mean, which fine-tuning starts afresh."""
    width = next((a.shape[0] for name, a in arrays.items() if "patch_embed" in name), 0)
    fresh = {"fc_norm.weight": np.ones(width), "fc_norm.bias": np.zeros(width)}
    return arrays | {name: a.astype(np.float32) for name, a in fresh.items()}


def _join_and_begin_classifying(arrays: Arrays) -> Arrays:
    arrays = _join(arrays)
    return _begin_classifying(arrays) if "mask_token" in arrays else arrays


# What classification leaves of a masked autoencoder.
_DECODING = (
    *(r"encoder\.norm\..+", r"decoder\..+", "mask_token", r"encoder_to_decoder\..+"),
    r"videomae\.layernorm\..+",
)
_ENCODER = {
    rf"encoder\.{source}": rule
    for source, rule in _original().items()
    if not source.startswith(("fc_norm", "head"))
} | layer_norm_rules("fc_norm", "fc_norm")

ORIGINAL = Naming("MCG-NJU/VideoMAE", _original())
ENCODER = Naming(
    "MCG-NJU/VideoMAE's encoder of pre-training",
    _ENCODER,
    ignore=_DECODING,
    prepare=_begin_classifying,
)
MMACTION2 = Naming("MMAction2", _mmaction2())
TRANSFORMERS = Naming(
    "transformers",
    _transformers_classifier(5),
    ignore=_DECODING,
    prepare=_join_and_begin_classifying,
    restore=_split,
)
TRANSFORMERS_4 = Naming(
    "transformers, version 4",
    _transformers_classifier(4),
    ignore=_DECODING,
    prepare=_join_and_begin_classifying,
    restore=_split,
)
ORIGINAL_PRETRAINING = Naming("MCG-NJU/VideoMAE", _original_pretraining())
TRANSFORMERS_PRETRAINING = Naming(
    "transformers", _transformers_pretraining(5), prepare=_join, restore=_split
)
TRANSFORMERS_4_PRETRAINING = Naming(
    "transformers, version 4",
    _transformers_pretraining(4),
    prepare=_join,
    restore=_split,
)


def settle(got: Arrays, want: Places, naming: str) -> None:
    """Settles what only some weights have: positions, the encoder's norm, a decoder.

    A table that is the fixed one is dropped; another becomes a place of the model,
    which takes it instead. transformers' masked autoencoder has, by default, no norm
    behind the encoder; the model leaves it out where the weights have none. Of vidjax's
    own masked autoencoder a classifier takes the encoder.

    Args:
        got: Arrays of any shape by path; changed.
        want: Places of the model; changed.
        naming: Name of the naming of the weights.
    """
    if _MASK_TOKEN in got and _MASK_TOKEN not in want and naming == "vidjax":
        _begin_with_encoder(got)
    if POSITIONS in got:
        table = got[POSITIONS]
        fixed = sines_and_cosines(*table.shape[-2:])
        if table.shape == fixed.shape and np.abs(table - fixed).max() < _SAME_TABLE:
            del got[POSITIONS]
        else:
            want[POSITIONS] = jax.ShapeDtypeStruct(table.shape, np.float32)
    has_norm = any(path in got for path in _NORM)
    if not has_norm and naming.startswith(_NO_NORM):
        for path in _NORM:
            want.pop(path, None)


def _begin_with_encoder(got: Arrays) -> None:
    """Leaves the decoder out, and starts the norm behind the mean afresh."""
    width = got["params/patch_embed/bias"].shape[0]
    for path in [p for p in got if p.removeprefix("params/").startswith(_DECODER)]:
        del got[path]
    got["params/fc_norm/scale"] = np.ones(width, np.float32)
    got["params/fc_norm/bias"] = np.zeros(width, np.float32)
