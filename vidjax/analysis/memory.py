"""How many bytes of activations a program holds.

An array is taken to be stored if a convolution, a product, a pool, a slice, a
concatenation or a loop reads or makes it, or if a sum makes it. Chains of elementwise
operations, reshapes and broadcasts are part of what reads them, as XLA fuses them.
Arguments (the clip, parameters, statistics) and what is computed from parameters alone
are no activations.
"""

from collections import Counter
from collections.abc import Callable, Iterable

from vidjax.analysis.program import Operation, Program, Value

_VIEWS = frozenset(
    (
        *("broadcast_in_dim", "copy", "expand_dims", "last", "name"),
        *("optimization_barrier", "reshape", "squeeze", "unstack"),
    )
)
_ELEMENTWISE = frozenset(
    (
        *("abs", "add", "add_any", "and", "cbrt", "ceil", "clamp"),
        *("convert_element_type", "cos", "div", "eq", "erf", "erf_inv", "erfc"),
        *("exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite"),
        *("le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg"),
        *("not", "or", "pow", "reduce_precision", "rem", "round", "rsqrt"),
        *("select_n", "sign", "sin", "sqrt", "square", "sub", "tan", "tanh", "xor"),
    )
)
# These read what they fuse with, and write an array.
_REDUCTIONS = frozenset(
    (
        *("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min"),
        *("reduce_or", "reduce_prod", "reduce_sum"),
    )
)

_Stored = frozenset[Value]
_NOTHING: _Stored = frozenset()


def live_bytes(
    program: Program, varying: Iterable[Value], layer: Callable[[str], str]
) -> dict[str, int]:
    """Counts the activations alive at a time while a program runs in its order.

    An array lives from the operation that computes it to the last that needs it;
    nothing is overwritten in place.

    Args:
        program: A model's forward pass.
        varying: Those of its inputs that activations depend on: the clip.
        layer: From the scope of an operation to the path of its layer.

    Returns:
        For every layer, the most bytes alive while one of its operations runs. Their
        maximum is that of the program.
    """
    stored = _stored(program, varying, also=program.outputs)
    born: dict[Value, int] = {}
    dies: dict[Value, int] = {}
    for index, operation in enumerate(program.operations):
        for value in operation.writes:
            if value in stored.get(value, _NOTHING):
                born[value] = dies[value] = index
        for value in operation.reads:
            for array in stored.get(value, _NOTHING):
                dies[array] = index
    for value in program.outputs:
        for array in stored.get(value, _NOTHING):
            dies[array] = len(program.operations)

    changes = [0] * (len(program.operations) + 2)
    for array, index in born.items():
        changes[index] += array.nbytes
        changes[dies[array] + 1] -= array.nbytes
    most: dict[str, int] = {}
    alive = 0
    for operation, change in zip(program.operations, changes, strict=False):
        alive += change
        path = layer(operation.scope)
        most[path] = max(most.get(path, 0), alive)
    return most


def kept_bytes(
    program: Program, varying: Iterable[Value], layer: Callable[[str], str]
) -> Counter[str]:
    """Counts the activations that a forward pass keeps for the backward pass.

    Args:
        program: A forward pass whose outputs are the residuals of `jax.vjp`.
        varying: Those of its inputs that activations depend on: the clip and the key.
        layer: From the scope of an operation to the path of its layer.

    Returns:
        Bytes of the kept arrays by the layer that computes them, each once. What
        elementwise operations make from other arrays, such as the sign that a relu
        needs, is kept itself only where that takes less.
    """
    arguments = frozenset(program.inputs)
    stored = _stored(program, varying, also=())
    residuals = {v: stored.get(v, _NOTHING) for v in program.outputs}
    kept = {value for value, arrays in residuals.items() if value in arrays}
    for value, arrays in sorted(residuals.items(), key=lambda item: -item[0].nbytes):
        missing = arrays - kept - arguments
        if sum(array.nbytes for array in missing) > value.nbytes:
            kept.add(value)
        else:
            kept |= missing
    found: Counter[str] = Counter()
    for operation in program.operations:
        for value in operation.writes:
            if value in kept:
                found[layer(operation.scope)] += value.nbytes
    return found


def _stored(
    program: Program, varying: Iterable[Value], *, also: Iterable[Value]
) -> dict[Value, _Stored]:
    """Returns, for every activation, the stored arrays from which it is made.

    A stored array is made from itself. What depends on no varying input is left out.
    """
    read = _read_as_arrays(program.operations, also)
    stored = {value: frozenset((value,)) for value in varying}
    for operation in program.operations:
        sources = [stored.get(value, _NOTHING) for value in operation.reads]
        if not any(sources):
            continue
        if operation.primitive == "optimization_barrier":
            stored.update(zip(operation.writes, sources, strict=True))
            continue
        for value in operation.writes:
            if operation.primitive in _VIEWS:
                stored[value] = sources[0]
            elif operation.primitive in _ELEMENTWISE and value not in read:
                stored[value] = _NOTHING.union(*sources)
            else:
                stored[value] = frozenset((value,))
    return stored


def _read_as_arrays(
    operations: tuple[Operation, ...], also: Iterable[Value]
) -> set[Value]:
    """Returns what is read where it cannot be fused, seen through reshapes."""
    read = set(also)
    for operation in reversed(operations):
        if operation.primitive in _VIEWS:
            if not read.isdisjoint(operation.writes):
                read.update(operation.reads)
        elif operation.primitive not in _ELEMENTWISE | _REDUCTIONS:
            read.update(operation.reads)
    return read
