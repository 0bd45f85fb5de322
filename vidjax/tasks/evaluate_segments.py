"""Testing what finds actions: detectors on held-out videos, and files of segments."""

import json
import pathlib
from collections.abc import Callable, Sequence

import jax

from vidjax.config import Config
from vidjax.convert import load_variables
from vidjax.localization.annotations import (
    Policy,
    Segments,
    load_json,
    read_ground_truth,
    read_predictions,
    read_videos,
    write_predictions,
)
from vidjax.localization.evaluation import DetectionResult, evaluate
from vidjax.localization.fusion import (
    fuse_predictions,
    read_score_labels,
    read_video_scores,
)
from vidjax.localization.proposals import ProposalResult, evaluate_proposals
from vidjax.tasks.detection import LocalizationResult, make_detection_test
from vidjax.tasks.detection_data import PROPOSAL, number_labels
from vidjax.tasks.experiment import make_model, make_sources
from vidjax.tasks.workdir import load_workdir, read_config
from vidjax.train.sharding import make_mesh, replicated

StrPath = str | pathlib.Path

PREDICTIONS = "predictions.json"
"""Where what a detector finds is kept in its workdir."""


def evaluate_detector(
    config: Config,
    workdir: StrPath | None = None,
    weights: str | None = None,
    *,
    predictions: StrPath | None = None,
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> LocalizationResult:
    """Tests a detector on the held-out videos of an experiment.

    Args:
        config: The experiment.
        workdir: Folder of a run whose detector is tested, that of the best evaluation.
        weights: A file of weights to test instead.
        predictions: File for what it finds, ActivityNet's JSON; None keeps that of a
            `workdir` in its predictions.json.
        on_video: Called with the number of videos done and the number of all.

    Returns:
        mAP over the thresholds of the model's data set, or recall of proposals.

    Raises:
        ValueError: If not exactly one of `workdir` and `weights` is given, the run is
            of another model or other classes, or the data is not as it should be.
    """
    if (workdir is None) == (weights is None):
        raise ValueError("Give either workdir or weights.")
    source = make_sources(config).eval
    if workdir is not None:
        theirs, trained = read_config(pathlib.Path(workdir)), load_workdir(workdir)
        if theirs.model != config.model or trained.label_names != source.label_names:
            raise ValueError(
                f"{workdir} holds {theirs.model} for {trained.label_names}, and the "
                f"config says {config.model} for {source.label_names}."
            )
        model, variables = trained.model, trained.variables
        predictions = predictions or pathlib.Path(workdir) / PREDICTIONS
    else:
        model = make_model(config, len(source.label_names))
        count = None if source.label_names == (PROPOSAL,) else len(source.label_names)
        variables = load_variables(config.model, str(weights), num_classes=count)
    mesh = make_mesh(config.sharding)
    test = make_detection_test(config, model, source, mesh)
    result = test(jax.device_put(variables, replicated(mesh)), on_video)
    if predictions is not None:
        write_predictions(predictions, result.predictions)
    return result


def evaluate_files(
    predictions: StrPath,
    ground_truth: StrPath,
    *,
    dataset: str,
    subset: str | None = None,
    policy: Policy = "default",
    recall: Sequence[int] = (1, 5),
    proposals: bool = False,
    video_scores: StrPath | None = None,
    blocked: StrPath | None = None,
) -> DetectionResult | ProposalResult:
    """Measures a file of segments against annotations, both ActivityNet's JSON.

    Args:
        predictions: What was found.
        ground_truth: The annotations.
        dataset: Key of `vidjax.localization.TIOUS`, the thresholds of overlap.
        subset: Videos that count; None takes all.
        policy: How files that are not as they should be are read.
        recall: Each k of recall at k * x.
        proposals: Whether to measure recall of segments, whatever their labels.
        video_scores: Scores of whole videos, JSON, which name the segments first: two
            classes for each. The file says the names of the classes as "class", or
            the numbers of the annotations ("label_id") are meant.
        blocked: JSON list of videos that count in nothing.

    Returns:
        mAP and recall, or the curve of proposals.

    Raises:
        ValueError: If a file is not as it should be; see `evaluate`,
            `evaluate_proposals` and `fuse_predictions`.
    """
    out = _read_names(blocked)
    found = read_predictions(predictions, blocked=out)
    if video_scores is not None:
        found = _name(found, video_scores, ground_truth)
    if not proposals:
        return evaluate(
            found,
            ground_truth,
            tious=dataset,
            policy=policy,
            subset=subset,
            blocked=out,
            recall=recall,
        )
    truth = read_ground_truth(ground_truth, subset=subset, policy=policy, blocked=out)
    return evaluate_proposals(found, truth, tious=dataset, policy=policy)


def _read_names(path: StrPath | None) -> list[str]:
    """Reads a JSON list of videos, or the keys of an object."""
    if path is None:
        return []
    try:
        found = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        return [str(name) for name in found]
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no JSON list of videos: {error}.") from error


def _name(found: Segments, scores: StrPath, ground_truth: StrPath) -> Segments:
    content = load_json(scores)
    names = read_score_labels(content)
    if names is None:
        names, _ = number_labels(read_videos(ground_truth))
    return fuse_predictions(found, read_video_scores(content), names)
