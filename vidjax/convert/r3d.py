"""Names of 3D residual networks: R3D, MC3, R(2+1)D and CSN.

PyTorchVideo's CSN has the names of its other networks: `resnet3d.PYTORCHVIDEO`.
"""

from vidjax.convert import resnet3d
from vidjax.convert.rules import Naming, Transform, conv_rules, dense_rules, norm_rules

Rules = dict[str, tuple[str, Transform]]

_BLOCK = r"layer(\d)\.(\d+)"
_PLACE = r"backbone/layer\1_\2"


def _torchvision_frame() -> Rules:
    """Names of torchvision/models/video/resnet.py around the blocks' convolutions."""
    return {
        **conv_rules(rf"{_BLOCK}\.downsample\.0", f"{_PLACE}/downsample_conv"),
        **norm_rules(rf"{_BLOCK}\.downsample\.1", f"{_PLACE}/downsample_bn"),
        **dense_rules("fc", "logits"),
    }


def _torchvision() -> Rules:
    return {
        **conv_rules(r"stem\.0", "backbone/conv1"),
        **norm_rules(r"stem\.1", "backbone/bn1"),
        **conv_rules(rf"{_BLOCK}\.conv([12])\.0", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{_BLOCK}\.conv([12])\.1", rf"{_PLACE}/bn\3"),
        **_torchvision_frame(),
    }


def _torchvision_factorised() -> Rules:
    block, place = rf"{_BLOCK}\.conv([12])", rf"{_PLACE}/conv\3"
    return {
        **conv_rules(r"stem\.0", "backbone/conv1/spatial"),
        **norm_rules(r"stem\.1", "backbone/conv1/bn"),
        **conv_rules(r"stem\.3", "backbone/conv1/temporal"),
        **norm_rules(r"stem\.4", "backbone/bn1"),
        **conv_rules(rf"{block}\.0\.0", f"{place}/spatial"),
        **norm_rules(rf"{block}\.0\.1", f"{place}/bn"),
        **conv_rules(rf"{block}\.0\.3", f"{place}/temporal"),
        **norm_rules(rf"{block}\.1", rf"{_PLACE}/bn\3"),
        **_torchvision_frame(),
    }


def _torchvision_separated(*, preserved: bool) -> Rules:
    """Bottlenecks of VMZ, pt/vmz/models/csn.py, in torchvision's frame."""
    conv2 = rf"{_BLOCK}\.conv2\.0"
    if preserved:
        middle = {
            **conv_rules(rf"{conv2}\.0", f"{_PLACE}/conv2/pointwise"),
            **norm_rules(rf"{conv2}\.1", f"{_PLACE}/conv2/bn"),
            **conv_rules(rf"{conv2}\.2", f"{_PLACE}/conv2/depthwise"),
        }
    else:
        middle = conv_rules(conv2, f"{_PLACE}/conv2")
    return {
        **conv_rules(r"stem\.0", "backbone/conv1"),
        **norm_rules(r"stem\.1", "backbone/bn1"),
        **conv_rules(rf"{_BLOCK}\.conv([13])\.0", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{_BLOCK}\.conv([123])\.1", rf"{_PLACE}/bn\3"),
        **middle,
        **_torchvision_frame(),
    }


def _mmaction2_factorised() -> Rules:
    """Names of mmaction/models/common/conv2plus1d.py in a ResNet3d."""

    def factorised(source: str, target: str) -> Rules:
        return {
            **conv_rules(rf"{source}\.conv_s", f"{target}/spatial"),
            **norm_rules(rf"{source}\.bn_s", f"{target}/bn"),
            **conv_rules(rf"{source}\.conv_t", f"{target}/temporal"),
        }

    block = rf"backbone\.{_BLOCK}"
    return {
        **factorised(r"backbone\.conv1\.conv", "backbone/conv1"),
        **norm_rules(r"backbone\.conv1\.bn", "backbone/bn1"),
        **factorised(rf"{block}\.conv([12])\.conv", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{block}\.conv([12])\.bn", rf"{_PLACE}/bn\3"),
        **factorised(rf"{block}\.downsample\.conv", f"{_PLACE}/downsample_conv"),
        **norm_rules(rf"{block}\.downsample\.bn", f"{_PLACE}/downsample_bn"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }


def _mmaction2_separated(*, preserved: bool) -> Rules:
    """Names of mmaction/models/backbones/resnet3d_csn.py."""
    block = rf"backbone\.{_BLOCK}"
    if preserved:
        middle = {
            **conv_rules(rf"{block}\.conv2\.0\.conv", f"{_PLACE}/conv2/pointwise"),
            **norm_rules(rf"{block}\.conv2\.0\.bn", f"{_PLACE}/conv2/bn"),
            **conv_rules(rf"{block}\.conv2\.1\.conv", f"{_PLACE}/conv2/depthwise"),
            **norm_rules(rf"{block}\.conv2\.1\.bn", f"{_PLACE}/bn2"),
        }
    else:
        middle = {
            **conv_rules(rf"{block}\.conv2\.0\.conv", f"{_PLACE}/conv2"),
            **norm_rules(rf"{block}\.conv2\.0\.bn", f"{_PLACE}/bn2"),
        }
    return {
        **conv_rules(r"backbone\.conv1\.conv", "backbone/conv1"),
        **norm_rules(r"backbone\.conv1\.bn", "backbone/bn1"),
        **conv_rules(rf"{block}\.conv([13])\.conv", rf"{_PLACE}/conv\3"),
        **norm_rules(rf"{block}\.conv([13])\.bn", rf"{_PLACE}/bn\3"),
        **middle,
        **conv_rules(rf"{block}\.downsample\.conv", f"{_PLACE}/downsample_conv"),
        **norm_rules(rf"{block}\.downsample\.bn", f"{_PLACE}/downsample_bn"),
        **dense_rules(r"cls_head\.fc_cls", "logits"),
    }


def _pytorchvideo_factorised() -> Rules:
    """Names of pytorchvideo/models/r2plus1d.py, where conv_b is three layers."""
    rules = resnet3d.PYTORCHVIDEO.rules.items()
    conv_b = r"blocks\.([1-4])\.res_blocks\.(\d+)\.branch2\.conv_b"
    return {
        **{name: rule for name, rule in rules if "conv_b" not in name},
        **conv_rules(rf"{conv_b}\.conv_t", f"{_PLACE}/conv2/temporal"),
        **norm_rules(rf"{conv_b}\.norm", f"{_PLACE}/conv2/bn"),
        **conv_rules(rf"{conv_b}\.conv_xy", f"{_PLACE}/conv2/spatial"),
    }


TORCHVISION = Naming("torchvision", _torchvision())
TORCHVISION_R2PLUS1D = Naming("torchvision's R(2+1)D", _torchvision_factorised())
MMACTION2_R2PLUS1D = Naming("MMAction2's R(2+1)D", _mmaction2_factorised())
PYTORCHVIDEO_R2PLUS1D = Naming("PyTorchVideo's R(2+1)D", _pytorchvideo_factorised())
MMACTION2_IR_CSN = Naming("MMAction2's ir-CSN", _mmaction2_separated(preserved=False))
MMACTION2_IP_CSN = Naming("MMAction2's ip-CSN", _mmaction2_separated(preserved=True))
VMZ_IR_CSN = Naming("VMZ's ir-CSN", _torchvision_separated(preserved=False))
VMZ_IP_CSN = Naming("VMZ's ip-CSN", _torchvision_separated(preserved=True))
