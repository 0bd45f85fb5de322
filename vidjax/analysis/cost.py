"""What a model costs, counted from the program that JAX traces."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.extend import core

import vidjax.models  # noqa: F401 - fills the registry.
from vidjax.models.registry import create_model, model_card


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        name: Registered name.
        clip_shape: Shape (T, H, W, C) of one clip.
        params: Trainable parameters.
        macs: Multiply-adds of one clip: convolutions and products of matrices,
            attention among them. One multiply-add counts once; norms, activations and
            pools do not count.
        layers: (path, parameters, multiply-adds) of each layer that has either, in the
            order of computation.
    """

    name: str
    clip_shape: tuple[int, ...]
    params: int
    macs: int
    layers: tuple[tuple[str, int, int], ...]

    @property
    def gmacs(self) -> float:
        """Multiply-adds of one clip, in units of 1e9."""
        return self.macs / 1e9


def cost(
    name: str, clip_shape: tuple[int, ...] | None = None, **arguments: Any
) -> Cost:
    """Counts the parameters and multiply-adds of a registered model.

    The forward pass is traced, never computed: a loop counts as often as it runs, of
    branches the costliest counts.

    Args:
        name: A registered name.
        clip_shape: Shape (T, H, W, C) of one clip; None takes the card's.
        **arguments: Attributes of the module, such as `num_classes`.

    Returns:
        The cost of one clip.

    Raises:
        ValueError: If the name is unknown, the model does not take such clips, or a
            loop of unknown length holds convolutions or products.
        TypeError: If the module has no such attribute.

    Example:
        >>> cost("resnet50", (1, 224, 224, 3)).params
        25557032
    """
    model = create_model(name, **arguments)
    shape = clip_shape or model_card(name).clip.shape
    if len(shape) != 4:
        raise ValueError(f"clip_shape must be (T, H, W, C), got {shape}.")
    clip = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    program = jax.make_jaxpr(model.apply)(variables, clip)

    macs = layer_macs(program.jaxpr)
    params = _layer_params(variables["params"])
    names = [*macs, *(path for path in params if path not in macs)]
    return Cost(
        name=name,
        clip_shape=shape,
        params=sum(params.values()),
        macs=sum(macs.values()),
        layers=tuple((path, params[path], macs[path]) for path in names),
    )


def layer_macs(jaxpr: core.Jaxpr) -> Counter[str]:
    """Counts the multiply-adds of a program by the layer that asks for them.

    Args:
        jaxpr: The program, of `jax.make_jaxpr`.

    Returns:
        Multiply-adds by path, such as "backbone/conv1"; "" where no layer is known.

    Raises:
        ValueError: If a loop of unknown length holds any.
    """
    found: Counter[str] = Counter()
    for scope, macs in _walk(jaxpr, ""):
        found[_layer(scope)] += macs
    return found


def _walk(jaxpr: core.Jaxpr, scope: str) -> Iterator[tuple[str, int]]:
    """Yields the scope and the multiply-adds of every operation that has some."""
    for equation in jaxpr.eqns:
        here = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
        primitive = equation.primitive.name
        if primitive == "conv_general_dilated":
            yield here, _convolution(equation)
        elif primitive == "dot_general":
            yield here, _product(equation)
        elif primitive == "cond":
            branches = [list(_walk(b.jaxpr, here)) for b in equation.params["branches"]]
            yield from max(branches, key=lambda found: sum(macs for _, macs in found))
        else:
            times = equation.params["length"] if primitive == "scan" else 1
            for inner in _inner_programs(equation):
                for where, macs in _walk(inner, here):
                    if primitive == "while":
                        raise ValueError(
                            f"A loop of unknown length at {where!r} computes "
                            "convolutions or products: its cost cannot be counted."
                        )
                    yield where, times * macs


def _inner_programs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    """Yields the programs that an operation runs, such as those of jit and remat."""
    for value in equation.params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value


def _convolution(equation: core.JaxprEqn) -> int:
    """Every output sums over the kernel's window and its input channels."""
    spec = equation.params["dimension_numbers"].rhs_spec  # (O, I, *space).
    kernel = _shape(equation.invars[1])
    sums = math.prod(kernel[axis] for axis in spec[1:])
    # A transposed convolution spreads its input with zeros, which cost nothing.
    spread = math.prod(equation.params["lhs_dilation"])
    return math.prod(_shape(equation.outvars[0])) * sums // spread


def _product(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = _shape(equation.invars[0])
    sums = math.prod(left[axis] for axis in contracted)
    return math.prod(_shape(equation.outvars[0])) * sums


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _layer(scope: str) -> str:
    """Turns "ResNet/backbone/conv1" into "backbone/conv1"."""
    return scope.partition("/")[2]


def _layer_params(params: dict[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(params)
    for path, array in flat.items():
        found["/".join(path[:-1])] += math.prod(array.shape)
    return found
