"""Names of Inception-v1."""

import numpy as np

from vidjax.convert.rules import Naming, Transform, same

Rules = dict[str, tuple[str, Transform]]

# Our branch and TF-slim's, whose Mixed_5b calls the last 3x3 convolution 0a.
_BRANCHES = (
    ("b0", "Branch_0/Conv2d_0a_1x1"),
    ("b1_reduce", "Branch_1/Conv2d_0a_1x1"),
    ("b1", "Branch_1/Conv2d_0b_3x3"),
    ("b2_reduce", "Branch_2/Conv2d_0a_1x1"),
    ("b2", "Branch_2/Conv2d_0[ab]_3x3"),
    ("b3", "Branch_3/Conv2d_0b_1x1"),
)
_HEAD = "InceptionV1/Logits/Conv2d_0c_1x1"


def _pointwise_to_matrix(array: np.ndarray) -> np.ndarray:
    """Maps [1, 1, I, O] to [I, O]."""
    return array.reshape(array.shape[-2:])


def _block(source: str, target: str) -> Rules:
    name = f"InceptionV1/InceptionV1/{source}"
    norm = f"{name}/BatchNorm"
    return {
        f"{name}/weights": (f"params/{target}/conv/kernel", same),
        f"{norm}/beta": (f"params/{target}/bn/bias", same),
        f"{norm}/moving_mean": (f"batch_stats/{target}/bn/mean", same),
        f"{norm}/moving_variance": (f"batch_stats/{target}/bn/var", same),
    }


def _tf_slim() -> Rules:
    rules = _block(r"(Conv2d_\w+)", r"\1")
    for ours, theirs in _BRANCHES:
        rules |= _block(rf"(Mixed_\w+)/{theirs}", rf"\1/{ours}")
    rules[f"{_HEAD}/weights"] = ("params/logits/kernel", _pointwise_to_matrix)
    rules[f"{_HEAD}/biases"] = ("params/logits/bias", same)
    return rules


TF_SLIM = Naming(
    "TF-slim",
    _tf_slim(),
    ignore=(r".*/(RMSProp|RMSProp_1|Momentum|ExponentialMovingAverage)", "global_step"),
)
