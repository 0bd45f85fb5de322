"""The one convolution: 1D, 2D and 3D, over the last axes of an array."""

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vidjax.ops.platform import target_platform

Padding = Literal["SAME", "VALID", "torch"] | tuple[tuple[int, int], ...]
"""How borders are padded with zeros: "SAME" as TensorFlow does (the output has
ceil(size / stride) positions, and an odd zero goes to the end), "VALID" not at all,
"torch" by kernel // 2 on both sides, or pairs (before, after), one for each axis."""

TimePadding = Literal["zeros", "edge"]

# He et al., "Delving Deep into Rectifiers", ICCV 2015, by fan-out as torchvision does.
_KERNEL_INIT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")

# Ours, measured on CPU with jax 0.10.2: XLA's 3D convolution of few channels takes 3 to
# 9 times as long as the joined form below, but with 64 channels and large maps that
# form's gradient is slower; XLA's gradient of a 1x1 kernel takes 10 to 40 times as long
# as that of a matrix product.
_JOIN_CHANNELS = 32


class Conv(nn.Module):
    """Convolution over the axes before the last; axes before those are a batch.

    Attributes:
        features: Output channels.
        kernel_size: Extent along each axis: (T,), (H, W) or (T, H, W).
        strides: Step along each axis, or one number for all.
        padding: See `Padding`.
        use_bias: Whether a learned bias is added.
        groups: Parts into which input and output channels are cut, each part seeing
            only its own; as many as there are channels make a depthwise convolution.
        time_padding: What stands beyond the first and the last frame, for a kernel
            with a time axis: zeros, or the frame at the edge again. With "edge" a
            still clip stays still, so that an inflated network is exact everywhere.
        kernel_init: Initialiser of the kernel.
        bias_init: Initialiser of the bias.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...] | int = 1
    padding: Padding = "SAME"
    use_bias: bool = False
    groups: int = 1
    time_padding: TimePadding = "zeros"
    kernel_init: nn.initializers.Initializer = _KERNEL_INIT
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch_and_space c1"]) -> Float[Array, "..."]:
        """Convolves.

        Args:
            x: [..., H, W, C] or [..., T, H, W, C], by the length of `kernel_size`.

        Returns:
            The same axes, with `features` channels, in `dtype`.

        Raises:
            ValueError: If the stored kernel is for another number of channels, or
                `groups` does not divide the channels.
        """
        self._check_channels(x)
        shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        axes = len(self.kernel_size)
        batch, space = x.shape[: -axes - 1], x.shape[-axes - 1 :]
        strides = self.strides
        strides = (strides,) * axes if isinstance(strides, int) else strides
        pads = _explicit(self.padding, space[:-1], self.kernel_size, strides)
        x = x.astype(self.dtype).reshape(-1, *space)
        if self.time_padding == "edge" and axes == 3:
            x = jnp.pad(x, ((0, 0), pads[0], *((0, 0),) * 3), mode="edge")
            pads = ((0, 0), *pads[1:])
        y = _convolve(x, kernel.astype(self.dtype), strides, pads, self.groups)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,))
            y = y + bias.astype(self.dtype).reshape((1,) * (axes + 1) + (-1,))
        return y.reshape(*batch, *y.shape[1:])

    def _check_channels(self, x: Array) -> None:
        if x.shape[-1] % self.groups or self.features % self.groups:
            raise ValueError(
                f"{self.groups} groups do not divide the {x.shape[-1]} input and "
                f"{self.features} output channels of {'/'.join(self.path)}."
            )
        if not self.has_variable("params", "kernel"):
            return
        want = self.get_variable("params", "kernel").shape[-2] * self.groups
        if x.shape[-1] != want:
            raise ValueError(
                f"Expected {want} channels, for which the kernel of "
                f"{'/'.join(self.path)} was made, got {x.shape[-1]} in an array of "
                f"shape {x.shape}, read as channels last."
            )


class ConvBlock(nn.Module):
    """A convolution, then a norm and an activation where they are given.

    Attributes:
        features: Output channels.
        kernel_size: Extent along each axis: (H, W) or (T, H, W).
        strides: Step along each axis, or one number for all.
        padding: See `Padding`.
        groups: See `Conv`.
        time_padding: See `Conv`.
        norm: Builds the norm; None leaves it out and gives the convolution a bias.
        activation: Applied last; None leaves it out.
        dtype: Computation dtype; parameters stay float32.
    """

    features: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...] | int = 1
    padding: Padding = "SAME"
    groups: int = 1
    time_padding: TimePadding = "zeros"
    norm: Callable[..., nn.Module] | None = None
    activation: Callable[[Array], Array] | None = nn.relu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "*batch_and_space c1"]) -> Float[Array, "..."]:
        """Convolves, normalises, activates.

        Args:
            x: [..., H, W, C] or [..., T, H, W, C], by the length of `kernel_size`.

        Returns:
            The same axes, with `features` channels, in `dtype`.
        """
        x = Conv(
            self.features,
            self.kernel_size,
            self.strides,
            self.padding,
            use_bias=self.norm is None,
            groups=self.groups,
            time_padding=self.time_padding,
            dtype=self.dtype,
            name="conv",
        )(x)
        if self.norm is not None:
            x = self.norm(name="bn")(x)
        return x if self.activation is None else self.activation(x)


def _explicit(
    padding: Padding,
    size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    strides: tuple[int, ...],
) -> tuple[tuple[int, int], ...]:
    """Returns zeros (before, after) along each axis."""
    if padding == "torch":
        return tuple((k // 2, k // 2) for k in kernel_size)
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(size, kernel_size, strides, padding)
        return tuple((before, after) for before, after in pads)
    return padding


def _convolve(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
    groups: int = 1,
) -> Array:
    """Convolves in the form that is fast on the platform; all forms are equal."""
    *extents, channels, features = kernel.shape
    if target_platform() == "cpu" and channels == 1 and features == groups > 1:
        return _convolve_depthwise(x, kernel, strides, pads)
    if target_platform() == "cpu" and groups == 1:
        if all(k == 1 for k in extents) and not any(map(any, pads)):
            return _convolve_pointwise(x, kernel, strides)
        if len(extents) == 3 and channels <= _JOIN_CHANNELS:
            return _convolve_joined(x, kernel, strides, pads)
    space = "THW"[-len(extents) :]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=groups,
    )


def _convolve_depthwise(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
) -> Array:
    """Convolves each channel by itself: shifted inputs times their taps, added up.

    XLA's grouped convolution takes hundreds of times as long on CPU.
    """
    extents = kernel.shape[:-2]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    last = [size - extent for size, extent in zip(x.shape[1:-1], extents, strict=True)]
    parts = []
    for tap in itertools.product(*map(range, extents)):
        window = tuple(
            slice(start, start + end + 1, stride)
            for start, end, stride in zip(tap, last, strides, strict=True)
        )
        weights = kernel[tap].reshape((1,) * (x.ndim - 1) + (-1,))
        parts.append(x[(slice(None), *window)] * weights)
    return functools.reduce(operator.add, parts)


def _convolve_pointwise(x: Array, kernel: Array, strides: tuple[int, ...]) -> Array:
    """Convolves with a kernel of one position by a matrix product."""
    steps = tuple(slice(None, None, stride) for stride in strides)
    return x[(slice(None), *steps)] @ kernel.reshape(kernel.shape[-2:])


def _convolve_joined(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    pads: tuple[tuple[int, int], ...],
) -> Array:
    """Convolves in 3D by one 2D convolution over frames with joined channels.

    Output frame t depends on the input frames under the kernel; their channels side by
    side make one image, and the kernel's time axis joins its input channels.
    """
    extent, *window, channels, features = kernel.shape
    x = jnp.pad(x, ((0, 0), pads[0], (0, 0), (0, 0), (0, 0)))
    last = x.shape[1] - extent
    taps = [x[:, i : i + last + 1 : strides[0]] for i in range(extent)]
    images = jnp.concatenate(taps, axis=-1)
    batch, frames, *size, joined = images.shape
    y = _convolve(
        images.reshape(batch * frames, *size, joined),
        kernel.transpose(1, 2, 0, 3, 4).reshape(*window, extent * channels, features),
        strides[1:],
        pads[1:],
    )
    return y.reshape(batch, frames, *y.shape[1:])
