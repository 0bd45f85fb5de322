"""Convolutions that see the same window of space, with and without time, compared."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from vidjax.analysis.cost import Cost, module_cost
from vidjax.layers.conv import Conv
from vidjax.layers.factorised import (
    Factorised,
    InteractionPreserved,
    middle_channels,
)
from vidjax.layers.norm import BatchNorm
from vidjax.models.registry import create_model

CHANNELS = 64
MAP_SHAPE = (16, 56, 56, CHANNELS)
"""Shape (T, H, W, C) of what the kernels read: the first stage of the 18-layer networks
of Tran et al. (https://arxiv.org/abs/1711.11248) on 16 frames of 112 pixels."""
CLIP_SHAPE = (16, 112, 112, 3)
"""Shape (T, H, W, C) of that clip."""

_conv = functools.partial(Conv, padding="torch")


def _plain(kernel_size: tuple[int, ...]) -> Callable[..., nn.Module]:
    return lambda norm: _conv(CHANNELS, kernel_size, name="conv")


def _factorised(middle: int) -> Callable[..., nn.Module]:
    whole = (CHANNELS, (3, 3, 3), (1, 1, 1), middle, False)
    return lambda norm: Factorised(*whole, _conv, norm, name="conv")


def _separated(norm: Callable[..., nn.Module]) -> nn.Module:
    return InteractionPreserved(CHANNELS, (1, 1, 1), _conv, norm, name="conv")


_MIDDLE = middle_channels(CHANNELS, CHANNELS)

# What it is called, the window (T, H, W) that it sees, what builds it from a norm.
KERNELS: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "2D: 3x3 on each frame": ("1x3x3", _plain((3, 3))),
    "3D: 3x3x3": ("3x3x3", _plain((3, 3, 3))),
    f"(2+1)D: 1x3x3 to {_MIDDLE} channels, 3x1x1": ("3x3x3", _factorised(_MIDDLE)),
    f"separable: 1x3x3 to {CHANNELS} channels, 3x1x1": (
        "3x3x3",
        _factorised(CHANNELS),
    ),
    "channel-separated: 1x1x1, depthwise 3x3x3": ("3x3x3", _separated),
}


class Layer(nn.Module):
    """A convolution with batch norm and relu.

    Attributes:
        build: Makes the convolution from what builds a norm.
    """

    build: Callable[..., nn.Module]

    @nn.compact
    def __call__(
        self, x: Float[Array, "b t h w c"], *, train: bool = False
    ) -> Float[Array, "b t h w c"]:
        """Convolves, normalises, activates.

        Args:
            x: [B, T, H, W, C], C being `CHANNELS`.
            train: Whether to use batch statistics.

        Returns:
            A map of the same shape.
        """
        norm: Any = functools.partial(BatchNorm, train)
        return nn.relu(norm(name="bn")(self.build(norm)(x)))


def kernel_costs() -> dict[str, tuple[str, Cost]]:
    """Counts what one layer of each kind costs on a map of `MAP_SHAPE`.

    Returns:
        For each kind, by its name, the window "TxHxW" that it sees and its cost.
    """
    return {
        name: (window, module_cost(Layer(build), MAP_SHAPE))
        for name, (window, build) in KERNELS.items()
    }


def network_costs() -> dict[str, Cost]:
    """Counts what networks of 18 layers cost that differ in their kernels alone.

    Returns:
        The cost of one clip of `CLIP_SHAPE` for each kind, by its name. The first four
        keep all frames to the last map, as MC3 does; the last two are those that are
        registered, which halve time wherever they halve space.
    """
    whole: Any = create_model("r3d_18")
    mixed: Any = create_model("mc3_18")
    factorised: Any = create_model("r2plus1d_18")
    steps = mixed.layout.strides
    flat = {"kinds": ("2d",) * 4, "stem_kernel": (1, 7, 7)}

    def changed(model: Any, **changes: Any) -> nn.Module:
        return model.clone(layout=dataclasses.replace(model.layout, **changes))

    networks: dict[str, nn.Module] = {
        "2D": changed(mixed, **flat),
        "3D, then 2D (`mc3_18`)": mixed,
        "3D": changed(whole, strides=steps),
        "(2+1)D": changed(factorised, strides=steps),
        "3D, time halved (`r3d_18`)": whole,
        "(2+1)D, time halved (`r2plus1d_18`)": factorised,
    }
    return {name: module_cost(model, CLIP_SHAPE) for name, model in networks.items()}
