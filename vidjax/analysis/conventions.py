"""The four rules by which published tables count what a model computes."""

import contextlib
import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import jax
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core

from vidjax.analysis.program import Program, multiply_adds

ConventionName = Literal["macs", "pytorchvideo", "mmaction2", "xla"]


@dataclasses.dataclass(frozen=True)
class Convention:
    """What is counted beside the multiply-adds of convolutions and products.

    Attributes:
        batch_norm: Count of each element that enters a batch norm.
        other_norm: Count of each element that enters another norm.
        head: Whether the classifier counts.
        used_by: Which published tables count so.
        rule: The same in words.
    """

    batch_norm: int
    other_norm: int
    head: bool
    used_by: str
    rule: str


# Norms: fvcore counts 5 an element in training mode (fvcore/nn/jit_handles.py,
# norm_flop_counter); mmengine, a fork of it, 2 for batch norm in evaluation mode and 5
# for the others (mmengine/analysis/jit_handles.py), and MMAction2's table leaves the
# head out (tools/analysis_tools/get_flops.py runs extract_feat).
CONVENTIONS: dict[ConventionName, Convention] = {
    "macs": Convention(
        0,
        0,
        True,
        "the SlowFast and X3D papers, torchvision, some rows of PyTorchVideo",
        "multiply-adds of convolutions, linear layers and attention's products",
    ),
    "pytorchvideo": Convention(
        5, 5, True, "PyTorchVideo", "and 5 for every element that enters a norm"
    ),
    "mmaction2": Convention(
        2,
        5,
        False,
        "MMAction2",
        "and 2 for every element that enters a batch norm (5 for other norms); the "
        "classifier is left out",
    ),
    "xla": Convention(
        0,
        0,
        True,
        "Scenic, ViViT",
        "half of what XLA counts of the program before it is optimised, elementwise "
        "operations among it; a padding's zeros do not count",
    ),
}

_BATCH, _OTHER = "vidjax.batch_norm", "vidjax.other_norm"


@contextlib.contextmanager
def marked_norms() -> Iterator[None]:
    """Makes every norm mark, in the program, the array that enters it.

    A norm is a module whose class is called "...Norm"; one inside another does not
    count again. The mark is an operation that changes nothing, so a loop around it, a
    `jax.vmap` or `nn.remat` multiplies it as it does the norm.

    Yields:
        Nothing.
    """

    def mark(
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if context.method_name != "__call__" or not args or not _is_norm(module):
            return call(*args, **kwargs)
        if _is_norm(module.parent):
            return call(*args, **kwargs)
        kind = _BATCH if type(module).__name__.endswith("BatchNorm") else _OTHER
        return call(checkpoint_name(args[0], kind), *args[1:], **kwargs)

    with nn.intercept_methods(mark):
        yield


def count(
    program: Program, convention: ConventionName, layer: Callable[[str], str]
) -> Counter[str]:
    """Counts a program by a convention.

    Args:
        program: A model's forward pass, traced under `marked_norms`.
        convention: Its name.
        layer: From the scope of an operation to the path of its layer.

    Returns:
        The count of every layer that has one.

    Raises:
        ValueError: If there is no such convention, or a loop of unknown length holds
            convolutions or products.
    """
    if convention not in CONVENTIONS:
        raise ValueError(
            f"convention must be one of {', '.join(get_args(ConventionName))}, got "
            f"{convention!r}."
        )
    if convention == "xla":
        return _half_of_xla(program, layer)
    rule = CONVENTIONS[convention]
    elements = {_BATCH: rule.batch_norm, _OTHER: rule.other_norm}
    found: Counter[str] = Counter()
    for operation in program.operations:
        path = layer(operation.scope)
        if path.partition("/")[0] == "logits" and not rule.head:
            continue
        found[path] += multiply_adds(operation)
        if operation.primitive == "name":
            size = operation.times * math.prod(operation.writes[0].shape)
            found[path] += elements.get(operation.params["name"], 0) * size
    return +found


def _is_norm(module: Any) -> bool:
    return type(module).__name__.endswith("Norm")


def _half_of_xla(program: Program, layer: Callable[[str], str]) -> Counter[str]:
    """Lowers every operation by itself, so that loops count as often as they run."""
    seen: dict[Any, float] = {}
    found: Counter[str] = Counter()
    for operation in program.operations:
        if operation.equation is None:
            continue
        avals = tuple(value.aval for value in operation.reads)
        key = (operation.primitive, str(operation.params), avals)
        if key not in seen:
            seen[key] = _lowered_flops(operation.equation)
        found[layer(operation.scope)] += round(operation.times * seen[key] / 2)
    return +found


def _lowered_flops(equation: core.JaxprEqn) -> float:
    avals = [v.aval for v in equation.invars if not isinstance(v, core.Literal)]
    run = jax.jit(functools.partial(_run, equation))
    lowered = run.lower(*map(_struct, avals))
    return (lowered.cost_analysis() or {}).get("flops", 0.0)


def _run(equation: core.JaxprEqn, *arrays: Any) -> Any:
    waiting = iter(arrays)
    operands = [
        v.val if isinstance(v, core.Literal) else next(waiting) for v in equation.invars
    ]
    return equation.primitive.bind(*operands, **equation.params)


def _struct(aval: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)
