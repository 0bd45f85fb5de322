"""Programs as flat lists of operations, each with its scope and how often it runs."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core


class Value:
    """An array of a program; it is known by its identity.

    Attributes:
        aval: Its abstract value, which has a shape and a dtype.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Any) -> None:
        self.aval = aval

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; () for what is not an array."""
        return getattr(self.aval, "shape", ())

    @property
    def nbytes(self) -> int:
        """Its size in bytes; 0 for what is not an array of numbers."""
        dtype = getattr(self.aval, "dtype", None)
        if dtype is None or jnp.issubdtype(dtype, jax.dtypes.extended):
            return 0
        return math.prod(self.shape) * dtype.itemsize


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """A step of a program.

    Attributes:
        primitive: Name of what it does, such as "conv_general_dilated"; "carry",
            "unstack", "stack" and "last" stand for what a loop does to its arrays.
        equation: The same as JAX has it; None for what a loop does.
        reads: Operands.
        writes: Results.
        scope: Names of the modules around it, such as "ResNet/layer1_0/conv1".
        times: How often it runs.
        bounded: Whether that is known: False inside a loop of unknown length, where
            `times` counts one turn.
    """

    primitive: str
    equation: core.JaxprEqn | None
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    scope: str
    times: int
    bounded: bool

    @property
    def params(self) -> Mapping[str, Any]:
        """How it does it, by JAX's names."""
        return self.equation.params if self.equation is not None else {}


@dataclasses.dataclass(frozen=True)
class Program:
    """A program without calls, loops and branches.

    A call is replaced by what it computes, a loop by one turn whose operations say how
    often they run, a branch by the one with the most multiply-adds.

    Attributes:
        inputs: Arguments.
        operations: Steps, in their order.
        outputs: Results.
    """

    inputs: tuple[Value, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Value, ...]


def flatten(program: core.ClosedJaxpr, *, results: int | None = None) -> Program:
    """Flattens a program, and leaves out what its results do not need.

    Args:
        program: The program, of `jax.make_jaxpr`.
        results: How many of its results are wanted, from the first; None takes all.

    Returns:
        The same without calls, loops and branches.
    """
    inputs = _fresh(program.jaxpr.invars)
    writer = _Writer()
    outputs = writer.write(program.jaxpr, inputs, _Place("", 1, True))[:results]
    operations = tuple(_needed(writer.operations, outputs))
    return Program(tuple(inputs), operations, tuple(outputs))


def depending_on(program: Program, inputs: Iterable[Value]) -> Program:
    """Leaves out what does not depend on some of a program's inputs.

    Args:
        program: Any program.
        inputs: Those that vary; the others are fixed, as parameters are.

    Returns:
        The program that runs for every change of those inputs.
    """
    varying = set(inputs)
    operations = []
    for operation in program.operations:
        if not varying.isdisjoint(operation.reads):
            varying.update(operation.writes)
            operations.append(operation)
    return dataclasses.replace(program, operations=tuple(operations))


def multiply_adds(operation: Operation) -> int:
    """Counts the multiply-adds of a convolution or a product of arrays.

    A transposed convolution spreads its input with zeros, which cost nothing.

    Args:
        operation: Any operation.

    Returns:
        Multiply-adds of all the times that it runs; 0 for other operations.

    Raises:
        ValueError: If a loop of unknown length runs it.
    """
    if operation.primitive == "conv_general_dilated":
        # Every output sums over the kernel's window and its input channels.
        spec = operation.params["dimension_numbers"].rhs_spec  # (O, I, *space).
        sums = math.prod(operation.reads[1].shape[axis] for axis in spec[1:])
        spread = math.prod(operation.params["lhs_dilation"])
    elif operation.primitive == "dot_general":
        (contracted, _), _ = operation.params["dimension_numbers"]
        sums = math.prod(operation.reads[0].shape[axis] for axis in contracted)
        spread = 1
    else:
        return 0
    if not operation.bounded:
        raise ValueError(
            f"A loop of unknown length at {operation.scope!r} computes convolutions or "
            "products: its cost cannot be counted."
        )
    return operation.times * math.prod(operation.writes[0].shape) * sums // spread


def layer_finder(paths: Iterable[str]) -> Callable[[str], str]:
    """Returns a function that turns scopes into paths of layers.

    Scopes also name transformations and methods, such as "jvp(TSM)/conv1/conv1.pad";
    only what leads to parameters is kept.

    Args:
        paths: Paths of the modules that have parameters, such as "backbone/conv1".

    Returns:
        From a scope to the path of a module that has parameters or holds one that
        does; "" for the whole model.
    """
    known = {""}
    for path in paths:
        names = path.split("/")
        known.update("/".join(names[: i + 1]) for i in range(len(names)))
    found: dict[str, str] = {}

    def find(scope: str) -> str:
        if scope not in found:
            layer = ""
            for part in scope.split("/"):
                longer = f"{layer}/{part}" if layer else part
                layer = longer if longer in known else layer
            found[scope] = layer
        return found[scope]

    return find


def _needed(
    operations: Sequence[Operation], outputs: Iterable[Value]
) -> Iterator[Operation]:
    needed = set(outputs)
    kept = []
    for operation in reversed(operations):
        if not needed.isdisjoint(operation.writes):
            needed.update(operation.reads)
            kept.append(operation)
    return reversed(kept)


def _find(values: Mapping[Any, Value], variables: Iterable[Any]) -> list[Value]:
    return [
        Value(v.aval) if isinstance(v, core.Literal) else values[v] for v in variables
    ]


def _fresh(variables: Iterable[Any]) -> list[Value]:
    return [Value(variable.aval) for variable in variables]


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where operations stand: the scope, how often they run, whether that is known."""

    scope: str
    times: int
    bounded: bool

    def inside(self, scope: str, times: int = 1, *, bounded: bool = True) -> "_Place":
        joined = "/".join(filter(None, (self.scope, scope)))
        return _Place(joined, self.times * times, self.bounded and bounded)


class _Writer:
    """Writes the operations of programs into one list."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def write(
        self, jaxpr: core.Jaxpr, inputs: Sequence[Value], place: _Place
    ) -> list[Value]:
        """Adds the operations of a program and returns its results."""
        values: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        values.update(zip(jaxpr.constvars, _fresh(jaxpr.constvars), strict=True))

        for equation in jaxpr.eqns:
            reads = _find(values, equation.invars)
            here = place.inside(str(equation.source_info.name_stack))
            writes = self._equation(equation, reads, here)
            values.update(zip(equation.outvars, writes, strict=True))
        return _find(values, jaxpr.outvars)

    def _equation(
        self, equation: core.JaxprEqn, reads: list[Value], place: _Place
    ) -> list[Value]:
        name = equation.primitive.name
        if name == "scan":
            return self._scan(equation, reads, place)
        if name == "while":
            return self._while(equation, reads, place)
        if name == "cond":
            return self._costliest(equation.params["branches"], reads[1:], place)
        called = _called(equation, reads)
        if called is not None:
            return self.write(called, reads, place)
        for inner in _inner_programs(equation):  # Kernels: only their cost is known.
            self.write(inner, _fresh(inner.invars), place)
        writes = _fresh(equation.outvars)
        self._add(name, reads, writes, place, equation)
        return writes

    def _scan(
        self, equation: core.JaxprEqn, reads: list[Value], place: _Place
    ) -> list[Value]:
        body: core.Jaxpr = equation.params["jaxpr"].jaxpr
        consts, carries = equation.params["num_consts"], equation.params["num_carry"]
        inputs = _fresh(body.invars)
        inputs[:consts] = reads[:consts]
        for i in range(consts, len(inputs)):
            carried = i < consts + carries
            # What comes around depends on everything; a slice on its array.
            self._add(
                "carry" if carried else "unstack",
                [reads[i], *reads] if carried else [reads[i]],
                [inputs[i]],
                place,
            )
        times = place.inside("", equation.params["length"])
        results = self.write(body, inputs, times)
        around = results[:carries]
        writes = _fresh(equation.outvars)
        for i, (result, write) in enumerate(zip(results, writes, strict=True)):
            name = "last" if i < carries else "stack"
            self._add(name, [result, *around], [write], place)
        return writes

    def _while(
        self, equation: core.JaxprEqn, reads: list[Value], place: _Place
    ) -> list[Value]:
        body: core.Jaxpr = equation.params["body_jaxpr"].jaxpr
        test: core.Jaxpr = equation.params["cond_jaxpr"].jaxpr
        for_test = equation.params["cond_nconsts"]
        for_body = equation.params["body_nconsts"]
        carries = _fresh(body.invars[for_body:])
        for i, carry in enumerate(carries, start=for_test + for_body):
            self._add("carry", [reads[i], *reads], [carry], place)
        turn = place.inside("", bounded=False)
        going = self.write(test, [*reads[:for_test], *carries], turn)
        consts = reads[for_test : for_test + for_body]
        results = self.write(body, [*consts, *carries], turn)
        writes = _fresh(equation.outvars)
        for result, write in zip(results, writes, strict=True):
            self._add("last", [result, *results, *going], [write], place)
        return writes

    def _costliest(
        self, branches: Sequence[Any], reads: list[Value], place: _Place
    ) -> list[Value]:
        found: list[tuple[int, _Writer, list[Value]]] = []
        for branch in branches:
            writer = _Writer()
            writes = writer.write(branch.jaxpr, reads, place)
            found.append((sum(map(multiply_adds, writer.operations)), writer, writes))
        _, writer, writes = max(found, key=lambda item: item[0])
        self.operations += writer.operations
        return writes

    def _add(
        self,
        name: str,
        reads: Sequence[Value],
        writes: Sequence[Value],
        place: _Place,
        equation: core.JaxprEqn | None = None,
    ) -> None:
        self.operations.append(
            Operation(
                name,
                equation,
                tuple(reads),
                tuple(writes),
                place.scope,
                place.times,
                place.bounded,
            )
        )


def _called(equation: core.JaxprEqn, reads: Sequence[Value]) -> core.Jaxpr | None:
    """Returns the program that an equation runs once on its own operands, if any.

    Those of jit, remat and custom derivatives do; a reduction's program takes scalars.
    """
    inner = list(_inner_programs(equation))
    if len(inner) != 1 or len(inner[0].outvars) != len(equation.outvars):
        return None
    shapes = [getattr(variable.aval, "shape", ()) for variable in inner[0].invars]
    return inner[0] if shapes == [value.shape for value in reads] else None


def _inner_programs(equation: core.JaxprEqn) -> Iterator[core.Jaxpr]:
    for value in equation.params.values():
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
