"""Testing: every view of every held-out video, and exact metrics."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from vidjax.eval.metrics import classify
from vidjax.eval.stored import (
    StoredScores,
    bootstrap_intervals,
    load_scores,
    save_scores,
)
from vidjax.eval.views import ViewScores, position_scores
from vidjax.models import model_card
from vidjax.tasks.events import Event, Scored
from vidjax.tasks.experiment import make_model, make_prepare, make_spec, make_views
from vidjax.tasks.workdir import load_workdir, read_config
from vidjax.train.sharding import (
    batch_sharding,
    check_batch_size,
    make_mesh,
    put_batch,
    replicated,
)
from vidjax.train.step import make_predict_step
from vidjax.typing import Average, ClipSpec, Views

Scorer = Callable[[Mapping[str, Any], Mapping[str, jax.Array]], dict[str, jax.Array]]

SCORES = "scores.npz"
"""Where the scores of a workdir are kept."""

_ROWS = ("index", "view", "mask")


@dataclasses.dataclass(frozen=True)
class EvalResult:
    """How well a model does on held-out videos.

    Attributes:
        metrics: "top1", "top5", "mean_class" (in [0, 1]), "loss" (nats), and "examples"
            and "failed", the number of videos that counted and that could not be read.
        confusion: Number of videos of class i that were taken for class j, [K, K]
            int64.
        label_names: Names of the K classes.
        paths: The videos, [N].
        labels: True class of each video, [N] int32.
        probabilities: Averaged over the views, [N, K] float64.
        present: Whether a video could be read, [N] bool.
        intervals: Low and high end of the interval that holds 95 % of the accuracies of
            other draws of as many videos (bootstrap); empty where not asked for.
        protocol: Name of the test protocol.
        videos: SHA-256 of the list of videos that were really there: their file names
            and labels, sorted.
    """

    metrics: dict[str, float]
    confusion: np.ndarray
    label_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    present: np.ndarray
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=dict
    )
    protocol: str = ""
    videos: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns metrics, label names, confusion and predictions, ready for JSON."""
        rows = [
            {
                "path": self.paths[i],
                "label": self.label_names[self.labels[i]],
                "predicted": self.label_names[int(np.argmax(self.probabilities[i]))],
                "probability": round(float(np.max(self.probabilities[i])), 6),
            }
            if self.present[i]
            else {
                "path": self.paths[i],
                "label": self.label_names[self.labels[i]],
                "error": "could not be read",
            }
            for i in range(len(self.paths))
        ]
        return {
            "metrics": self.metrics,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "protocol": self.protocol,
            "videos": self.videos,
            "label_names": list(self.label_names),
            "confusion": self.confusion.tolist(),
            "predictions": rows,
        }


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


def join_scores(
    path: str | pathlib.Path, *, average: Average | None = None
) -> EvalResult:
    """Joins the scores that an evaluation kept; no model and no video is needed.

    Args:
        path: The file, such as scores.npz of a workdir.
        average: What is averaged over the views; None takes the protocol's.

    Returns:
        As `evaluate`.

    Raises:
        ValueError: If the file holds no scores, or those of single positions are wanted
            and were not kept.
    """
    return judge(load_scores(path), average=average)


def judge(stored: StoredScores, *, average: Average | None = None) -> EvalResult:
    """Returns what the scores of an evaluation say, joined in one way or another.

    Args:
        stored: The scores of every view.
        average: What is averaged over the views; None takes the protocol's.

    Returns:
        Metrics with intervals, confusion matrix and probabilities.

    Raises:
        ValueError: If no video could be read, scores are not finite, or those of single
            positions are wanted and were not kept.
    """
    average = average or stored.views.average
    result = measure(
        stored.scores,
        stored.labels,
        label_names=stored.label_names,
        paths=stored.paths,
        average=average,
    )
    there = result.present
    names = [
        f"{pathlib.PurePath(path).name}\t{stored.label_names[label]}\n"
        for path, label, is_there in zip(
            stored.paths, stored.labels, there, strict=True
        )
        if is_there
    ]
    return dataclasses.replace(
        result,
        intervals=bootstrap_intervals(
            result.probabilities[there], result.labels[there]
        ),
        protocol=stored.views.name
        if average == stored.views.average
        else f"{stored.views.name}, {average}",
        videos=hashlib.sha256("".join(sorted(names)).encode()).hexdigest(),
    )


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

    return scorer


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


def measure(
    scores: ViewScores,
    labels: np.ndarray,
    *,
    label_names: tuple[str, ...],
    paths: Sequence[str],
    average: Average | None = None,
) -> EvalResult:
    """Returns what an evaluation found.

    Args:
        scores: Of N examples.
        labels: True class of each, [N] integers.
        label_names: Names of the K classes.
        paths: Where each example comes from, N of them.
        average: What is averaged over the views; None takes that of `scores`.

    Returns:
        The result, without intervals.

    Raises:
        ValueError: If no video could be read, or scores are not finite.
    """
    present = scores.present
    if not present.any():
        raise ValueError(
            f"None of the {len(labels)} held-out videos could be read; the log above "
            "says why."
        )
    log_p = scores.log_probabilities(average)
    result = classify(log_p, labels, present)
    metrics = {
        "top1": result.top1,
        "top5": result.top5,
        "mean_class": result.mean_class,
        "loss": result.loss,
        "examples": result.examples,
        "failed": int(np.sum(~present)),
    }
    return EvalResult(
        metrics=metrics,
        confusion=result.confusion,
        label_names=label_names,
        paths=tuple(paths),
        labels=labels,
        probabilities=np.exp(log_p),
        present=present,
    )


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
