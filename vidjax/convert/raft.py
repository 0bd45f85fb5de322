"""Names of RAFT in torchvision's and the authors' checkpoints."""

from vidjax.convert.rules import Naming, Transform, dense_rules, norm_rules

Rules = dict[str, tuple[str, Transform]]

_GATES = ("convz", "convr", "convq")
# The authors' recurrent units: one of 3x3, or one over x and one over y.
_GRUS = {"": "gru1", "1": "gru1", "2": "gru2"}


def _torchvision() -> Rules:
    """Names of torchvision/models/optical_flow/raft.py."""
    encoder, block = r"(\w+_encoder)", r"layer(\d)\.(\d)"
    rules: Rules = {}
    for kind, part in ((dense_rules, "0"), (norm_rules, "1")):
        leaf = "conv" if part == "0" else "bn"
        rules |= kind(rf"{encoder}\.convnormrelu\.{part}", rf"\1/stem/{leaf}")
        rules |= kind(
            rf"{encoder}\.{block}\.convnormrelu(\d)\.{part}",
            rf"\1/layer\2_\3/conv\4/{leaf}",
        )
        rules |= kind(
            rf"{encoder}\.{block}\.downsample\.{part}",
            rf"\1/layer\2_\3/downsample/{leaf}",
        )
    rules |= dense_rules(rf"{encoder}\.conv", r"\1/conv")
    motion = r"update_block\.motion_encoder"
    rules |= dense_rules(rf"{motion}\.(conv(?:corr|flow)\d)\.0", r"update/\1")
    rules |= dense_rules(rf"{motion}\.conv\.0", "update/convmotion")
    rules |= dense_rules(
        r"update_block\.recurrent_block\.convgru(\d)\.(conv[zrq])", r"update/gru\1/\2"
    )
    rules |= dense_rules(r"update_block\.flow_head\.conv(\d)", r"update/flow_head\1")
    rules |= dense_rules(r"mask_predictor\.convrelu\.0", "mask_predictor/conv1")
    return rules | dense_rules(r"mask_predictor\.conv", "mask_predictor/conv2")


def _princeton() -> Rules:
    """Names of core/raft.py, core/extractor.py and core/update.py."""
    rules: Rules = {}
    for source, target in (("fnet", "feature_encoder"), ("cnet", "context_encoder")):
        block, place = rf"{source}\.layer(\d)\.(\d)", rf"{target}/layer\1_\2"
        rules |= dense_rules(rf"{source}\.conv1", f"{target}/stem/conv")
        rules |= norm_rules(rf"{source}\.norm1", f"{target}/stem/bn")
        rules |= dense_rules(rf"{block}\.conv(\d)", rf"{place}/conv\3/conv")
        rules |= norm_rules(rf"{block}\.norm([12])", rf"{place}/conv\3/bn")
        rules |= dense_rules(rf"{block}\.downsample\.0", f"{place}/downsample/conv")
        rules |= norm_rules(rf"{block}\.downsample\.1", f"{place}/downsample/bn")
        rules |= dense_rules(rf"{source}\.conv2", f"{target}/conv")
    for source, target in (("c", "corr"), ("f", "flow")):
        rules |= dense_rules(
            rf"update_block\.encoder\.conv{source}(\d)", rf"update/conv{target}\1"
        )
    rules |= dense_rules(r"update_block\.encoder\.conv", "update/convmotion")
    for gate in _GATES:
        for suffix, unit in _GRUS.items():
            rules |= dense_rules(
                rf"update_block\.gru\.{gate}{suffix}", f"update/{unit}/{gate}"
            )
    rules |= dense_rules(r"update_block\.flow_head\.conv(\d)", r"update/flow_head\1")
    rules |= dense_rules(r"update_block\.mask\.0", "mask_predictor/conv1")
    return rules | dense_rules(r"update_block\.mask\.2", "mask_predictor/conv2")


TORCHVISION = Naming("torchvision", _torchvision())
PRINCETON = Naming(
    "princeton-vl/RAFT",
    _princeton(),
    # The norm of a shortcut is stored twice, as the block's third as well.
    aliases={r"cnet\.layer(\d)\.(\d)\.norm3\.(.+)": r"cnet.layer\1.\2.downsample.1.\3"},
)
