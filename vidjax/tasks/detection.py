"""How a detector of actions learns, and how it is tested."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import Mesh

from vidjax.config import Config
from vidjax.data.features import FeatureSource, eval_feature_batches
from vidjax.localization.annotations import Segments, make_segments
from vidjax.localization.boundary_losses import boundary_loss, boundary_targets
from vidjax.localization.boundary_matching import Matching
from vidjax.localization.detect import make_detector, to_segments
from vidjax.localization.evaluation import DetectionResult, evaluate
from vidjax.localization.losses import detection_loss
from vidjax.localization.points import make_points
from vidjax.localization.presets import Preset, preset
from vidjax.localization.proposals import ProposalResult, evaluate_proposals
from vidjax.localization.targets import assign
from vidjax.localization.trident import level_offsets
from vidjax.train.sharding import batch_sharding, put_batch, replicated
from vidjax.train.step import Batch, Losses, Output
from vidjax.typing import FeatureGrid

_PROPOSALS = (1.0, 5.0, 10.0, 100.0)  # AR@AN as in MMAction2's tables.


@dataclasses.dataclass(frozen=True)
class LocalizationResult:
    """How well a detector finds the actions of held-out videos.

    Attributes:
        metrics: "average_map", "map_0.50" and so on, in [0, 1]; of networks that
            propose, "auc" and "ar_100", average recall with 100 proposals a video, and
            so on; and "examples" and "failed", the number of videos that counted and
            that could not be read.
        detection: Average precision of each class, or recall of proposals.
        predictions: What was found.
    """

    metrics: dict[str, float]
    detection: DetectionResult | ProposalResult
    predictions: Segments

    def to_dict(self) -> dict[str, Any]:
        """Returns metrics, and what they are made of by threshold, ready for JSON."""
        return {"metrics": self.metrics, "detection": self.detection.to_dict()}


def detection_losses(settings: Preset) -> Losses:
    """Returns the losses of a detector.

    Args:
        settings: What was published with it.

    Returns:
        `losses((logits, endpoints), batch)`: the loss of the batch in each row, [B];
        its parts "cls_loss" and "reg_loss"; and the moving average by which it was
        divided. The batch is that of `vidjax.data.features.train_feature_batches`. Of
        networks that propose the parts are "boundary_loss", "regression_loss" and
        "classification_loss", and nothing is kept.
    """
    if isinstance(settings.decoding, Matching):
        return _proposal_losses
    ranges = settings.decoding.ranges

    def losses(output: Output, batch: Batch) -> tuple[Any, ...]:
        logits, endpoints = output
        rows, num_classes = len(logits), logits.shape[-1]
        points = make_points(batch["clip"][0].shape[1], ranges)

        def targets(segments: Any, labels: Any, valid: Any) -> Any:
            return assign(points, segments, labels, valid, num_classes=num_classes)

        classes, offsets = jax.vmap(targets)(*batch["label"])
        loss = detection_loss(
            logits,
            level_offsets(endpoints, len(ranges)),
            endpoints["mask"],
            classes,
            offsets,
            batch["running"]["normalizer"],
            label_smoothing=settings.label_smoothing,
            regression_weight=settings.regression_weight,
            iou_power=settings.iou_power,
        )
        told = {k: jnp.full(rows, part) for k, part in loss.parts.items()}
        running = {"normalizer": loss.normalizer}
        return jnp.full(rows, loss.total), told, running

    return losses


def _proposal_losses(output: Output, batch: Batch) -> tuple[Any, ...]:
    """The losses of BMN; steps lie evenly over the whole video."""
    logits, endpoints = output
    segments, _, valid = batch["label"]
    rows, steps = endpoints["start"].shape

    def targets(segments: Any, valid: Any) -> Any:
        return boundary_targets((segments + 0.5) / steps, valid, steps=steps)

    loss = boundary_loss(
        logits,
        endpoints["start"],
        endpoints["end"],
        jax.vmap(targets)(segments, valid),
        jax.random.uniform(batch["key"], (2, rows, steps, steps)),
    )
    parts = ("boundary", "regression", "classification")
    told = {f"{part}_loss": jnp.full(rows, getattr(loss, part)) for part in parts}
    return jnp.full(rows, loss.total), told


def make_detection_test(
    config: Config, model: nn.Module, source: FeatureSource, mesh: Mesh
) -> Callable[[Mapping[str, Any], Callable[[int, int], None]], LocalizationResult]:
    """Returns the test of a detector, its program compiled for each padded length.

    Args:
        config: The experiment.
        model: The detector.
        source: Held-out videos.
        mesh: Devices.

    Returns:
        A function of variables on the devices, and of what is told of videos done and
        videos to do.
    """
    settings, data = preset(config.model), config.data
    detector = jax.jit(
        make_detector(model, settings.decoding), out_shardings=replicated(mesh)
    )
    size = data.eval_batch_size or data.batch_size
    rows = batch_sharding(mesh)

    def test(
        variables: Mapping[str, Any], told: Callable[[int, int], None]
    ) -> LocalizationResult:
        found, read = [], []
        for grids, batch in eval_feature_batches(source, batch_size=size):
            features, there = put_batch(batch, rows)["clip"]
            kept = jax.device_get(detector(variables, features, there))
            for row, (index, grid) in enumerate(grids):
                one = jax.tree.map(lambda a, row=row: a[row], kept)
                found += _rows(source, index, grid, one)
            read += [index for index, _ in grids]
            told(len(read), source.num_examples)
        judge = judge_detections
        if isinstance(settings.decoding, Matching):
            judge = judge_proposals
        return judge(source, make_segments(found), read=read, tious=settings.tious)

    return test


def _rows(source: FeatureSource, index: int, grid: FeatureGrid, kept: Any) -> list[Any]:
    video = source.videos[index]
    return [
        (video.name, s.start_sec, s.end_sec, s.label, s.score)
        for s in to_segments(kept, grid, video.duration, source.label_names)
    ]


def judge_detections(
    source: FeatureSource, predictions: Segments, *, read: Sequence[int], tious: str
) -> LocalizationResult:
    """Measures what was found in held-out videos.

    Args:
        source: The videos.
        predictions: What was found.
        read: Which of them could be read; the others do not count.
        tious: Key of `vidjax.localization.TIOUS`.

    Returns:
        The result.

    Raises:
        ValueError: If no held-out video that could be read has an action.
    """
    detection = evaluate(predictions, _truth(source, read), tious=tious)
    levels = zip(detection.tious, detection.map.tolist(), strict=True)
    metrics = {
        "average_map": detection.average_map,
        **{f"map_{tiou:.2f}": value for tiou, value in levels},
        **_counts(source, read),
    }
    return LocalizationResult(metrics, detection, predictions)


def judge_proposals(
    source: FeatureSource, predictions: Segments, *, read: Sequence[int], tious: str
) -> LocalizationResult:
    """Measures what was proposed in held-out videos.

    Args:
        source: The videos.
        predictions: What was proposed.
        read: Which of them could be read; the others do not count.
        tious: Key of `vidjax.localization.TIOUS`.

    Returns:
        The result.

    Raises:
        ValueError: If no held-out video that could be read has an action, or none of
            those has a proposal.
    """
    curve = evaluate_proposals(predictions, _truth(source, read), tious=tious)
    metrics = {
        "auc": curve.auc,
        **{f"ar_{number:g}": curve.at(number) for number in _PROPOSALS},
        **_counts(source, read),
    }
    return LocalizationResult(metrics, curve, predictions)


def _truth(source: FeatureSource, read: Sequence[int]) -> Segments:
    return make_segments(
        (video.name, float(start), float(end), source.label_names[label], 1.0)
        for video in (source.videos[index] for index in read)
        for (start, end), label in zip(
            video.segments, video.labels.tolist(), strict=True
        )
    )


def _counts(source: FeatureSource, read: Sequence[int]) -> dict[str, Any]:
    return {"examples": len(read), "failed": source.num_examples - len(read)}
