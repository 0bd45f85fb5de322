"""Names of VideoPrism."""

import math
import re

import numpy as np

from vidjax.convert import qkv
from vidjax.convert.rules import Arrays, Naming, Transform, same

_PARTS = ("query", "key", "value")
_STACK = re.compile(r"(.*transformers_stack/)x_layers/(.*)")
_RGB = 3


def _plus_one(array: np.ndarray) -> np.ndarray:
    """Turns a stored scale, of which 1 has been taken, into the one that is applied."""
    return array + np.float32(1.0)


def _patches(array: np.ndarray) -> np.ndarray:
    """Maps a linear layer on patches, [p * p * 3, D], to [1, p, p, 3, D]."""
    side = math.isqrt(array.shape[0] // _RGB)
    return array.reshape(1, side, side, _RGB, array.shape[-1])


def _output(array: np.ndarray) -> np.ndarray:
    """Maps an output layer, [D, H, d], to [H * d, D]."""
    if array.ndim != 3:
        raise ValueError("it should be [D, H, d]")
    return array.reshape(len(array), -1).T


def _flat(array: np.ndarray) -> np.ndarray:
    """Joins the heads and widths of [D, H, d] or [H, d]."""
    return array.reshape(*array.shape[:-2], -1)


def _prepare(arrays: Arrays) -> Arrays:
    """Cuts stacks of layers into layers; joins query, key and value."""
    found: Arrays = {}
    for name, array in arrays.items():
        match = _STACK.fullmatch(name)
        layers = {name: array}
        if match:
            layers = {
                f"{match[1]}layers_{i}/{match[2]}": layer
                for i, layer in enumerate(array)
            }
        for layer, own in layers.items():
            head = layer.rpartition("/")[0].endswith(_PARTS)
            found[layer] = _flat(own) if head else own
    pattern = r"(.*/pooling_attention)/(?P<part>key|value)/([wb])"
    stacks = rf"(.*layers_\d+/self_attention)/(?P<part>{'|'.join(_PARTS)})/([wb])"
    found = qkv.join(found, stacks, r"\1/qkv/\3", _PARTS, axis=-1)
    return qkv.join(found, pattern, r"\1/kv/\3", _PARTS[1:], axis=-1)


def _rules() -> dict[str, tuple[str, Transform]]:
    # Of the network alone, or of the encoder of a classifier.
    prefix = "(?:params/)?(?:encoder/)?"
    rules: dict[str, tuple[str, Transform]] = {
        rf"{prefix}patch_projection/linear/kernel": (
            "params/patch_embed/kernel",
            _patches,
        ),
        rf"{prefix}patch_projection/linear/bias": ("params/patch_embed/bias", same),
    }

    def norm(source: str, target: str) -> None:
        rules[f"{source}/scale"] = (f"params/{target}/scale", _plus_one)
        rules[f"{source}/bias"] = (f"params/{target}/bias", same)

    def attention(source: str, target: str, joined: str) -> None:
        # Parts are known, so that files are recognised, but have no place alone.
        for part in (joined, *_PARTS):
            rules[f"{source}/{part}/w"] = (f"params/{target}/{part}/kernel", same)
            rules[f"{source}/{part}/b"] = (f"params/{target}/{part}/bias", same)
        rules[f"{source}/post/w"] = (f"params/{target}/proj/kernel", _output)
        rules[f"{source}/post/b"] = (f"params/{target}/proj/bias", same)

    for kind, ours, table in (
        ("spatial", "", "pos_embed"),
        ("temporal", "time_", "time_embed"),
    ):
        rules[f"{prefix}{kind}_pos_emb/emb_var"] = (f"params/{table}", same)
        norm(f"{prefix}{kind}_ln", f"{ours}norm")
        # Before they are cut, so that files are recognised, and after.
        layer = rf"{prefix}{kind}_encoder/transformers_stack/(?:x_layers|layers_(\d+))"
        block = rf"{ours}blocks_\1"
        norm(f"{layer}/layer_norm", f"{block}/norm1")
        attention(f"{layer}/self_attention", f"{block}/attn", "qkv")
        norm(f"{layer}/ff_layer/layer_norm", f"{block}/norm2")
        for i in (1, 2):
            rules[f"{layer}/ff_layer/ffn_layer{i}/linear/(kernel|bias)"] = (
                rf"params/{block}/mlp/fc{i}/\2",
                same,
            )
    pooler = "(?:params/)?atten_pooler"
    rules[f"{pooler}/pooling_attention_query"] = ("params/pooler/query_token", same)
    attention(f"{pooler}/pooling_attention", "pooler", "kv")
    scale = f"{pooler}/pooling_attention/per_dim_scale/per_dim_scale"
    rules[scale] = ("params/pooler/channel_scale", same)
    norm(f"{pooler}/pooling_attention_layer_norm", "pooler/norm")
    rules["(?:params/)?projection/linear/(kernel|bias)"] = (r"params/logits/\1", same)
    return rules


VIDEOPRISM = Naming("google-deepmind/videoprism", _rules(), prepare=_prepare)
