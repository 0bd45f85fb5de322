"""Names of ViViT."""

import functools
import math

import jax.numpy as jnp
import numpy as np

from vidjax.convert import qkv
from vidjax.convert.rules import Arrays, Naming, Transform, dense_rules, same
from vidjax.models.vivit import BASE
from vidjax.ops.position import fit_table

_PARTS = ("query", "key", "value")


def _heads_joined(array: np.ndarray) -> np.ndarray:
    """Maps the heads' rows [H, d, D] of an output layer to [H * d, D]."""
    if array.ndim != 3:
        raise ValueError("it should be [H, d, D]")
    return array.reshape(-1, array.shape[-1])


def _join_scenic(arrays: Arrays) -> Arrays:
    """Joins query, key and value, [D, H, d] each, with biases [H, d]."""
    flat = {
        name: array.reshape(*array.shape[: array.ndim - 2], -1)
        if name.rpartition("/")[0].endswith(_PARTS)
        else array
        for name, array in arrays.items()
    }
    pattern = rf"(.+/)(?P<part>{'|'.join(_PARTS)})/(kernel|bias)"
    return qkv.join(flat, pattern, r"\1qkv/\3", _PARTS, axis=-1)


def _scenic() -> dict[str, tuple[str, Transform]]:
    rules: dict[str, tuple[str, Transform]] = {}

    def leaves(source: str, target: str, names: str = "kernel|bias") -> None:
        rules[rf"(?:params/)?{source}/({names})"] = (rf"params/{target}", same)

    leaves("embedding", r"patch_embed/\1")
    leaves("output_projection", r"logits/\1")
    encoders = {
        "Transformer": "",
        "SpatialTransformer": "",
        "TemporalTransformer": "time_",
    }
    for encoder, ours in encoders.items():
        leaves(f"{encoder}/encoder_norm", rf"{ours}norm/\1", "scale|bias")
        table = "time_embed" if ours else "pos_embed"
        place = rf"(?:params/)?{encoder}/posembed_input/pos_embedding"
        rules[place] = (f"params/{table}", same)
        token = "cls" if encoder == "Transformer" else f"cls_{encoder}"
        rules[f"(?:params/)?{token}"] = (f"params/{ours}cls_token", same)
        block, to = rf"{encoder}/encoderblock_(\d+)", rf"{ours}blocks_\1"
        norms = {"LayerNorm_0": "norm1", "LayerNorm_1": "norm2"}
        attentions = {"0": "attn"}
        if encoder == "Transformer":
            norms |= {
                "LayerNorm_time": "time_norm1",
                "LayerNorm_space": "norm1",
                "LayerNorm_mlp": "norm2",
            }
            attentions |= {"time": "time_attn", "space": "attn"}
        for theirs, norm in norms.items():
            leaves(f"{block}/{theirs}", rf"{to}/{norm}/\2", "scale|bias")
        for theirs, attn in attentions.items():
            layer = f"{block}/MultiHeadDotProductAttention_{theirs}"
            # Parts are known, so that files are recognised, but have no place alone.
            parts = f"qkv|{'|'.join(_PARTS)}"
            leaves(f"{layer}/({parts})", rf"{to}/{attn}/\2/\3")
            leaves(f"{layer}/out", rf"{to}/{attn}/proj/\2", "bias")
            rules[rf"(?:params/)?{layer}/out/kernel"] = (
                rf"params/{to}/{attn}/proj/kernel",
                _heads_joined,
            )
        for i in (0, 1):
            leaves(f"{block}/MlpBlock(?:_0)?/Dense_{i}", rf"{to}/mlp/fc{i + 1}/\2")
    return rules


def _norm(source: str, target: str) -> dict[str, tuple[str, Transform]]:
    return {
        rf"{source}\.weight": (f"params/{target}/scale", same),
        rf"{source}\.bias": (f"params/{target}/bias", same),
    }


def _transformers(prefix: str, version: int) -> Naming:
    """The naming of transformers 5, or that of 4, in which files on the Hub are.

    Args:
        prefix: Regular expression of what stands before the names of the network; there
            is nothing in files of a network without classifier.
        version: 4 or 5.
    """
    if version == 5:
        block, parts, out = (
            "layers",
            ("q_proj", "k_proj", "v_proj"),
            r"attention\.o_proj",
        )
        attention, mlp = "attention", (r"mlp\.fc1", r"mlp\.fc2")
    else:
        block, parts, out = r"encoder\.layer", _PARTS, r"attention\.output\.dense"
        attention, mlp = (
            r"attention\.attention",
            (r"intermediate\.dense", r"output\.dense"),
        )
    layer, to = rf"{prefix}{block}\.(\d+)", r"blocks_\1"
    embeddings = rf"{prefix}embeddings"
    whole = rf"({layer}\.{attention})\.qkv\.(weight|bias)"
    part = rf"({layer}\.{attention})\.(?P<part>{'|'.join(parts)})\.(weight|bias)"
    title = "transformers" if version == 5 else "transformers, version 4"
    return Naming(
        title
        if prefix
        else f"{title}{', ' if version == 5 else ' '}without classifier",
        {
            rf"{embeddings}\.cls_token": ("params/cls_token", same),
            rf"{embeddings}\.position_embeddings": ("params/pos_embed", same),
            **dense_rules(
                rf"{embeddings}\.patch_embeddings\.projection", "patch_embed"
            ),
            # Parts are known, so that files are recognised, but have no place alone.
            **dense_rules(
                rf"{layer}\.{attention}\.(qkv|{'|'.join(parts)})", rf"{to}/attn/\2"
            ),
            **dense_rules(rf"{layer}\.{out}", f"{to}/attn/proj"),
            **_norm(rf"{layer}\.layernorm_before", f"{to}/norm1"),
            **_norm(rf"{layer}\.layernorm_after", f"{to}/norm2"),
            **dense_rules(rf"{layer}\.{mlp[0]}", f"{to}/mlp/fc1"),
            **dense_rules(rf"{layer}\.{mlp[1]}", f"{to}/mlp/fc2"),
            **_norm(rf"{prefix}layernorm", "norm"),
            **dense_rules("classifier", "logits"),
        },
        ignore=(rf"{prefix}pooler\.dense\.(weight|bias)",),
        prepare=functools.partial(
            qkv.join, pattern=part, joined=r"\1.qkv.\4", parts=parts
        ),
        restore=functools.partial(
            qkv.split, pattern=whole, apart=r"\1.{part}.\3", parts=parts
        ),
    )


SCENIC = Naming("Scenic", _scenic(), prepare=_join_scenic)
TRANSFORMERS = tuple(
    _transformers(prefix, version) for prefix in (r"vivit\.", "") for version in (5, 4)
)


_Shape = tuple[int, ...]
_EMBED, _PATCHES = "params/pos_embed", "params/patch_embed/kernel"
_TIME_EMBED = "params/time_embed"


def clip_shape(got: Arrays, shape: _Shape) -> _Shape:
    """Tells for which clips a factorised encoder's tables of positions were made.

    Args:
        got: Arrays of any shape by path.
        shape: Shape (T, H, W, C) of the card's clip.

    Returns:
        The shape, with the frames and the size of the tables.
    """
    if not {_EMBED, _TIME_EMBED, _PATCHES} <= got.keys():
        return shape
    extra = int("params/cls_token" in got)
    frames, height, width, _, _ = got[_PATCHES].shape
    side = math.isqrt(got[_EMBED].shape[1] - extra)
    steps = got[_TIME_EMBED].shape[1] - extra
    return (steps * frames, side * height, side * width, shape[3])


def resize(got: Arrays, shape: _Shape) -> None:
    """Resizes tables of positions, as Scenic does those that it starts from.

    Args:
        got: Arrays of any shape by path; changed.
        shape: Shape (T, H, W, C) of the clips wanted.

    Raises:
        ValueError: If it is not known for which clips a joint table was made.
    """
    if _PATCHES not in got:
        return
    extra = int("params/cls_token" in got)
    t, h, w = (
        n // step for n, step in zip(shape, got[_PATCHES].shape[:3], strict=False)
    )
    grids = {_EMBED: (t, h, w)}
    if _TIME_EMBED in got:
        grids = {_EMBED: (1, h, w), _TIME_EMBED: (t, 1, 1)}
    for path, grid in grids.items():
        if path not in got:
            continue
        table = jnp.array(got[path])
        got[path] = np.asarray(fit_table(table, grid, BASE.grid, extra))
