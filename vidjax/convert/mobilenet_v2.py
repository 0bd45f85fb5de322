"""Names of MobileNetV2, alone and inside TSM, and of EfficientNet-Lite."""

from vidjax.convert.rules import Naming, Transform, conv_rules, dense_rules, norm_rules
from vidjax.models.efficientnet_lite0 import LITE0
from vidjax.models.mobilenet_v2 import MOBILENET_V2, Layout

Rules = dict[str, tuple[str, Transform]]

_PARTS = ("expand", "depthwise", "project")


def _blocks(layout: Layout) -> list[tuple[str, tuple[str, ...], bool]]:
    """Lists our blocks in order: name, convolutions, whether TSM shifts before it."""
    found, width = [], layout.stem
    for stage, row in enumerate(layout.stages, start=1):
        expansion, _, features, blocks, stride = row
        for i in range(blocks):
            parts = _PARTS if expansion > 1 else _PARTS[1:]
            same_shape = width == features and (stride == 1 or i > 0)
            found.append((f"layer{stage}_{i}", parts, same_shape and expansion > 1))
            width = features
    return found


def _block_rules(name: str, part: str, conv: str, norm: str) -> Rules:
    place = f"backbone/{name}/{part}"
    return {**conv_rules(conv, place), **norm_rules(norm, f"{place}_bn")}


def _ends(first: str, first_norm: str, last: str, last_norm: str, head: str) -> Rules:
    return {
        **conv_rules(first, "backbone/conv1"),
        **norm_rules(first_norm, "backbone/bn1"),
        **conv_rules(last, "backbone/conv2"),
        **norm_rules(last_norm, "backbone/bn2"),
        **dense_rules(head, "logits"),
    }


def _torchvision() -> Rules:
    """Names of torchvision/models/mobilenetv2.py: convolution, norm and ReLU6 in one.

    The last convolution of a block has no ReLU6 and stands by itself.
    """
    blocks = _blocks(MOBILENET_V2)
    last = rf"features\.{len(blocks) + 1}"
    head = r"classifier\.1"
    rules = _ends(
        r"features\.0\.0", r"features\.0\.1", rf"{last}\.0", rf"{last}\.1", head
    )
    for i, (name, parts, _) in enumerate(blocks, start=1):
        for j, part in enumerate(parts):
            unit = rf"features\.{i}\.conv\.{j}"
            conv, norm = rf"{unit}\.0", rf"{unit}\.1"
            if part == "project":
                conv, norm = unit, rf"features\.{i}\.conv\.{j + 1}"
            rules |= _block_rules(name, part, conv, norm)
    return rules


def _tonylins(prefix: str, head: str, *, shifted: bool) -> Rules:
    """Names of tonylins/pytorch-mobilenet-v2, which TSM's authors use: a flat list.

    Args:
        prefix: Regular expression before all names but the head's.
        head: Regular expression of the classifier's name.
        shifted: Whether first convolutions behind a shift are called `net`.
    """
    blocks = _blocks(MOBILENET_V2)
    stem, last = rf"{prefix}features\.0", rf"{prefix}features\.{len(blocks) + 1}"
    rules = _ends(rf"{stem}\.0", rf"{stem}\.1", rf"{last}\.0", rf"{last}\.1", head)
    for i, (name, parts, shift) in enumerate(blocks, start=1):
        for j, part in enumerate(parts):
            conv = rf"{prefix}features\.{i}\.conv\.{3 * j}"
            norm = rf"{prefix}features\.{i}\.conv\.{3 * j + 1}"
            net = r"\.net" if shifted and shift and part == "expand" else ""
            rules |= _block_rules(name, part, conv + net, norm)
    return rules


def _mmaction2() -> Rules:
    """Names of mmaction/models/backbones/mobilenet_v2_tsm.py."""
    rules = _ends(
        *(r"backbone\.conv1\.conv", r"backbone\.conv1\.bn"),
        *(r"backbone\.conv2\.conv", r"backbone\.conv2\.bn"),
        r"cls_head\.fc_cls",
    )
    for name, parts, shift in _blocks(MOBILENET_V2):
        stage, _, i = name.partition("_")
        for j, part in enumerate(parts):
            net = r"\.net" if shift and part == "expand" else ""
            unit = rf"backbone\.{stage}\.{i}\.conv\.{j}{net}"
            rules |= _block_rules(name, part, rf"{unit}\.conv", rf"{unit}\.bn")
    return rules


def _lukemelas() -> Rules:
    """Names of efficientnet_lite0_pytorch, which come from lukemelas's EfficientNet."""
    rules = _ends("_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc")
    for i, (name, parts, _) in enumerate(_blocks(LITE0)):
        for part in parts:
            norm = f"_bn{_PARTS.index(part)}"
            rules |= _block_rules(
                name, part, rf"_blocks\.{i}\._{part}_conv", rf"_blocks\.{i}\.{norm}"
            )
    return rules


TORCHVISION = Naming("torchvision", _torchvision())
TSM_MIT = Naming(
    "mit-han-lab/temporal-shift-module",
    # Published files call the head as the image network does; their test renames it.
    _tonylins(r"base_model\.", r"(?:new_fc|base_model\.classifier)", shifted=True),
)
TSM_ONLINE = Naming(
    "mit-han-lab/temporal-shift-module's online demo",
    _tonylins("", "classifier", shifted=False),
)
TSM_MMACTION2 = Naming("MMAction2's TSM", _mmaction2())
EFFICIENTNET_LITE = Naming("efficientnet_lite0_pytorch", _lukemelas())
