"""Names of residual networks in space and time: C2D, I3D-ResNet, Slow; parts for more.

The code bases call the three convolutions of a bottleneck a, b and c; ours are conv1,
conv2 and conv3, with norms bn1, bn2 and bn3.
"""

import numpy as np

from vidjax.convert.rules import (
    Naming,
    Transform,
    conv_rules,
    dense_rules,
    kernel_from_torch,
    kernel_to_torch,
    norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]

LETTERS = (("a", 1), ("b", 2), ("c", 3))
"""Letter and number of the convolutions of a bottleneck."""


def pytorchvideo_stem(source: str, target: str) -> Rules:
    """Names of pytorchvideo/models/stem.py.

    Args:
        source: Regular expression of the stem's name.
        target: Path of the trunk.
    """
    return {
        **conv_rules(rf"{source}\.conv", f"{target}/conv1"),
        **norm_rules(rf"{source}\.norm", f"{target}/bn1"),
    }


def pytorchvideo_shortcut(source: str, target: str) -> Rules:
    r"""Names of the shortcuts of a stage in pytorchvideo/models/resnet.py.

    Args:
        source: Regular expression of the stage's name, without groups.
        target: Path of the stage, such as "backbone/layer1".
    """
    block, place = rf"{source}\.res_blocks\.(\d+)", rf"{target}_\1"
    return {
        **conv_rules(rf"{block}\.branch1_conv", f"{place}/downsample_conv"),
        **norm_rules(rf"{block}\.branch1_norm", f"{place}/downsample_bn"),
    }


def pytorchvideo_stage(source: str, target: str) -> Rules:
    r"""Names of a stage of bottlenecks in pytorchvideo/models/resnet.py.

    Args:
        source: Regular expression of the stage's name, without groups.
        target: Path of the stage, such as "backbone/layer1".
    """
    rules = pytorchvideo_shortcut(source, target)
    block = rf"{source}\.res_blocks\.(\d+)\.branch2"
    for letter, number in LETTERS:
        place = rf"{target}_\1"
        rules |= conv_rules(rf"{block}\.conv_{letter}", f"{place}/conv{number}")
        rules |= norm_rules(rf"{block}\.norm_{letter}", f"{place}/bn{number}")
    return rules


def pyslowfast_shortcut(pathway: int, target: str) -> Rules:
    r"""Names of shortcuts in slowfast/models/resnet_helper.py.

    Args:
        pathway: 0 for the only or the slow one, 1 for the fast one.
        target: Path of the trunk.
    """
    rules = {}
    for stage in range(1, 5):
        block = rf"s{stage + 1}\.pathway{pathway}_res(\d+)"
        place = rf"{target}/layer{stage}_\1"
        rules |= conv_rules(rf"{block}\.branch1", f"{place}/downsample_conv")
        rules |= norm_rules(rf"{block}\.branch1_bn", f"{place}/downsample_bn")
    return rules


def pyslowfast_trunk(pathway: int, target: str) -> Rules:
    r"""Names of slowfast/models/{stem,resnet,nonlocal}_helper.py.

    Args:
        pathway: 0 for the only or the slow one, 1 for the fast one.
        target: Path of the trunk.
    """
    stem = rf"s1\.pathway{pathway}_stem"
    rules = {
        **conv_rules(rf"{stem}\.conv", f"{target}/conv1"),
        **norm_rules(rf"{stem}\.bn", f"{target}/bn1"),
        **pyslowfast_shortcut(pathway, target),
    }
    for stage in range(1, 5):
        start = rf"s{stage + 1}\.pathway{pathway}"
        place = rf"{target}/layer{stage}_\1"
        for letter, number in LETTERS:
            name = rf"{start}_res(\d+)\.branch2\.{letter}"
            rules |= conv_rules(name, f"{place}/conv{number}")
            rules |= norm_rules(f"{name}_bn", f"{place}/bn{number}")
        block, place = rf"{start}_nonlocal(\d+)", f"{place}_non_local"
        for layer in ("theta", "phi", "g", "out"):
            rules |= dense_rules(rf"{block}\.conv_{layer}", f"{place}/{layer}")
        rules |= norm_rules(rf"{block}\.bn", f"{place}/bn")
    return rules


def caffe2_norm(source: str, target: str) -> Rules:
    """Names of a batch norm in the Caffe2 files of PySlowFast's zoo.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params" and "batch_stats".
    """
    return {
        f"{source}_s": (f"params/{target}/scale", same),
        f"{source}_b": (f"params/{target}/bias", same),
        f"{source}_rm": (f"batch_stats/{target}/mean", same),
        # It is the variance, whatever "riv" stands for: slowfast/utils/
        # c2_model_loading.py renames it to running_var.
        f"{source}_riv": (f"batch_stats/{target}/var", same),
    }


def caffe2_conv(source: str, target: str) -> Rules:
    """The name of a convolution without bias in those files.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {f"{source}_w": (f"params/{target}/kernel", kernel_from_torch)}


def caffe2_dense(source: str, target: str) -> Rules:
    """The names of a convolution or linear layer with bias in those files.

    Args:
        source: Regular expression of the layer's name.
        target: Its path below "params".
    """
    return {
        **caffe2_conv(source, target),
        f"{source}_b": (f"params/{target}/bias", same),
    }


def caffe2_trunk(prefix: str, target: str) -> Rules:
    r"""Names of the Caffe2 files, which slowfast/utils/c2_model_loading.py lists.

    Args:
        prefix: "" for the only or the slow pathway, "t_" for the fast one.
        target: Path of the trunk.
    """
    rules = {
        **caffe2_conv(f"{prefix}conv1", f"{target}/conv1"),
        **caffe2_norm(f"{prefix}res_conv1_bn", f"{target}/bn1"),
    }
    for stage in range(1, 5):
        block, place = rf"{prefix}res{stage + 1}_(\d+)", rf"{target}/layer{stage}_\1"
        rules |= caffe2_conv(f"{block}_branch1", f"{place}/downsample_conv")
        rules |= caffe2_norm(f"{block}_branch1_bn", f"{place}/downsample_bn")
        for letter, number in LETTERS:
            name = f"{block}_branch2{letter}"
            rules |= caffe2_conv(name, f"{place}/conv{number}")
            rules |= caffe2_norm(f"{name}_bn", f"{place}/bn{number}")
        block = rf"{prefix}nonlocal_conv{stage + 1}_(\d+)"
        place = f"{place}_non_local"
        for layer in ("theta", "phi", "g", "out"):
            rules |= caffe2_dense(f"{block}_{layer}", f"{place}/{layer}")
        rules |= caffe2_norm(f"{block}_bn", f"{place}/bn")
    return rules


CAFFE2_IGNORED = (r".*_momentum", "lr", "model_iter")
"""What else those files hold: the state of the optimiser."""


def mmaction2_trunk(
    source: str, target: str, kernel: Transform = kernel_from_torch
) -> Rules:
    r"""Names of mmaction/models/backbones/resnet3d.py, with mmcv's non-local blocks.

    Args:
        source: Regular expression of the backbone's name, without groups.
        target: Path of the trunk.
        kernel: Change of layout of the kernels of convolutions.
    """

    def conv(name: str, path: str) -> Rules:
        return {rf"{name}\.conv\.weight": (f"params/{path}/kernel", kernel)}

    rules = conv(rf"{source}\.conv1", f"{target}/conv1")
    rules |= norm_rules(rf"{source}\.conv1\.bn", f"{target}/bn1")
    block, place = rf"{source}\.layer(\d)\.(\d+)", rf"{target}/layer\1_\2"
    for number in (1, 2, 3):
        rules |= conv(rf"{block}\.conv{number}", f"{place}/conv{number}")
        rules |= norm_rules(rf"{block}\.conv{number}\.bn", f"{place}/bn{number}")
    rules |= conv(rf"{block}\.downsample", f"{place}/downsample_conv")
    rules |= norm_rules(rf"{block}\.downsample\.bn", f"{place}/downsample_bn")
    block, place = rf"{block}\.non_local_block", f"{place}_non_local"
    # A layer that a pool follows is the first of a sequence.
    for layer, name in (("theta", "theta"), ("phi", r"phi\.0"), ("g", r"g\.0")):
        rules |= dense_rules(rf"{block}\.{name}\.conv", f"{place}/{layer}")
    rules |= conv(rf"{block}\.conv_out", f"{place}/out")
    return rules | norm_rules(rf"{block}\.conv_out\.bn", f"{place}/bn")


def kernel_3d_from_2d(array: np.ndarray) -> np.ndarray:
    """Turns the torch kernel of an image into ours of one frame.

    Args:
        array: [O, I, H, W].

    Returns:
        [1, H, W, I, O].

    Example:
        >>> kernel_3d_from_2d(np.zeros((64, 3, 7, 7))).shape
        (1, 7, 7, 3, 64)
    """
    return kernel_from_torch(array)[None]


def kernel_2d_from_3d(array: np.ndarray) -> np.ndarray:
    """Undoes `kernel_3d_from_2d`.

    Args:
        array: [1, H, W, I, O].

    Returns:
        [O, I, H, W].
    """
    return kernel_to_torch(array[0])


def _pytorchvideo(stages: tuple[int, ...], head: int) -> Rules:
    """Names of pytorchvideo/models/resnet.py, whose blocks are counted.

    Args:
        stages: Numbers of the blocks that are stages.
        head: Number of the block that is the head.
    """
    rules = pytorchvideo_stem(r"blocks\.0", "backbone")
    for stage, block in enumerate(stages):
        rules |= pytorchvideo_stage(rf"blocks\.{block}", f"backbone/layer{stage + 1}")
    return {**rules, **dense_rules(rf"blocks\.{head}\.proj", "logits")}


PYTORCHVIDEO = Naming("PyTorchVideo", _pytorchvideo((1, 2, 3, 4), head=5))
# The pool after the first stage is block 2.
PYTORCHVIDEO_POOLED = Naming(
    "PyTorchVideo, with a pool", _pytorchvideo((1, 3, 4, 5), head=6)
)
PYSLOWFAST = Naming(
    "facebookresearch/SlowFast",
    {
        **pyslowfast_trunk(0, "backbone"),
        **dense_rules(r"head\.projection", "logits"),
    },
)
CAFFE2 = Naming(
    "facebookresearch/SlowFast in Caffe2",
    {**caffe2_trunk("", "backbone"), **caffe2_dense("pred", "logits")},
    ignore=CAFFE2_IGNORED,
)
_MMACTION2_HEAD = dense_rules(r"cls_head\.fc_cls", "logits")
MMACTION2 = Naming(
    "MMAction2", {**mmaction2_trunk("backbone", "backbone"), **_MMACTION2_HEAD}
)
# MMAction2's C2D is a 2D network: mmaction/models/backbones/c2d.py.
MMACTION2_C2D = Naming(
    "MMAction2",
    {**mmaction2_trunk("backbone", "backbone", kernel_3d_from_2d), **_MMACTION2_HEAD},
    back={kernel_3d_from_2d: kernel_2d_from_3d},
)
