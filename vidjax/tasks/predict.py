"""Labels for videos: decode, views, scores, names."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jaxtyping import Array, Float

from vidjax import data
from vidjax.convert import load_variables
from vidjax.convert.variables import count_classes
from vidjax.eval.views import ViewScores, position_scores
from vidjax.models.registry import clip_spec, create_model, model_card
from vidjax.tasks.experiment import make_prepare
from vidjax.tasks.workdir import load_workdir
from vidjax.train.log import write_json
from vidjax.typing import Clip, ClipSpec, Views

StrPath = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One label of a video.

    Attributes:
        label: Name of the class.
        probability: In [0, 1].
    """

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class VideoLabels:
    """What was found in one video.

    Attributes:
        path: The video, as it was given.
        predictions: Most probable first; empty if the video could not be read.
        error: Why the video could not be read, in one sentence, or None.
        frames: Some frames of its first view for pictures, uint8 [N, H, W, C], or None.
    """

    path: str
    predictions: tuple[Prediction, ...] = ()
    error: str | None = None
    frames: np.ndarray | None = None

    def first(self, count: int) -> "VideoLabels":
        """Returns it with no more than a number of labels.

        Args:
            count: How many; the most probable ones are kept.

        Returns:
            The result.
        """
        return dataclasses.replace(self, predictions=self.predictions[:count])

    def to_dict(self) -> dict[str, Any]:
        """Returns the path with either the predictions or the error, ready for JSON."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        rows = [dataclasses.asdict(prediction) for prediction in self.predictions]
        return {"path": self.path, "predictions": rows}


@dataclasses.dataclass(frozen=True)
class Recognizer:
    """A model with its variables, its clip and its label names: ready for videos.

    Attributes:
        model: A Linen module of the registry.
        variables: Its parameters and batch statistics.
        spec: The clip that it wants.
        views: Which clips of a video are scored.
        label_names: Names of its K classes.
    """

    model: nn.Module
    variables: dict[str, Any]
    spec: ClipSpec
    views: Views
    label_names: tuple[str, ...]

    def probabilities(self, path: StrPath) -> tuple[np.ndarray, np.ndarray]:
        """Scores one video.

        Args:
            path: A video file.

        Returns:
            Probabilities [K], float64, averaged over the views; and the frames that
            were read for the first view, uint8 [T, H, W, 3].

        Raises:
            ValueError: If the file is no video that can be read.
        """
        # A test may take a clip as long as the video; a label shall not cost that.
        views = dataclasses.replace(self.views, num_frames=None)
        scores = ViewScores(
            *(1, views.num_views, len(self.label_names)), average=views.average
        )
        clips = []
        for view in range(views.num_views):
            # One view at a time: a 64-frame clip alone holds a gigabyte of activations.
            clip = data.load_clip(path, self.spec, view=view, views=views)
            logits, positions = _logits(self.model, self.spec, self.variables, clip)
            scores.add(
                np.asarray(logits),
                positions=np.asarray(positions),
                index=np.array([0]),
                view=np.array([view]),
                mask=np.array([True]),
            )
            clips.append(clip[0])
        return np.exp(scores.log_probabilities()[0]), clips[0]

    def label(self, path: StrPath, *, top: int | None = 5) -> VideoLabels:
        """Labels one video; a video that cannot be read gives a result with an error.

        Args:
            path: A video file.
            top: How many labels; fewer if the model has fewer classes, and None gives
                all.

        Returns:
            The labels, most probable first, or the error.
        """
        try:
            scores, clip = self.probabilities(path)
        except data.VideoError as error:
            return VideoLabels(str(path), error=str(error))
        best = np.argsort(-scores, kind="stable")[:top]
        found = tuple(
            Prediction(self.label_names[k], round(float(scores[k]), 6)) for k in best
        )
        shown = np.linspace(0, len(clip) - 1, min(6, len(clip))).round().astype(int)
        return VideoLabels(str(path), found, frames=clip[shown])


def load_recognizer(name: str, weights: StrPath) -> Recognizer:
    """Loads a model with published weights or with those of a file.

    Args:
        name: Registered name of the model.
        weights: A tag of its card, or the path of a file of weights.

    Returns:
        The recognizer.

    Raises:
        ValueError: If the model, the tag or the file is unknown or does not fit.
    """
    return make_recognizer(name, load_variables(name, weights))


def load_trained_recognizer(workdir: StrPath) -> Recognizer:
    """Loads the best model of a training run.

    Args:
        workdir: Folder that `vidjax train` or `vidjax.fit` made.

    Returns:
        The recognizer, with the label names of the training data.

    Raises:
        ValueError: If the folder holds no trained model, or one that knows no labels.
    """
    trained = load_workdir(pathlib.Path(workdir))
    if not trained.label_names:
        raise ValueError(f"{workdir} holds a model that learned no labels.")
    spec = trained.spec
    if spec.reads_flow:  # A video alone has no files of flow: they are made as usual.
        spec = dataclasses.replace(spec, flow_method="tvl1")
    return Recognizer(
        trained.model,
        trained.variables,
        spec,
        trained.views,
        trained.label_names,
    )


def make_recognizer(
    name: str, variables: dict[str, Any], labels: Sequence[str] | None = None
) -> Recognizer:
    """Puts a registered model and variables together.

    Args:
        name: Registered name of the model.
        variables: Its parameters and batch statistics.
        labels: Names of its K classes; None takes those of published weights of the
            card with as many classes, otherwise "class 0" and so on.

    Returns:
        The recognizer.

    Raises:
        ValueError: If the number of labels is not that of the classes.
    """
    num_classes = count_classes(traverse_util.flatten_dict(variables, sep="/"))
    card = model_card(name)
    names = tuple(labels) if labels is not None else _published_names(name, num_classes)
    if len(names) != num_classes:
        raise ValueError(
            f"Expected {num_classes} labels, one for each class of the weights, got "
            f"{len(names)}."
        )
    model = create_model(name, num_classes=num_classes)
    return Recognizer(model, variables, clip_spec(name), card.views, names)


def predict(
    name: str,
    variables: dict[str, Any],
    video_path: StrPath,
    *,
    top: int = 5,
    labels: Sequence[str] | None = None,
) -> list[Prediction]:
    """Labels one video: decodes it, scores the views of the card, names the classes.

    Args:
        name: Registered name of a model.
        variables: Its parameters and batch statistics, from `vidjax.load_variables` or
            `vidjax.fit`.
        video_path: A video file.
        top: How many labels; fewer if the model has fewer classes.
        labels: Names of its K classes; None takes those of the published weights.

    Returns:
        The labels, most probable first.

    Raises:
        ValueError: If the file is no video that can be read, or the number of labels is
            not that of the classes.
    """
    result = make_recognizer(name, variables, labels).label(video_path, top=top)
    if result.error is not None:
        raise data.VideoError(result.error)
    return list(result.predictions)


def load_clip(path: StrPath, name: str) -> Clip:
    """Decodes, samples, resizes, crops and normalises a video for a model.

    Of models on flow, flow is computed.

    Args:
        path: A video file.
        name: Registered name of a model; its card says which clip.

    Returns:
        The clip from the middle of the video, [1, T, H, W, C], float32.

    Raises:
        ValueError: If there is no such model, or the file is no video that can be read.
    """
    spec = clip_spec(name)
    return make_prepare(spec, "float32")(jnp.asarray(data.load_clip(path, spec)))


def write_video_scores(
    path: StrPath, results: Sequence[VideoLabels], label_names: Sequence[str]
) -> None:
    """Writes the probabilities of videos as the published scores for ActivityNet are.

    Args:
        path: JSON to write: {"class": [name, ...], "results": {video: [probability,
            ...]}}; videos are named by their files, without ending.
        results: What `Recognizer.label(..., top=None)` returned; those with an error
            are left out.
        label_names: Names of the K classes.
    """
    rows = {}
    for result in results:
        found = {p.label: p.probability for p in result.predictions}
        if result.error is None:
            rows[pathlib.Path(result.path).stem] = [found[name] for name in label_names]
    write_json(pathlib.Path(path), {"class": list(label_names), "results": rows})


def plot_labels(results: Sequence[VideoLabels], path: StrPath) -> None:
    """Draws frames of each video and a bar for each label.

    Args:
        results: What `Recognizer.label` returned; those with an error are left out.
        path: Picture to write; the ending says which kind.

    Raises:
        ValueError: If no video was labelled.
    """
    from vidjax.analysis.plots import predictions_figure, save_figure

    drawn = [result for result in results if result.frames is not None]
    if not drawn:
        raise ValueError("There is nothing to plot: no video could be read.")
    figure = predictions_figure(
        [pathlib.Path(result.path).name for result in drawn],
        [np.asarray(result.frames) for result in drawn],
        [[(p.label, p.probability) for p in result.predictions] for result in drawn],
    )
    save_figure(figure, pathlib.Path(path))


def _published_names(name: str, num_classes: int) -> tuple[str, ...]:
    for weights in model_card(name).weights:
        if weights.labels is not None and weights.num_classes == num_classes:
            return data.read_labels(weights.labels)
    return tuple(f"class {k}" for k in range(num_classes))


@functools.partial(jax.jit, static_argnames=("model", "spec"))
def _logits(
    model: nn.Module, spec: ClipSpec, variables: dict[str, Any], clip: Array
) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    logits, endpoints = model.apply(variables, make_prepare(spec, "float32")(clip))  # type: ignore[misc]
    return logits, position_scores(logits, dict(endpoints))
