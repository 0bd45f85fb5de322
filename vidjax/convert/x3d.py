"""Names of X3D."""

import numpy as np

from vidjax.convert.rules import (
    Arrays,
    Naming,
    Transform,
    conv_rules,
    dense_rules,
    norm_rules,
)

Rules = dict[str, tuple[str, Transform]]

_EPSILON = 1e-5  # Of the batch norms.


def _slowfast() -> Rules:
    """Names of facebookresearch/SlowFast: stage "s2" is our "layer1"."""
    stem = r"s1\.pathway0_stem"
    rules = {
        **conv_rules(rf"{stem}\.conv_xy", "conv1_xy"),
        **conv_rules(rf"{stem}\.conv", "conv1_t"),
        **norm_rules(rf"{stem}\.bn", "bn1"),
        **conv_rules(r"head\.conv_5", "conv5"),
        **norm_rules(r"head\.conv_5_bn", "bn5"),
        **conv_rules(r"head\.lin_5", "lin5"),
        **dense_rules(r"head\.projection", "logits"),
    }
    for stage in range(1, 5):
        block, place = rf"s{stage + 1}\.pathway0_res(\d+)", rf"layer{stage}_\1"
        rules |= conv_rules(rf"{block}\.branch1", f"{place}/downsample_conv")
        rules |= norm_rules(rf"{block}\.branch1_bn", f"{place}/downsample_bn")
        rules |= dense_rules(rf"{block}\.branch2\.se\.(fc[12])", rf"{place}/se/\2")
        for i, letter in enumerate("abc", start=1):
            part = rf"{block}\.branch2\.{letter}"
            rules |= conv_rules(part, f"{place}/conv{i}")
            rules |= norm_rules(f"{part}_bn", f"{place}/bn{i}")
    return rules


def _pytorchvideo() -> Rules:
    """Names of PyTorchVideo, whose stem calls its convolutions by each other's names.

    "conv_t" is the one over space, "conv_xy" the one over time
    (pytorchvideo/models/x3d.py, create_x3d_stem).
    """
    pool = r"blocks\.5\.pool"
    rules = {
        **conv_rules(r"blocks\.0\.conv\.conv_t", "conv1_xy"),
        **conv_rules(r"blocks\.0\.conv\.conv_xy", "conv1_t"),
        **norm_rules(r"blocks\.0\.norm", "bn1"),
        **conv_rules(rf"{pool}\.pre_conv", "conv5"),
        **norm_rules(rf"{pool}\.pre_norm", "bn5"),
        **conv_rules(rf"{pool}\.post_conv", "lin5"),
        **dense_rules(r"blocks\.5\.proj", "logits"),
    }
    block, place = r"blocks\.([1-4])\.res_blocks\.(\d+)", r"layer\1_\2"
    rules |= conv_rules(rf"{block}\.branch1_conv", f"{place}/downsample_conv")
    rules |= norm_rules(rf"{block}\.branch1_norm", f"{place}/downsample_bn")
    for i, letter in enumerate("abc", start=1):
        # Behind the second convolution, norm and squeeze-excitation are one module.
        norm = r"norm_b\.0" if letter == "b" else f"norm_{letter}"
        rules |= conv_rules(rf"{block}\.branch2\.conv_{letter}", f"{place}/conv{i}")
        rules |= norm_rules(rf"{block}\.branch2\.{norm}", f"{place}/bn{i}")
    squeeze = rf"{block}\.branch2\.norm_b\.1\.block"
    rules |= dense_rules(rf"{squeeze}\.0", f"{place}/se/fc1")
    return rules | dense_rules(rf"{squeeze}\.2", f"{place}/se/fc2")


def _mmaction2() -> Rules:
    """Names of mmaction/models/backbones/x3d.py and heads/x3d_head.py."""
    rules = {
        **conv_rules(r"backbone\.conv1_s\.conv", "conv1_xy"),
        **conv_rules(r"backbone\.conv1_t\.conv", "conv1_t"),
        **norm_rules(r"backbone\.conv1_t\.bn", "bn1"),
        **conv_rules(r"backbone\.conv5\.conv", "conv5"),
        **norm_rules(r"backbone\.conv5\.bn", "bn5"),
        r"cls_head\.fc1\.weight": ("params/lin5/kernel", _pointwise_from_linear),
        **dense_rules(r"cls_head\.fc2", "logits"),
    }
    block, place = r"backbone\.layer([1-4])\.(\d+)", r"layer\1_\2"
    rules |= conv_rules(rf"{block}\.conv([123])\.conv", rf"{place}/conv\3")
    rules |= norm_rules(rf"{block}\.conv([123])\.bn", rf"{place}/bn\3")
    rules |= dense_rules(rf"{block}\.se_module\.(fc[12])", rf"{place}/se/\3")
    rules |= conv_rules(rf"{block}\.downsample\.conv", f"{place}/downsample_conv")
    return rules | norm_rules(rf"{block}\.downsample\.bn", f"{place}/downsample_bn")


def _pointwise_from_linear(array: np.ndarray) -> np.ndarray:
    """Maps [O, I] to [1, 1, 1, I, O]."""
    return array.T[None, None, None]


def _pointwise_to_linear(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, 1, I, O] to [O, I]."""
    return array[0, 0, 0].T


def _add_first_shortcut_norm(arrays: Arrays) -> Arrays:
    """Gives the first shortcut the batch norm that PyTorchVideo leaves out.

    Its scale undoes the division by the root of variance and epsilon, so it changes
    nothing; in training it takes part as in the other code bases.
    """
    block = r"blocks.1.res_blocks.0"
    kernel = arrays.get(f"{block}.branch1_conv.weight")
    norm = f"{block}.branch1_norm"
    if kernel is None or f"{norm}.weight" in arrays:
        return dict(arrays)
    channels = np.ones(kernel.shape[0], kernel.dtype)
    return {
        **arrays,
        f"{norm}.weight": channels * np.float32(np.sqrt(1 + _EPSILON)),
        f"{norm}.bias": 0 * channels,
        f"{norm}.running_mean": 0 * channels,
        f"{norm}.running_var": channels,
    }


SLOWFAST = Naming("facebookresearch/SlowFast", _slowfast())
PYTORCHVIDEO = Naming("PyTorchVideo", _pytorchvideo(), prepare=_add_first_shortcut_norm)
MMACTION2 = Naming(
    "MMAction2",
    _mmaction2(),
    back={_pointwise_from_linear: _pointwise_to_linear},
)
