"""Testing: every view of every held-out video is scored."""

import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from vidjax import data
from vidjax.config import Config
from vidjax.convert import load_variables
from vidjax.data.pipeline import eval_batches
from vidjax.data.sources import Source, make_source
from vidjax.eval.stored import StoredScores, save_scores
from vidjax.eval.views import ViewScores, position_scores
from vidjax.models import model_card
from vidjax.tasks.events import Event, Scored
from vidjax.tasks.experiment import make_model, make_prepare, make_spec, make_views
from vidjax.tasks.judgement import EvalResult, judge
from vidjax.tasks.workdir import load_workdir, read_config
from vidjax.train.sharding import (
    batch_sharding,
    check_batch_size,
    make_mesh,
    put_batch,
    replicated,
    under_mesh,
)
from vidjax.train.step import make_predict_step
from vidjax.typing import ClipSpec, Views

Scorer = Callable[[Mapping[str, Any], Mapping[str, jax.Array]], dict[str, jax.Array]]

SCORES = "scores.npz"
"""Where the scores of a workdir are kept."""

_ROWS = ("index", "view", "mask")


def evaluate(
    config: Config,
    workdir: str | pathlib.Path | None = None,
    weights: str | None = None,
    *,
    best: bool = True,
    scores: str | pathlib.Path | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> EvalResult:
    """Tests a model on the held-out videos of an experiment.

    The scores of every view are kept in a file, so that joining them in another way
    needs no model and no video.

    Args:
        config: The experiment: its data, and its views where it says any.
        workdir: Folder of a run whose model is tested.
        weights: A tag of the model card or a file of weights to test instead.
        best: With `workdir`: whether the variables of the best evaluation are tested,
            or of the last checkpoint.
        scores: File to which the scores of every view go; None keeps those of a
            `workdir` in its scores.npz.
        on_event: Called with a `Scored` after each batch.

    Returns:
        Metrics with intervals, confusion matrix and probabilities.

    Raises:
        ValueError: If not exactly one of `workdir` and `weights` is given, no labels
            are learned, the run is of another model, or the model does not know the
            classes of the data.

    Example:
        >>> from vidjax.config import load_config
        >>> evaluate(load_config("quickstart"))
        Traceback (most recent call last):
            ...
        ValueError: Give either workdir or weights.
    """
    if (workdir is None) == (weights is None):
        raise ValueError("Give either workdir or weights.")
    if config.objective != "classification":
        raise ValueError(
            f'An objective of "{config.objective}" gives no labels to test. Training '
            "writes the held-out loss to metrics.jsonl."
        )
    source = make_source(config.data, make_spec(config), split="eval")
    if workdir is not None:
        model, variables, label_names = _from_workdir(config, workdir, best=best)
    else:
        model, variables, label_names = _from_weights(config, str(weights), source)
    labels = _map_labels(source, label_names)
    mesh = make_mesh(config.sharding)
    emit = on_event or (lambda event: None)
    views = make_views(config)
    found = score(
        make_scorer(model, make_spec(config), config.dtype, mesh, views=views),
        jax.device_put(variables, replicated(mesh)),
        source,
        num_classes=len(label_names),
        views=views,
        batch_size=config.data.eval_batch_size or config.data.batch_size,
        mesh=mesh,
        workers=config.data.workers,
        on_scored=lambda done, total: emit(Scored(config.model, done, total)),
    )
    stored = StoredScores(found, labels, label_names, source.paths, views, config.model)
    if scores is None and workdir is not None:
        scores = pathlib.Path(workdir) / SCORES
    if scores is not None and jax.process_index() == 0:
        save_scores(scores, stored)
    return judge(stored)


def make_scorer(
    model: nn.Module, spec: ClipSpec, dtype: str, mesh: Mesh, *, views: Views
) -> Scorer:
    """Returns the compiled scoring of a batch.

    Args:
        model: A Linen module.
        spec: The clip that it wants.
        dtype: Type of the computation.
        mesh: Devices.
        views: The test protocol; it says whether single positions are scored.

    Returns:
        `scorer(variables, batch)`: "logits" [B, K], and the rows "index", "view" and
        "mask" [B] that they belong to, whole on every device; and, where "positions"
        are averaged, the logarithm of their mean softmax [B, K].
    """
    predict = make_predict_step(model, prepare=make_prepare(spec, dtype))

    @functools.partial(jax.jit, out_shardings=replicated(mesh))
    def scorer(variables: Any, batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        rows = {name: batch[name] for name in _ROWS}
        logits, endpoints = predict(variables, batch)
        if views.average == "positions":
            rows["positions"] = position_scores(logits, endpoints)
        return {"logits": logits, **rows}

    return under_mesh(mesh, scorer)


def score(
    scorer: Scorer,
    variables: Mapping[str, Any],
    source: Source,
    *,
    num_classes: int,
    views: Views,
    batch_size: int,
    mesh: Mesh,
    workers: int | None = None,
    on_scored: Callable[[int, int], None] | None = None,
) -> ViewScores:
    """Scores every view of every example of a source, once.

    Args:
        scorer: From `make_scorer`.
        variables: Of the model, on the devices.
        source: Labelled clips, N of them.
        num_classes: Classes K of the model.
        views: Which clips of a video are scored.
        batch_size: Clips in a global batch; a multiple of the number of devices.
        mesh: Devices.
        workers: Threads that make clips; None takes one a core.
        on_scored: Called with the number of clips scored and to score.

    Returns:
        The scores of N examples.

    Raises:
        ValueError: If the number of devices does not divide the batch size.
    """
    check_batch_size(batch_size, mesh, name="data.eval_batch_size")
    total = source.num_examples * views.num_views
    scores = ViewScores(
        source.num_examples, views.num_views, num_classes, average=views.average
    )
    batches = eval_batches(
        source,
        batch_size=batch_size,
        views=views,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=workers,
    )
    sharding = batch_sharding(mesh)
    scored = (
        scorer(
            variables,
            put_batch({"clip": b["clip"], **{n: b[n] for n in _ROWS}}, sharding),
        )
        for b in batches
    )
    done = 0
    for rows in _one_ahead(scored):
        host = jax.device_get(rows)
        scores.add(host.pop("logits"), **host)
        done = min(done + batch_size, total)
        if on_scored is not None:
            on_scored(done, total)
    return scores


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """Asks for the next item before it gives one: the devices are never idle."""
    before = next(items, None)
    for item in items:
        yield before
        before = item
    if before is not None:
        yield before


def _from_workdir(
    config: Config, workdir: str | pathlib.Path, *, best: bool
) -> tuple[nn.Module, Any, tuple[str, ...]]:
    theirs = read_config(pathlib.Path(workdir))
    if (theirs.model, dict(theirs.model_args)) != (
        config.model,
        dict(config.model_args),
    ):
        raise ValueError(
            f"{workdir} holds {theirs.model} with {dict(theirs.model_args)}, and the "
            f"config says {config.model} with {dict(config.model_args)}."
        )
    trained = load_workdir(workdir, best=best)
    return trained.model, trained.variables, trained.label_names


def _from_weights(
    config: Config, weights: str, source: Source
) -> tuple[nn.Module, Any, tuple[str, ...]]:
    """Weights of the card come with names; a file must have the classes of the data."""
    published = {w.tag: w for w in model_card(config.model).weights}.get(weights)
    if published is not None and published.labels is not None:
        names = data.read_labels(published.labels)
    else:
        names = source.label_names
    variables = load_variables(config.model, weights, num_classes=len(names))
    return make_model(config, len(names)), variables, names


def _map_labels(source: Source, label_names: tuple[str, ...]) -> np.ndarray:
    """Labels of a source in the order of a model's classes, [N] int32."""
    unknown = sorted(set(source.label_names) - set(label_names))
    if unknown:
        raise ValueError(
            f"The model does not know {len(unknown)} of the {len(source.label_names)} "
            f"classes of the data: {', '.join(unknown[:5])}. It knows "
            f"{', '.join(label_names[:5])} and {max(len(label_names) - 5, 0)} more."
        )
    places = np.array([label_names.index(n) for n in source.label_names], np.int32)
    return places[source.labels]
