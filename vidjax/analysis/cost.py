"""What a model costs, counted from the programs that JAX traces."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

import vidjax.models  # noqa: F401 - fills the registry.
from vidjax.analysis.conventions import ConventionName, count, marked_norms
from vidjax.analysis.memory import kept_bytes, live_bytes
from vidjax.analysis.program import Program, depending_on, flatten, layer_finder
from vidjax.models.registry import create_model, model_card
from vidjax.ops.platform import compile_for

_MOST_ROWS = 50


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one layer costs, without the layers inside it.

    Attributes:
        path: Where its parameters are, such as "backbone/layer1_0/conv1"; "" for what
            the model computes outside of its layers.
        params: Trainable parameters.
        macs: Multiply-adds, or what the convention counts.
        forward_bytes: The most bytes of activations alive while it computes.
        training_bytes: Bytes of the activations that it computes and a training step
            keeps for its backward pass.
    """

    path: str
    params: int
    macs: int
    forward_bytes: int | None = None
    training_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model costs on a batch of clips.

    Attributes:
        name: Registered name, or the class of a module.
        clip_shape: Shape (T, H, W, C) of one clip.
        batch: Clips in the batch.
        convention: How multiply-adds were counted; see
            `vidjax.analysis.conventions.CONVENTIONS`.
        params: Trainable parameters.
        macs: Multiply-adds of the batch. One multiply-add counts once. By the
            convention "macs": convolutions and products of matrices, attention among
            them; norms, activations and pools do not count.
        forward_bytes: The most bytes of activations alive at a time in a forward pass.
        training_bytes: Bytes of activations that a training step keeps for its backward
            pass; fewer where blocks are computed again (`remat`). Of both, see
            `vidjax.analysis.memory`; None where they were not asked for.
        layers: The same by layer, in the order of computation. Parameters,
            multiply-adds and `training_bytes` add up to those of the model; of
            `forward_bytes` the largest is that of the model.
    """

    name: str
    clip_shape: tuple[int, ...]
    batch: int
    convention: ConventionName
    params: int
    macs: int
    forward_bytes: int | None
    training_bytes: int | None
    layers: tuple[LayerCost, ...]

    @property
    def gmacs(self) -> float:
        """Multiply-adds in units of 1e9."""
        return self.macs / 1e9

    def by_depth(self, depth: int | None = None) -> tuple[LayerCost, ...]:
        """Joins layers that share the start of their paths.

        Args:
            depth: Names of a path that are kept, at least 1; None keeps as many as give
                a table of 50 rows at most.

        Returns:
            The joined layers, in the order of computation.

        Raises:
            ValueError: If `depth` is less than 1.
        """
        if depth is not None:
            return _join(self.layers, depth)
        deepest = max((row.path.count("/") + 1 for row in self.layers), default=1)
        tables = [_join(self.layers, d) for d in range(1, deepest + 1)]
        short = [table for table in tables if len(table) <= _MOST_ROWS]
        return short[-1] if short else tables[0]


def cost(
    name: str,
    clip_shape: tuple[int, ...] | None = None,
    *,
    batch: int = 1,
    convention: ConventionName = "macs",
    activations: bool = True,
    **arguments: Any,
) -> Cost:
    """Counts the parameters, multiply-adds and activations of a registered model.

    The model is traced, never computed. A loop counts as often as it runs, of branches
    the costliest counts, and layers take their plain forms, those of an accelerator.

    Args:
        name: A registered name.
        clip_shape: Shape (T, H, W, C) of one clip; None takes the card's.
        batch: Clips in the batch, at least 1.
        convention: "macs", "pytorchvideo", "mmaction2" or "xla": the rule by which
            published tables count; see `vidjax.analysis.conventions.CONVENTIONS`.
        activations: Whether bytes of activations are counted, which takes two thirds of
            the time.
        **arguments: Attributes of the module, such as `num_classes`, `dtype` or
            `remat`.

    Returns:
        The cost of the batch.

    Raises:
        ValueError: If the name or convention is unknown, the batch is empty, the model
            does not take such clips, or a loop of unknown length holds convolutions or
            products.
        TypeError: If the module has no such attribute.

    Example:
        >>> cost("resnet50", (1, 224, 224, 3), activations=False).params
        25557032
    """
    model = create_model(name, **arguments)
    shape = clip_shape or model_card(name).clip.shape
    found = module_cost(
        model, shape, batch=batch, convention=convention, activations=activations
    )
    return dataclasses.replace(found, name=name)


def module_cost(
    model: nn.Module,
    clip_shape: tuple[int, ...],
    *,
    batch: int = 1,
    convention: ConventionName = "macs",
    activations: bool = True,
) -> Cost:
    """Counts what a module costs, as `cost` does for registered models.

    Args:
        model: A module that maps a clip, and `train`, to an array or to an array and
            endpoints.
        clip_shape: As for `cost`.
        batch: As for `cost`.
        convention: As for `cost`.
        activations: As for `cost`.

    Returns:
        The cost of the batch.

    Raises:
        ValueError: As for `cost`.
    """
    traced = trace(model, clip_shape, batch=batch)
    layer = layer_finder(traced.params)
    macs = count(traced.forward, convention, layer)
    live: dict[str, int] = {}
    kept: Counter[str] = Counter()
    if activations:
        training, varying = trace_training(model, traced)
        live = live_bytes(traced.forward, traced.forward.inputs[-1:], layer)
        kept = kept_bytes(training, varying, layer)

    order = dict.fromkeys(layer(step.scope) for step in traced.forward.operations)
    names = [*order, *(path for path in traced.params if path not in order)]
    rows = [
        LayerCost(
            path,
            traced.params[path],
            macs[path],
            live.get(path, 0) if activations else None,
            kept[path] if activations else None,
        )
        for path in names
    ]
    return Cost(
        name=type(model).__name__,
        clip_shape=tuple(clip_shape),
        batch=batch,
        convention=convention,
        params=sum(traced.params.values()),
        macs=sum(macs.values()),
        forward_bytes=max(live.values(), default=0) if activations else None,
        training_bytes=sum(kept.values()) if activations else None,
        layers=tuple(row for row in rows if row != _nothing_of(row)),
    )


@dataclasses.dataclass(frozen=True)
class Traced:
    """A model's forward pass.

    Attributes:
        clip: Shape and dtype of the clips, [B, T, H, W, C].
        variables: Shapes and dtypes of the variables.
        params: Trainable parameters by the path of their layer.
        forward: The program from clips, its last input, to logits, without what is
            computed from the variables alone.
    """

    clip: jax.ShapeDtypeStruct
    variables: Any
    params: Counter[str]
    forward: Program


def trace(model: nn.Module, clip_shape: tuple[int, ...], *, batch: int = 1) -> Traced:
    """Traces a model's forward pass in the plain forms of its layers.

    Args:
        model: As for `module_cost`.
        clip_shape: Shape (T, H, W, C) of one clip.
        batch: Clips in the batch.

    Returns:
        The program, whose norms are marked for `vidjax.analysis.conventions.count`.

    Raises:
        ValueError: If the shape has not four positive numbers, the batch is empty, or
            the model does not take such clips.
    """
    if len(clip_shape) not in (2, 4) or min(clip_shape) < 1:
        raise ValueError(
            "clip_shape must be four positive numbers (T, H, W, C), or two (T, C) of "
            f"features, got {clip_shape}."
        )
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}.")
    clip = jax.ShapeDtypeStruct((batch, *clip_shape), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))

    def forward(key: jax.Array, clip: jax.Array) -> tuple[jax.Array, Any]:
        result, variables = model.init_with_output(key, clip)
        return _logits(result), variables

    # Both at once, in half the time; what makes the variables depends on no clip.
    make = jax.make_jaxpr(forward, return_shape=True)
    with compile_for("any"), marked_norms():
        jaxpr, (_, variables) = make(key, clip)
    program = flatten(jaxpr, results=1)
    return Traced(
        clip,
        variables,
        _layer_params(variables.get("params", {})),
        depending_on(program, program.inputs[-1:]),
    )


def trace_training(model: nn.Module, traced: Traced) -> tuple[Program, tuple[Any, ...]]:
    """Traces the forward pass of a training step.

    Args:
        model: As for `module_cost`.
        traced: What `trace` gave for it.

    Returns:
        The program, whose outputs are what the backward pass needs, and those of its
        inputs on which activations depend: the clips and the random key.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = {k: v for k, v in traced.variables.items() if k != "params"}

    def residuals(params: Any, state: Any, clip: jax.Array, key: jax.Array) -> Any:
        def logits(params: Any) -> jax.Array:
            result, _ = model.apply(
                {"params": params, **state},
                clip,
                train=True,
                rngs={"dropout": key},
                mutable=list(state),
            )
            return _logits(result)

        return jax.tree.leaves(jax.vjp(logits, params)[1])

    arguments = (traced.variables.get("params", {}), state, traced.clip, key)
    with compile_for("tpu"):
        program = flatten(jax.make_jaxpr(residuals)(*arguments))
    return program, program.inputs[-2:]


def _logits(result: Any) -> jax.Array:
    return result[0] if isinstance(result, tuple) else result


def _join(layers: tuple[LayerCost, ...], depth: int) -> tuple[LayerCost, ...]:
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}.")
    groups: dict[str, list[LayerCost]] = {}
    for row in layers:
        groups.setdefault("/".join(row.path.split("/")[:depth]), []).append(row)
    return tuple(
        LayerCost(
            path,
            sum(row.params for row in rows),
            sum(row.macs for row in rows),
            _total(max, [row.forward_bytes for row in rows]),
            _total(sum, [row.training_bytes for row in rows]),
        )
        for path, rows in groups.items()
    )


def _total(join: Callable[[list[int]], int], sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return join(known) if known else None


def _nothing_of(row: LayerCost) -> LayerCost:
    """The row of a layer that has nothing but what lives on around it."""
    zero = 0 if row.training_bytes is not None else None
    return LayerCost(row.path, 0, 0, row.forward_bytes, zero)


def _layer_params(params: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(params)
    for path, array in flat.items():
        found["/".join(path[:-1])] += math.prod(array.shape)
    return found
