"""Names of UniFormer."""

from vidjax.convert.rules import (
    Naming,
    Transform,
    dense_rules,
    layer_norm_rules,
    norm_rules,
)


def _rules(prefix: str, head: str) -> dict[str, tuple[str, Transform]]:
    """The rules of a code base.

    Args:
        prefix: Regular expression of what stands before the network's names.
        head: Of the name of the classifier.
    """
    convolution = rf"{prefix}blocks([12])\.(\d+)"
    attention = rf"{prefix}blocks([34])\.(\d+)"
    to = r"blocks\1_\2"
    rules: dict[str, tuple[str, Transform]] = {}
    for block in (convolution, attention):
        rules |= dense_rules(rf"{block}\.pos_embed", f"{to}_pos_embed")
    return {
        **rules,
        **dense_rules(rf"{prefix}patch_embed(\d)\.proj", r"patch_embed\1_proj"),
        **layer_norm_rules(rf"{prefix}patch_embed(\d)\.norm", r"patch_embed\1_norm"),
        **norm_rules(rf"{convolution}\.norm([12])", rf"{to}/norm\3"),
        **dense_rules(rf"{convolution}\.(conv1|attn|conv2)", rf"{to}/\3"),
        **dense_rules(rf"{convolution}\.mlp\.(fc[12])", rf"{to}/\3"),
        **layer_norm_rules(rf"{attention}\.norm([12])", rf"{to}/norm\3"),
        **dense_rules(rf"{attention}\.attn\.(qkv|proj)", rf"{to}/attn/\3"),
        **dense_rules(rf"{attention}\.mlp\.(fc[12])", rf"{to}/mlp/\3"),
        **norm_rules(rf"{prefix}norm", "norm"),
        **dense_rules(head, "logits"),
    }


MMACTION2 = Naming("MMAction2", _rules(r"backbone\.", r"cls_head\.fc_cls"))
ORIGINAL = Naming("Sense-X/UniFormer", _rules("", "head"))
