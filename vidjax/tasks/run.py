"""The run of one model: all that its training needs."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from vidjax.config import Config
from vidjax.tasks.events import Event
from vidjax.tasks.experiment import (
    Sources,
    make_model,
    make_sources,
    make_spec,
    make_state_parts,
    make_views,
)
from vidjax.tasks.initial import check_initial, read_initial
from vidjax.tasks.workdir import record_data
from vidjax.train.checkpoint import Checkpoints
from vidjax.train.mixing import check_mixing, is_mixing
from vidjax.train.optim import make_optimizer
from vidjax.train.sharding import check_batch_size, make_mesh
from vidjax.train.state import TrainState, make_init

Emit = Callable[[Event], None]


@dataclasses.dataclass(frozen=True)
class Run:
    """All that the training of one model needs.

    Attributes:
        name: Name of the run, that of its model or "MODEL-2".
        config: The experiment, without models to compare.
        folder: Where it is kept.
        sources: Its data.
        model: The module.
        spec: What it wants, a `ClipSpec` or a `FeatureSpec`.
        like: Shapes and dtypes of its train state.
        initial: Variables to start from; None starts from random ones.
    """

    name: str
    config: Config
    folder: pathlib.Path
    sources: Sources
    model: nn.Module
    spec: Any
    like: TrainState
    initial: dict[str, Any] | None


def prepare_run(name: str, config: Config, folder: pathlib.Path) -> Run:
    """Opens the data, builds the model and reads weights.

    Whatever can be wrong with an experiment is found here, before a step is done.

    Args:
        name: Name of the run.
        config: The experiment.
        folder: Its workdir, claimed.

    Returns:
        The run.

    Raises:
        ValueError: If the config is wrong in itself, for the data or for the devices,
            the data has changed since the run began, or the weights do not fit.
        TypeError: If the model has no such argument.
    """
    _check_numbers(config)
    _check_labels(config)
    check_initial(config)
    mesh, data = make_mesh(config.sharding), config.data
    check_batch_size(data.batch_size, mesh, name="data.batch_size")
    _check_parts(config, mesh)
    check_batch_size(
        data.eval_batch_size or data.batch_size, mesh, name="data.eval_batch_size"
    )
    spec, _ = make_spec(config), make_views(config)
    sources = make_sources(config)
    num_classes = len(sources.train.label_names)
    empty = getattr(sources.train, "empty_classes", ())  # A `FeatureSource` has them.
    model = make_model(config, num_classes, empty_classes=empty)
    optimizer = make_optimizer(config.optim, config.steps)
    parts = make_state_parts(config)
    init = make_init(model, optimizer, clip_shape=spec.shape, **parts)
    like = jax.eval_shape(init, jax.random.key(0))
    record_data(folder, config, sources)
    with Checkpoints(folder, read_only=True) as checkpoints:
        fresh = checkpoints.latest_step is None
    initial = None
    if config.init is not None and fresh:
        initial = read_initial(config, model, spec)
        _check_fit(config, initial, like.variables)
    return Run(name, config, folder, sources, model, spec, like, initial)


def _check_fit(config: Config, given: Any, wanted: Any) -> None:
    """Weights may hold what the model takes only with other `model_args`."""
    given, wanted = _shapes(given), _shapes(wanted)
    differing = [
        f"{name}: {given.get(name)} in the weights, {wanted.get(name)} in the model"
        for name in sorted(given.keys() | wanted.keys())
        if given.get(name) != wanted.get(name)
    ]
    if differing:
        raise ValueError(
            f"init={config.init!r} does not fit {config.model} with model_args "
            f"{dict(config.model_args)}:\n  " + "\n  ".join(differing)
        )


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in leaves
    }


def _check_labels(config: Config) -> None:
    """Checks how labels are mixed, and that they are not where none are learned."""
    check_mixing(config.mixing)
    asked = {
        "optim.label_smoothing": config.optim.label_smoothing != 0,
        "mixing": is_mixing(config.mixing),
    }
    wrong = [name for name, is_asked in asked.items() if is_asked]
    if wrong and config.objective != "classification":
        raise ValueError(
            f'With objective="{config.objective}" no labels are learned: leave out '
            f"{' and '.join(wrong)}."
        )


def _check_parts(config: Config, mesh: Mesh) -> None:
    """Checks that a batch can be cut into the parts that are wanted."""
    parts, size = config.optim.accumulate, config.data.batch_size
    if parts > 1 and config.objective == "localization":
        raise ValueError(
            "optim.accumulate is for losses of single clips: those of detectors are "
            "weighed by what a whole batch holds. Leave it out."
        )
    if size % (parts * mesh.size):
        raise ValueError(
            f"data.batch_size must be a multiple of optim.accumulate times the number "
            f"of devices, got {size}, {parts} and {mesh.size} devices."
        )


def _check_numbers(config: Config) -> None:
    numbers = {
        "steps": config.steps,
        "eval_every": config.eval_every,
        "save_every": config.save_every,
        "log.every": config.log.every,
        "data.batch_size": config.data.batch_size,
        "optim.accumulate": config.optim.accumulate,
    }
    wrong = [f"{name} is {value}" for name, value in numbers.items() if value < 1]
    if config.seed < 0:
        wrong.append(f"seed is {config.seed}")
    if wrong:
        raise ValueError(
            f"Expected positive numbers (a seed may be zero), but {', '.join(wrong)}."
        )
