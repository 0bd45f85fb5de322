"""Names of TriDet."""

from vidjax.convert.actionformer import (
    BACK,
    Rules,
    frame_rules,
    head_rules,
    norm_rules,
    path_rules,
)
from vidjax.convert.rules import Naming, dense_rules, layer_norm_rules


def _block() -> Rules:
    source, target = r"backbone\.(stem|branch)\.(\d+)", r"\1_\2"
    convs = "psi|fc|convw|convkw|global_fc"
    return {
        **norm_rules(rf"{source}\.ln", rf"{target}/ln"),
        **layer_norm_rules(rf"{source}\.gn", rf"{target}/gn"),
        **dense_rules(rf"{source}\.({convs})", rf"{target}/\3"),
        **dense_rules(rf"{source}\.mlp\.0", rf"{target}/fc1"),
        **dense_rules(rf"{source}\.mlp\.2", rf"{target}/fc2"),
        **path_rules(rf"{source}\.drop_path_out", rf"{target}/out_path"),
        **path_rules(rf"{source}\.drop_path_mlp", rf"{target}/mlp_path"),
    }


ORIGINAL = Naming(
    "dingfengshi/TriDet",
    {
        **frame_rules(),
        **head_rules("start_head", "start_head", ("cls_head", "start_logits")),
        **head_rules("end_head", "end_head", ("cls_head", "end_logits")),
        **_block(),
    },
    back=BACK,
)
