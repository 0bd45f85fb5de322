"""Names of S3D and S3D-G."""

import numpy as np

from vidjax.convert.rules import (
    Naming,
    Transform,
    conv_rules,
    matrix_from_pointwise,
    norm_rules,
    same,
)

Rules = dict[str, tuple[str, Transform]]

# Of torchvision, the place of a stage in its sequence.
_SEPARABLE = {"Conv2d_1a_7x7": 0, "Conv2d_2c_3x3": 3}
_MIXED = {
    "Mixed_3b": 5,
    "Mixed_3c": 6,
    "Mixed_4b": 8,
    "Mixed_4c": 9,
    "Mixed_4d": 10,
    "Mixed_4e": 11,
    "Mixed_4f": 12,
    "Mixed_5b": 14,
    "Mixed_5c": 15,
}
# Ours to torchvision's.
_BRANCHES = {
    "b0": "branch0",
    "b1_reduce": r"branch1\.0",
    "b1/spatial": r"branch1\.1\.0",
    "b1/temporal": r"branch1\.1\.1",
    "b2_reduce": r"branch2\.0",
    "b2/spatial": r"branch2\.1\.0",
    "b2/temporal": r"branch2\.1\.1",
    "b3": r"branch3\.1",
}


def _torchvision() -> Rules:
    """Names of torchvision/models/video/s3d.py."""

    def block(source: str, target: str) -> Rules:
        return {
            **conv_rules(rf"features\.{source}\.0", f"{target}/conv"),
            **norm_rules(rf"features\.{source}\.1", f"{target}/bn"),
        }

    rules = block("2", "Conv2d_2b_1x1")
    for stage, index in _SEPARABLE.items():
        rules |= block(rf"{index}\.0", f"{stage}/spatial")
        rules |= block(rf"{index}\.1", f"{stage}/temporal")
    for stage, index in _MIXED.items():
        for ours, theirs in _BRANCHES.items():
            rules |= block(rf"{index}\.{theirs}", f"{stage}/{ours}")
    rules[r"classifier\.1\.weight"] = ("params/logits/kernel", matrix_from_pointwise)
    rules[r"classifier\.1\.bias"] = ("params/logits/bias", same)
    return rules


def _channel_vector(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, 1, 1, C] to [C]."""
    return array.reshape(array.shape[-1])


def _unfold_pixels(kernel: np.ndarray) -> np.ndarray:
    """Undoes that blocks of 2x2x2 pixels became the input channels of a kernel.

    Args:
        kernel: [T, H, W, 8 C, O], or [T, H, W, C, O] with less than 8 channels, which
            is returned as it is.

    Returns:
        [2 T, 2 H, 2 W, C, O], for the clip itself.

    References:
        space_to_depth_batch of google-deepmind/deepmind-research, mmv/eval_ucf101.py.
    """
    t, h, w, joined, features = kernel.shape
    if joined < 8:
        return kernel
    kernel = kernel.reshape(t, h, w, 2, 2, 2, joined // 8, features)
    kernel = kernel.transpose(0, 3, 1, 4, 2, 5, 6, 7)
    return kernel.reshape(2 * t, 2 * h, 2 * w, joined // 8, features)


def _deepmind() -> Rules:
    """Names that Haiku gives the modules of mmv/models/s3d.py in the whole of MMV."""
    model = "audio_text_video_model/visual_module/~/S3D"

    def unit(source: str, target: str, second: str = "") -> Rules:
        name = f"{model}/{source}"
        norm = rf"{name}/\w*batch_norm{second}"
        stem = source == "Conv2d_1a_7x7"
        return {
            f"params/{name}/~/conv3_d{second}/w": (
                f"params/{target}/conv/kernel",
                _unfold_pixels if stem else same,
            ),
            f"params/{norm}/scale": (f"params/{target}/bn/scale", _channel_vector),
            f"params/{norm}/offset": (f"params/{target}/bn/bias", _channel_vector),
            f"state/{norm}/~/mean_ema/average": (
                f"batch_stats/{target}/bn/mean",
                _channel_vector,
            ),
            f"state/{norm}/~/var_ema/average": (
                f"batch_stats/{target}/bn/var",
                _channel_vector,
            ),
        }

    def separable(source: str, target: str) -> Rules:
        first = unit(source, f"{target}/spatial")
        return first | unit(source, f"{target}/temporal", "_1")

    def gate(source: str, target: str) -> Rules:
        name = f"params/{model}/{source}/self_gating"
        place = f"params/{target}_gate/dense"
        return {
            f"{name}/w": (f"{place}/kernel", same),
            f"{name}/b": (f"{place}/bias", same),
        }

    rules = unit("Conv2d_1a_7x7", "Conv2d_1a_7x7")
    rules |= unit("Conv2d_2b_1x1", "Conv2d_2b_1x1")
    rules |= separable("Conv2d_2c_3x3", "Conv2d_2c_3x3")
    rules |= gate("Conv2d_2c_3x3", "Conv2d_2c_3x3")
    mixed = r"(Mixed_\w+)"
    for branch, name in ((0, "0a_1x1"), (1, "0b_3x3"), (2, "0b_3x3"), (3, "0b_1x1")):
        source = f"{mixed}/Branch_{branch}_Conv2d_{name}"
        kind = separable if branch in (1, 2) else unit
        rules |= kind(source, rf"\1/b{branch}") | gate(source, rf"\1/b{branch}")
    for branch in (1, 2):
        source = f"{mixed}/Branch_{branch}_Conv2d_0a_1x1"
        rules |= unit(source, rf"\1/b{branch}_reduce")
    return rules


TORCHVISION = Naming("torchvision", _torchvision())
DEEPMIND = Naming(
    "google-deepmind/deepmind-research's MMV",
    _deepmind(),
    # The networks for sound and text, and what Haiku needs to go on averaging.
    ignore=(
        r"(params|state)/audio_text_video_model/(?!visual_module/).+",
        r"state/.+/(mean|var)_ema/(hidden|counter)",
    ),
)
