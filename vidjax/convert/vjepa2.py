"""Names of V-JEPA 2."""

import functools

from vidjax.convert import qkv
from vidjax.convert.rules import Arrays, Naming, Transform, dense_rules, same

_Rules = dict[str, tuple[str, Transform]]
_PARTS = ("query", "key", "value")


def _norm(source: str, target: str) -> _Rules:
    return {
        rf"{source}\.weight": (f"params/{target}/scale", same),
        rf"{source}\.bias": (f"params/{target}/bias", same),
    }


def _block(source: str, target: str, norm: str = "norm") -> _Rules:
    """What every block has beside its attention."""
    rules: _Rules = {}
    for i in (1, 2):
        rules |= _norm(rf"{source}\.{norm}{i}", f"{target}/norm{i}")
        rules |= dense_rules(rf"{source}\.mlp\.fc{i}", f"{target}/mlp/fc{i}")
    return rules


def _original() -> _Rules:
    rules = dense_rules(r"patch_embed\.proj", "patch_embed")
    for source, target in (("", ""), (r"pooler\.", "probe/")):
        block, to = rf"{source}blocks\.(\d+)", rf"{target}blocks_\1"
        rules |= _block(block, to)
        rules |= dense_rules(rf"{block}\.attn\.qkv", f"{to}/attn/qkv")
        rules |= dense_rules(rf"{block}\.attn\.proj", f"{to}/attn/proj")
    last = r"pooler\.cross_attention_block"
    return {
        **rules,
        **_norm("norm", "norm"),
        r"pooler\.query_tokens": ("params/probe/query_token", same),
        **_block(last, "probe"),
        **dense_rules(rf"{last}\.xattn\.q", "probe/attn/query"),
        **dense_rules(rf"{last}\.xattn\.kv", "probe/attn/kv"),
        **dense_rules("linear", "logits"),
    }


_POOLER = r"pooler\.self_attention_layers\.(\d+)"
_LAST = r"pooler\.cross_attention_layer"
_POOLER_PARTS = ("q_proj", "k_proj", "v_proj")


def _transformers(prefix: str) -> Naming:
    """The naming of transformers 4 and 5.

    Args:
        prefix: Regular expression of what stands before the encoder's names; there is
            nothing in files of a network without classifier.
    """
    encoder = rf"{prefix}encoder"
    layer = rf"{encoder}\.layer\.(\d+)"
    # Parts are known, so that files are recognised, but have no place alone.
    parts, own = "|".join(_PARTS), "|".join(_POOLER_PARTS)
    rules = {
        **dense_rules(rf"{encoder}\.embeddings\.patch_embeddings\.proj", "patch_embed"),
        **_block(layer, r"blocks_\1"),
        **dense_rules(rf"{layer}\.attention\.(qkv|{parts})", r"blocks_\1/attn/\2"),
        **dense_rules(rf"{layer}\.attention\.proj", r"blocks_\1/attn/proj"),
        **_norm(rf"{encoder}\.layernorm", "norm"),
        r"pooler\.query_tokens": ("params/probe/query_token", same),
        **_block(_POOLER, r"probe/blocks_\1", "layer_norm"),
        **dense_rules(
            rf"{_POOLER}\.self_attn\.(qkv|{own})", r"probe/blocks_\1/attn/\2"
        ),
        **dense_rules(rf"{_POOLER}\.self_attn\.out_proj", r"probe/blocks_\1/attn/proj"),
        **_block(_LAST, "probe", "layer_norm"),
        **dense_rules(rf"{_LAST}\.cross_attn\.q_proj", "probe/attn/query"),
        **dense_rules(rf"{_LAST}\.cross_attn\.(kv|k_proj|v_proj)", r"probe/attn/\1"),
        **dense_rules("classifier", "logits"),
    }
    return Naming(
        "transformers" if prefix else "transformers, without classifier",
        rules,
        ignore=(rf"{prefix}predictor\..+",),  # Of the pre-training.
        prepare=functools.partial(_join, layer),
        restore=functools.partial(_split, layer),
    )


def _kinds(layer: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Where parts stand, what they become together, and what they are called."""
    return (
        (rf"({layer}\.attention)", "qkv", _PARTS),
        (rf"({_POOLER}\.self_attn)", "qkv", _POOLER_PARTS),
        (rf"({_LAST}\.cross_attn)", "kv", _POOLER_PARTS[1:]),
    )


def _join(layer: str, arrays: Arrays) -> Arrays:
    for where, whole, parts in _kinds(layer):
        pattern = rf"{where}\.(?P<part>{'|'.join(parts)})\.(?P<leaf>weight|bias)"
        arrays = qkv.join(arrays, pattern, rf"\1.{whole}.\g<leaf>", parts)
    return arrays


def _split(layer: str, arrays: Arrays) -> Arrays:
    for where, whole, parts in _kinds(layer):
        pattern = rf"{where}\.{whole}\.(?P<leaf>weight|bias)"
        arrays = qkv.split(arrays, pattern, r"\1.{part}.\g<leaf>", parts)
    return arrays


# Files also hold a table of positions, which rotation replaced (src/hub/backbones.py).
ORIGINAL = Naming("facebookresearch/vjepa2", _original(), ignore=("pos_embed",))
TRANSFORMERS = tuple(map(_transformers, (r"vjepa2\.", "")))
