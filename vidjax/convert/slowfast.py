"""Names of SlowFast."""

from vidjax.convert.resnet3d import (
    CAFFE2_IGNORED,
    Rules,
    caffe2_conv,
    caffe2_dense,
    caffe2_norm,
    caffe2_trunk,
    mmaction2_trunk,
    pyslowfast_trunk,
    pytorchvideo_stage,
    pytorchvideo_stem,
)
from vidjax.convert.rules import Naming, conv_rules, dense_rules, norm_rules

_PATHWAYS = ("slow", "fast")


def _pytorchvideo() -> Rules:
    """Names of pytorchvideo/models/slowfast.py, whose block 5 is the pool."""
    rules = {}
    for number, pathway in enumerate(_PATHWAYS):
        block = rf"multipathway_blocks\.{number}"
        rules |= pytorchvideo_stem(rf"blocks\.0\.{block}", pathway)
        for stage in range(1, 5):
            source = rf"blocks\.{stage}\.{block}"
            rules |= pytorchvideo_stage(source, f"{pathway}/layer{stage}")
    for stage in range(4):
        source = rf"blocks\.{stage}\.multipathway_fusion"
        place = _lateral(stage)
        rules |= conv_rules(rf"{source}\.conv_fast_to_slow", f"{place}/conv")
        rules |= norm_rules(rf"{source}\.norm", f"{place}/bn")
    return {**rules, **dense_rules(r"blocks\.6\.proj", "logits")}


def _pyslowfast() -> Rules:
    """Names of slowfast/models/video_model_builder.py."""
    rules = {**pyslowfast_trunk(0, "slow"), **pyslowfast_trunk(1, "fast")}
    for stage in range(4):
        source, place = f"s{stage + 1}_fuse", _lateral(stage)
        rules |= conv_rules(rf"{source}\.conv_f2s", f"{place}/conv")
        rules |= norm_rules(rf"{source}\.bn", f"{place}/bn")
    return {**rules, **dense_rules(r"head\.projection", "logits")}


def _caffe2() -> Rules:
    """Names of the Caffe2 files, where laterals bear the name of what they follow."""
    rules = {**caffe2_trunk("", "slow"), **caffe2_trunk("t_", "fast")}
    for stage in range(4):
        source = rf"t_res{stage + 1}_\d+_branch2c_bn" if stage else "t_pool1"
        place = _lateral(stage)
        rules |= caffe2_conv(f"{source}_subsample", f"{place}/conv")
        rules |= caffe2_norm(f"{source}_subsample_bn", f"{place}/bn")
    return {**rules, **caffe2_dense("pred", "logits")}


def _mmaction2() -> Rules:
    """Names of mmaction/models/backbones/resnet3d_slowfast.py."""
    rules = {}
    for pathway in _PATHWAYS:
        rules |= mmaction2_trunk(rf"backbone\.{pathway}_path", pathway)
    for stage in range(4):
        source = f"layer{stage}" if stage else "conv1"
        name = rf"backbone\.slow_path\.{source}_lateral\.conv"
        rules |= conv_rules(name, f"{_lateral(stage)}/conv")
    return {**rules, **dense_rules(r"cls_head\.fc_cls", "logits")}


def _lateral(stage: int) -> str:
    return f"fuse_layer{stage}" if stage else "fuse_conv1"


PYTORCHVIDEO = Naming("PyTorchVideo", _pytorchvideo())
PYSLOWFAST = Naming("facebookresearch/SlowFast", _pyslowfast())
CAFFE2 = Naming("facebookresearch/SlowFast in Caffe2", _caffe2(), ignore=CAFFE2_IGNORED)
MMACTION2 = Naming("MMAction2", _mmaction2())
