"""Names of ResNets, alone and inside TSN and TSM."""

from vidjax.convert.rules import Naming, Transform, conv_rules, dense_rules, norm_rules

Rules = dict[str, tuple[str, Transform]]

# Stage and block: "layer1.0" is our "layer1_0".
_BLOCK = r"layer(\d)\.(\d+)"
_PLACE = r"backbone/layer\1_\2"


def _torchvision(prefix: str, head: str, *, shifted: bool = False) -> Rules:
    """Names of torchvision/models/resnet.py.

    Args:
        prefix: Regular expression before all names but the head's.
        head: Regular expression of the classifier's name.
        shifted: Whether shifts stand before the first convolutions of blocks.
    """
    # A block before a non-local one is wrapped.
    block = prefix + _BLOCK + (r"(?:\.block)?" if shifted else "")
    return {
        **conv_rules(f"{prefix}conv1", "backbone/conv1"),
        **norm_rules(f"{prefix}bn1", "backbone/bn1"),
        **_first_convolutions(block, "conv1", shifted),
        **conv_rules(rf"{block}\.conv([23])", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{block}\.bn([123])", rf"{_PLACE}/bn\3"),
        **conv_rules(rf"{block}\.downsample\.0", f"{_PLACE}/downsample_conv"),
        **norm_rules(rf"{block}\.downsample\.1", f"{_PLACE}/downsample_bn"),
        **(_non_local(rf"{prefix}{_BLOCK}\.nl") if shifted else {}),
        **dense_rules(head, "logits"),
    }


def _non_local(block: str) -> Rules:
    """Names of ops/non_local.py: behind some convolutions there is a pool."""
    return {
        **dense_rules(rf"{block}\.theta", f"{_PLACE}_non_local/theta"),
        **dense_rules(rf"{block}\.(g|phi)\.0", rf"{_PLACE}_non_local/\3"),
        **dense_rules(rf"{block}\.W\.0", f"{_PLACE}_non_local/out"),
        **norm_rules(rf"{block}\.W\.1", f"{_PLACE}_non_local/bn"),
    }


def _mmaction2(*, shifted: bool = False) -> Rules:
    """Names of mmaction/models/backbones/resnet.py: one module for conv and norm."""
    block = rf"backbone\.{_BLOCK}"
    return {
        **conv_rules(r"backbone\.conv1\.conv", "backbone/conv1"),
        **norm_rules(r"backbone\.conv1\.bn", "backbone/bn1"),
        **_first_convolutions(block, r"conv1\.conv", shifted),
        **conv_rules(rf"{block}\.conv([23])\.conv", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{block}\.conv([123])\.bn", rf"{_PLACE}/bn\3"),
        **conv_rules(rf"{block}\.downsample\.conv", f"{_PLACE}/downsample_conv"),
        **norm_rules(rf"{block}\.downsample\.bn", f"{_PLACE}/downsample_bn"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }


def _first_convolutions(block: str, conv1: str, shifted: bool) -> Rules:
    """The first convolutions of blocks, which are called `net` behind a shift.

    Every block has a shift or, in deep ResNets, every second one from block 0. A
    network without shifts must not pass for one with them, nor the other way round.
    """
    if not shifted:
        return conv_rules(rf"{block}\.{conv1}", f"{_PLACE}/conv1")
    even = block.replace(r"(\d+)", r"(\d*[02468])")
    odd = block.replace(r"(\d+)", r"(\d*[13579])")
    return {
        **conv_rules(rf"{even}\.{conv1}\.net", f"{_PLACE}/conv1"),
        **conv_rules(rf"{odd}\.{conv1}(?:\.net)?", f"{_PLACE}/conv1"),
    }


# Without dropout the authors of TSM keep torchvision's classifier, "base_model.fc".
_MIT = (r"base_model\.", r"(?:new_fc|base_model\.fc)")

TORCHVISION = Naming("torchvision", _torchvision("", "fc"))
TSN_MIT = Naming("mit-han-lab/temporal-shift-module's TSN", _torchvision(*_MIT))
TSM_MIT = Naming("mit-han-lab/temporal-shift-module", _torchvision(*_MIT, shifted=True))
TSN_MMACTION2 = Naming("MMAction2's TSN", _mmaction2())
TSM_MMACTION2 = Naming("MMAction2's TSM", _mmaction2(shifted=True))
