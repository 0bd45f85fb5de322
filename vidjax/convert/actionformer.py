"""Names of ActionFormer, and those that TriDet shares with it."""

import numpy as np

from vidjax.convert.rules import (
    Naming,
    Transform,
    conv_rules,
    dense_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]


def vector_from_channels(array: np.ndarray) -> np.ndarray:
    """Takes the axes of batch and time off the parameters of channels.

    Args:
        array: [1, C, 1].

    Returns:
        [C].

    Raises:
        ValueError: If the array has another shape.
    """
    if array.ndim != 3 or array.shape[::2] != (1, 1):
        raise ValueError("it should be [1, C, 1]")
    return array[0, :, 0]


def vector_to_channels(array: np.ndarray) -> np.ndarray:
    """Undoes `vector_from_channels`.

    Args:
        array: [C].

    Returns:
        [1, C, 1].
    """
    return array[None, :, None]


def norm_rules(source: str, target: str) -> Rules:
    """Returns the rules of a layer norm over channels.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {
        rf"{source}\.weight": (f"params/{target}/scale", vector_from_channels),
        rf"{source}\.bias": (f"params/{target}/bias", vector_from_channels),
    }


def path_rules(source: str, target: str) -> Rules:
    """Returns the rule of the scale of a residual branch.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {rf"{source}\.scale": (f"params/{target}/scale", vector_from_channels)}


def head_rules(source: str, target: str, last: tuple[str, str]) -> Rules:
    """Returns the rules of a head over the levels.

    Args:
        source: Name of the head.
        target: Its path below "params".
        last: Name of its last layer, and that layer's path.
    """
    return {
        **conv_rules(rf"{source}\.head\.(\d+)\.conv", rf"{target}/conv_\1"),
        **norm_rules(rf"{source}\.norm\.(\d+)", rf"{target}/norm_\1"),
        **dense_rules(rf"{source}\.{last[0]}\.conv", last[1]),
    }


def frame_rules() -> Rules:
    """Returns the rules of all but the blocks: embedding, neck and two heads."""
    scale = r"params/offset_scale_\1/scale"
    return {
        **conv_rules(r"backbone\.embd\.(\d+)\.conv", r"embed/conv_\1"),
        **norm_rules(r"backbone\.embd_norm\.(\d+)", r"embed/norm_\1"),
        **norm_rules(r"neck\.fpn_norms\.(\d+)", r"neck_\1"),
        **head_rules("cls_head", "cls_head", ("cls_head", "logits")),
        **head_rules("reg_head", "reg_head", ("offset_head", "offsets")),
        r"reg_head\.scale\.(\d+)\.scale": (scale, same),
    }


def _block() -> Rules:
    source, target = r"backbone\.(stem|branch)\.(\d+)", r"\1_\2"
    parts = "query|key|value"
    return {
        **norm_rules(rf"{source}\.(ln1|ln2)", rf"{target}/\3"),
        **conv_rules(rf"{source}\.attn\.({parts})_conv\.conv", rf"{target}/\3_conv"),
        **norm_rules(rf"{source}\.attn\.({parts})_norm", rf"{target}/\3_norm"),
        **dense_rules(rf"{source}\.attn\.({parts}|proj)", rf"{target}/\3"),
        **dense_rules(rf"{source}\.mlp\.0", rf"{target}/fc1"),
        **dense_rules(rf"{source}\.mlp\.3", rf"{target}/fc2"),
        **path_rules(rf"{source}\.drop_path_attn", rf"{target}/attention_path"),
        **path_rules(rf"{source}\.drop_path_mlp", rf"{target}/mlp_path"),
    }


BACK = {vector_from_channels: vector_to_channels}
ORIGINAL = Naming(
    "happyharrycn/actionformer_release", {**frame_rules(), **_block()}, back=BACK
)
