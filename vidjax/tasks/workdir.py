"""The folder of a run: who may write into it, and what is read back from it.

A run of one model holds

    config.json     the experiment,
    labels.json     its label names, clip, views, and a digest of its data; of a
                    detector, how its features were made,
    run.json        what each start of it ran on,
    metrics.jsonl   a line for each log and each evaluation,
    checkpoints/    the last two states,
    best/           the variables of the best evaluation,
    evaluation.json what the last evaluation said of each example,
    result.json     the metrics, when it is finished.

A run that compares models holds config.json, result.json and a folder for each model.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from vidjax.config import Config, from_dict, to_dict
from vidjax.data.features import FeatureSource
from vidjax.data.sources import Source
from vidjax.tasks.experiment import (
    Sources,
    make_model,
    make_spec,
    make_state_parts,
    make_views,
)
from vidjax.tasks.feature_options import FeatureOptions, options_from
from vidjax.train.checkpoint import Checkpoints, abstract
from vidjax.train.log import write_json
from vidjax.train.optim import make_optimizer
from vidjax.train.state import TrainState, make_init
from vidjax.typing import ClipSpec, FeatureSpec, Views

CONFIG = "config.json"
LABELS = "labels.json"
RUN = "run.json"
METRICS = "metrics.jsonl"
EVALUATION = "evaluation.json"
RESULT = "result.json"
_LOCK = ".lock"

# Fields in which a run that goes on may differ: they change no result.
_FREE = ("log.", "data.workers")


class Trained(NamedTuple):
    """A trained model, ready to use.

    Attributes:
        model: A Linen module.
        variables: Its parameters and batch statistics.
        spec: What it was trained on, a `ClipSpec` or a `FeatureSpec`.
        label_names: Names of its K classes; none where no labels are learned.
        views: The test protocol.
        features: Of a detector: how the features were made that it was trained on;
            None where `vidjax features` did not make them.
    """

    model: nn.Module
    variables: dict[str, Any]
    spec: Any
    label_names: tuple[str, ...]
    views: Views
    features: FeatureOptions | None = None


@contextlib.contextmanager
def claim_workdir(workdir: pathlib.Path, config: Config) -> Iterator[None]:
    """Makes a folder the workdir of an experiment, or checks that it is.

    Until the context ends no other process can claim it; the claim of a process that is
    killed ends with it.

    Args:
        workdir: The folder; made if it is not there.
        config: The experiment.

    Raises:
        ValueError: If the folder belongs to another experiment (the fields that differ
            are listed), holds something else, is a file, or is claimed by another
            process.
    """
    workdir = pathlib.Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"{workdir} is a file; a workdir is a folder.")
    foreign = _visible(workdir)
    if foreign and CONFIG not in foreign:
        some = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise ValueError(
            f"{workdir} holds something that is not a run of vidjax ({some}). Give an "
            "empty folder or a new one."
        )
    workdir.mkdir(parents=True, exist_ok=True)
    with _lock(workdir):
        if _has_begun(workdir):
            _check_same(workdir, config)
        write_json(workdir / CONFIG, to_dict(config))
        yield


def read_config(workdir: pathlib.Path) -> Config:
    """Reads the experiment of a workdir.

    Args:
        workdir: Folder of a run.

    Returns:
        The experiment.

    Raises:
        ValueError: If the folder is no workdir.
    """
    path = pathlib.Path(workdir) / CONFIG
    if not path.is_file():
        raise ValueError(f"{workdir} is not the folder of a run: it has no {CONFIG}.")
    return from_dict(json.loads(path.read_text(encoding="utf-8")))


def contenders(config: Config) -> dict[str, Config]:
    """Returns the experiments of a comparison by the names of their folders.

    Args:
        config: The experiment; its own model comes first.

    Returns:
        Experiments without `compare`. Of models with the same name, the second is
        called "NAME-2".

    Example:
        >>> from vidjax.config import Contender
        >>> others = (Contender("i3d_rgb"), Contender("c3d"))
        >>> list(contenders(Config(model="c3d", compare=others)))
        ['c3d', 'i3d_rgb', 'c3d-2']
    """
    alone = dataclasses.replace(config, compare=())
    found = {config.model: alone}
    for other in config.compare:
        name, count = other.model, 1
        while name in found:
            count += 1
            name = f"{other.model}-{count}"
        found[name] = dataclasses.replace(
            alone, model=other.model, model_args=other.model_args
        )
    return found


def record_data(workdir: pathlib.Path, config: Config, sources: Sources) -> None:
    """Writes what the data of a run is, or checks that it is still the same.

    Args:
        workdir: Folder of the run.
        config: Its experiment.
        sources: Its data.

    Raises:
        ValueError: If the run began with other data, or another clip or test protocol.
    """
    now = {
        "model": config.model,
        "label_names": list(sources.train.label_names),
        "clip": dataclasses.asdict(make_spec(config)),
        "views": dataclasses.asdict(make_views(config)),
        "features": sources.features and sources.features.to_dict(),
        "train": _digest(sources.train),
        "eval": _digest(sources.eval),
    }
    now = json.loads(json.dumps(now))  # Tuples become lists.
    path = pathlib.Path(workdir) / LABELS
    if not (path.exists() and _has_begun(workdir)):
        write_json(path, now)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        f"{name}: {_short(before.get(name))} before, {_short(now[name])} now"
        for name in now
        if before.get(name) != now[name]
    ]
    if changed:
        raise ValueError(
            f"The run in {workdir} began with other data:\n  "
            + "\n  ".join(changed)
            + "\nGive another --workdir, or bring the data back."
        )


def record_start(workdir: pathlib.Path, step: int, facts: dict[str, Any]) -> None:
    """Adds a start of the run to run.json.

    Args:
        workdir: Folder of the run.
        step: Updates done before it.
        facts: What it runs on, from `describe_run`.
    """
    path = pathlib.Path(workdir) / RUN
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    starts = [*before.get("starts", []), {"step": step, **facts}]
    write_json(path, {"starts": starts})


def load_workdir(workdir: str | pathlib.Path, *, best: bool = True) -> Trained:
    """Loads the model that a run trained.

    Args:
        workdir: Folder of a run; of one that compares models, that of its own model is
            taken.
        best: Whether to load the variables of the best evaluation, or of the last
            checkpoint.

    Returns:
        The model, its variables, its clip, its label names, its test protocol and how
        its features were made.

    Raises:
        ValueError: If the folder is no workdir, or nothing is trained in it yet.
    """
    workdir = pathlib.Path(workdir)
    config = read_config(workdir)
    if config.compare:
        return load_workdir(workdir / config.model, best=best)
    path = workdir / LABELS
    if not path.is_file():
        raise ValueError(f"Nothing is trained in {workdir} yet: it has no {LABELS}.")
    facts = json.loads(path.read_text(encoding="utf-8"))
    names = tuple(facts["label_names"])
    kind = FeatureSpec if config.objective == "localization" else ClipSpec
    spec = kind(**_tuples(facts["clip"]))
    model = make_model(config, len(names))
    state = _abstract_state(config, model, spec)
    with Checkpoints(workdir, read_only=True) as checkpoints:
        if best:
            variables = checkpoints.read_best(state.variables)
        else:
            variables = checkpoints.restore(state).tested
    if config.objective == "masked_pixels":
        names = ()
    made = facts.get("features") and options_from(facts["features"])
    return Trained(model, variables, spec, names, Views(**facts["views"]), made)


def read_result(workdir: pathlib.Path) -> dict[str, Any] | None:
    """Reads the result of a run.

    Args:
        workdir: Folder of a run.

    Returns:
        What result.json holds, or None if the run is not finished.
    """
    path = pathlib.Path(workdir) / RESULT
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _abstract_state(
    config: Config, model: nn.Module, spec: ClipSpec | FeatureSpec
) -> TrainState:
    """The state of a run on one device, whatever devices it was trained on."""
    optimizer = make_optimizer(config.optim, config.steps)
    parts = make_state_parts(config)
    init = make_init(model, optimizer, clip_shape=spec.shape, **parts)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return abstract(jax.eval_shape(init, jax.random.key(0)), device)


def _check_same(workdir: pathlib.Path, config: Config) -> None:
    before, now = _flat(to_dict(read_config(workdir))), _flat(to_dict(config))
    differing = [
        f"{name}: {before.get(name)!r} there, {now.get(name)!r} here"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not name.startswith(_FREE)
    ]
    if differing:
        raise ValueError(
            f"{workdir} belongs to another experiment, which differs in\n  "
            + "\n  ".join(differing)
            + "\nGive another --workdir, or delete this one to start afresh."
        )


def _has_begun(workdir: pathlib.Path) -> bool:
    """Whether a start is recorded: what failed before that leaves the folder free."""
    return any(workdir.glob(RUN)) or any(workdir.glob(f"*/{RUN}"))


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _visible(workdir: pathlib.Path) -> list[str]:
    if not workdir.is_dir():
        return []
    return sorted(p.name for p in workdir.iterdir() if not p.name.startswith("."))


@contextlib.contextmanager
def _lock(workdir: pathlib.Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; the rest works there as well.
        yield
        return
    with (workdir / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"Another process is training in {workdir}.") from error
        yield


def _digest(source: Source | FeatureSource) -> dict[str, Any]:
    digest = hashlib.sha256()
    for row in _rows(source):
        digest.update(f"{row}\n".encode())
    return {"examples": source.num_examples, "sha256": digest.hexdigest()}


def _rows(source: Source | FeatureSource) -> Iterator[str]:
    if isinstance(source, FeatureSource):
        yield from source.rows
        return
    for path, label in zip(source.paths, source.labels.tolist(), strict=True):
        yield f"{path}\t{label}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:
        return f"{value['examples']} examples ({value['sha256'][:8]})"
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + "..."


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
