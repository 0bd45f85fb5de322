"""How a train state and its batches are laid over devices.

Everything is one program under `jax.jit`: the mesh has two axes, "data" and "fsdp".
A batch is split over both. Along "data" the state is copied; along "fsdp" each large
array of it is split, and gathered by the compiler where it is used. Which array is laid
how is said by rules over the paths of the whole state, so that the moments of an
optimizer lie with their parameters and no model knows of devices.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vidjax.config import ShardingConfig

P = ParamSpec("P")
T = TypeVar("T")
Rule = tuple[str, Literal["replicate", "fsdp"]]

# First match wins; a pattern must match the whole path, such as
# "params/backbone/conv1/kernel" or "opt_state/1/0/trace/logits/bias".
RULES: tuple[Rule, ...] = (
    (r"model_state/.*", "replicate"),  # Statistics of batch norm are small.
    (r".*", "fsdp"),
)


def make_mesh(config: ShardingConfig, devices: Sequence[Any] | None = None) -> Mesh:
    """Returns the mesh ("data", "fsdp") over all devices.

    Args:
        config: The sharding section of a config.
        devices: Devices to use; None takes all of every process.

    Returns:
        A mesh of shape (devices / fsdp, fsdp) whose axes are Auto.

    Raises:
        ValueError: If `fsdp` does not divide the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    if config.fsdp < 1 or len(devices) % config.fsdp:
        raise ValueError(
            f"sharding.fsdp must divide the number of devices, got fsdp={config.fsdp} "
            f"and {len(devices)} devices."
        )
    shape = (len(devices) // config.fsdp, config.fsdp)
    return jax.make_mesh(
        shape, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2, devices=devices
    )


def tree_shardings(
    tree: Any, mesh: Mesh, *, min_size: int, rules: Sequence[Rule] = RULES
) -> Any:
    """Returns how each array of a tree is laid over a mesh.

    Under "fsdp" the longest axis that the mesh's "fsdp" axis divides is split (the
    first of equals). An array with fewer than `min_size` elements, or without such an
    axis, is copied.

    Args:
        tree: A tree of arrays or of `jax.ShapeDtypeStruct`.
        mesh: From `make_mesh`.
        min_size: Arrays with fewer elements are never split.
        rules: (pattern, how) pairs; the first whose pattern matches the whole path
            holds.

    Returns:
        The same tree with a `NamedSharding` for each array.

    Raises:
        ValueError: If paths match no rule; all of them at once.
    """
    unmatched = []

    def shard(path: Any, leaf: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        how = next((h for p, h in rules if re.fullmatch(p, name)), None)
        if how is None:
            unmatched.append(name)
        split = how == "fsdp" and leaf.size >= min_size
        spec = _split_longest(leaf.shape, mesh) if split else PartitionSpec()
        return NamedSharding(mesh, spec)

    shardings = jax.tree_util.tree_map_with_path(shard, tree)
    if unmatched:
        raise ValueError(f"No sharding rule matches {', '.join(unmatched)}.")
    return shardings


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the layout of what every device holds whole.

    Args:
        mesh: From `make_mesh`.

    Returns:
        The sharding.
    """
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the layout of a batch: its first axis is split over all devices.

    Args:
        mesh: From `make_mesh`.

    Returns:
        The sharding.
    """
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def check_batch_size(batch_size: int, mesh: Mesh, *, name: str = "batch_size") -> None:
    """Checks that every device gets as many examples of a batch.

    Args:
        batch_size: Examples in a global batch.
        mesh: From `make_mesh`.
        name: What the message calls it.

    Raises:
        ValueError: If the number of devices does not divide it.
    """
    if batch_size < 1 or batch_size % mesh.size:
        near = max(round(batch_size / mesh.size), 1) * mesh.size
        raise ValueError(
            f"{name} must be a multiple of the number of devices, got {batch_size} and "
            f"{mesh.size} devices. The nearest that fits is {near}."
        )


def under_mesh(mesh: Mesh, function: Callable[P, T]) -> Callable[P, T]:
    """Returns a function that is called, and so traced, under a mesh.

    Kernels that the compiler cannot partition learn from it that each device runs them
    on its own examples (`vidjax.ops.splash`).

    Args:
        mesh: From `make_mesh`.
        function: What `jax.jit` gave, or its `lower`.

    Returns:
        The function.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with jax.set_mesh(mesh):
            return function(*args, **kwargs)

    return call


def put_batch(batch: Mapping[str, Any], sharding: NamedSharding) -> dict[str, Any]:
    """Starts the transfer of a batch to the devices.

    Args:
        batch: This process's part of the batch, arrays [B / processes, ...], or tuples
            of them.
        sharding: From `batch_sharding`.

    Returns:
        The global batch, arrays [B, ...].
    """
    if jax.process_count() == 1:
        return jax.device_put(dict(batch), sharding)
    return jax.tree.map(
        lambda part: jax.make_array_from_process_local_data(sharding, part), dict(batch)
    )


def _split_longest(shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    parts = mesh.shape["fsdp"]
    fitting = [axis for axis, size in enumerate(shape) if size % parts == 0]
    if parts == 1 or not fitting:
        return PartitionSpec()
    longest = max(fitting, key=lambda axis: shape[axis])
    return PartitionSpec(*(None,) * longest, "fsdp")
