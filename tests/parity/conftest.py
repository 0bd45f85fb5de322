"""Reference cases: what the original implementations gave, and how to set them up.

A case holds no weights: they are a function of each tensor's name, shape and kind, and
inputs a function of a seed, so a few kilobytes check a network of any size.
"""

import dataclasses
import json
import pathlib
import zlib
from typing import Any

import numpy as np
import pytest

CASES = pathlib.Path(__file__).parent / "cases"

# From the layout of the original's input to [B, T, H, W, C] or [B, H, W, C].
_TO_CLIP = {
    "BCHW": lambda x: x.transpose(0, 2, 3, 1),
    "BTHWC": lambda x: x,
    "BCT": lambda x: x.transpose(0, 2, 1),  # Features: [B, T, C].
    "CT": lambda x: x.T[None],
    "BTCHW": lambda x: x.transpose(0, 1, 3, 4, 2),
    "BCTHW": lambda x: x.transpose(0, 2, 3, 4, 1),
    "BNCTHW": lambda x: x[:, 0].transpose(0, 2, 3, 4, 1),
    "B(TC)HW": lambda x: x.reshape(1, 8, -1, 224, 224).transpose(0, 1, 3, 4, 2),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A published implementation's own numbers.

    Attributes:
        spec: How they were made.
        outputs: By name.
    """

    spec: dict[str, Any]
    outputs: dict[str, np.ndarray]

    def weights(self) -> dict[str, np.ndarray]:
        return {name: self._weight(*rest, name) for name, *rest in self.spec["tensors"]}

    def clip(self) -> np.ndarray | tuple[np.ndarray, ...]:
        clips = tuple(self._input(recipe) for recipe in self.spec["inputs"])
        return clips if len(clips) > 1 else clips[0]

    def _input(self, recipe: dict[str, Any]) -> np.ndarray:
        random = np.random.RandomState(recipe["seed"])
        values = random.standard_normal(recipe["shape"]).astype(np.float32)
        return np.ascontiguousarray(_TO_CLIP[self.spec["layout"]](values))

    def _weight(self, shape: list[int], kind: str, name: str) -> np.ndarray:
        seed = zlib.crc32(name.encode())
        random = np.random.RandomState(seed)
        noise = random.standard_normal(shape).astype(np.float32)
        if kind == "scale":
            return 1 + np.float32(0.1) * noise
        if kind == "shift":
            return np.float32(0.1) * noise
        if kind == "variance":
            return np.float32(0.1) * (1 + np.float32(0.2) * np.abs(noise))
        channels_last = self.spec.get("fan_in_rule") == "prod(shape[:-1])"
        fan_in = np.prod(shape[:-1] if channels_last else shape[1:])
        return noise * np.float32(np.sqrt(0.2 / fan_in))


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The case whose name the test is parametrised with."""
    return read_case(request.param)


def read_case(name: str) -> Case:
    with np.load(CASES / f"{name}.npz") as file:
        spec = json.loads(file["spec"].tobytes())
        outputs = {
            name.removeprefix("out_"): file[name]
            for name in file.files
            if name.startswith("out_")
        }
    return Case(spec, outputs)
