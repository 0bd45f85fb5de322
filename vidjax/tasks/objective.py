"""What a run learns: the losses of its update, its test, and which test is best."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from vidjax.data.pipeline import eval_batches
from vidjax.localization.presets import preset
from vidjax.models.videomae_pretrain import VideoMAEPretrain
from vidjax.tasks.detection import (
    LocalizationResult,
    detection_losses,
    make_detection_test,
)
from vidjax.tasks.evaluate import make_scorer, score
from vidjax.tasks.experiment import make_prepare, make_views
from vidjax.tasks.judgement import EvalResult, measure
from vidjax.tasks.learn_flow import Draw, flow_losses, make_draw, make_images
from vidjax.tasks.reconstruct import (
    ReconstructionResult,
    gather_losses,
    make_loss_step,
    reconstruction,
)
from vidjax.tasks.run import Run
from vidjax.train.sharding import batch_sharding, put_batch, replicated, under_mesh
from vidjax.train.step import Losses, Prepare, classification

_GOALS = ("top1", "average_map", "auc")

OnScored = Callable[[int, int], None]
Result = EvalResult | ReconstructionResult | LocalizationResult
Test = Callable[[Mapping[str, Any], OnScored], Result]
"""From variables on the devices, and what is told of clips done and clips to do, to the
result on the held-out split."""


def make_inputs(run: Run) -> Prepare:
    """Returns what turns what the source of a run gives into what its model wants.

    Args:
        run: The run.

    Returns:
        A function on arrays [B, ...].
    """
    config = run.config
    if config.objective == "flow":
        return make_images(_draw(run), config.dtype)
    return make_prepare(run.spec, config.dtype)


def make_losses(run: Run) -> Losses:
    """Returns the losses of a run's update.

    Args:
        run: The run.

    Returns:
        See `vidjax.train.step.Losses`.
    """
    if run.config.objective == "localization":
        return detection_losses(preset(run.config.model))
    if run.config.objective == "flow":
        return flow_losses(_draw(run))
    if isinstance(run.model, VideoMAEPretrain):
        return reconstruction(run.model.layout.patch, run.model.targets)
    return classification(run.config.optim.label_smoothing)


def make_test(run: Run, mesh: Mesh) -> Test:
    """Returns the test of a run, its program compiled at the first call.

    Args:
        run: The run.
        mesh: Devices.

    Returns:
        See `Test`.
    """
    if run.config.objective == "localization":
        return make_detection_test(run.config, run.model, run.sources.eval, mesh)
    if run.config.objective != "classification":
        step = make_loss_step(
            run.model, prepare=make_inputs(run), losses=make_losses(run)
        )
        jitted = jax.jit(step, out_shardings=replicated(mesh))
        compiled = under_mesh(mesh, jitted)
        return functools.partial(_test_reconstruction, run, mesh, compiled)
    views = make_views(run.config)
    scorer = make_scorer(run.model, run.spec, run.config.dtype, mesh, views=views)
    return functools.partial(_test_classification, run, mesh, scorer)


def goodness(metrics: Mapping[str, float]) -> float:
    """Returns by what the best test of a run is found; more is better.

    Args:
        metrics: Of a test.

    Returns:
        Top-1 of clips, average mAP of actions, the area under the recall of proposals,
        or else the negative loss.

    Example:
        >>> goodness({"top1": 0.5, "loss": 2.0}), goodness({"loss": 2.0})
        (0.5, -2.0)
    """
    found = next((metrics[m] for m in _GOALS if m in metrics), None)
    return -metrics["loss"] if found is None else found


def _draw(run: Run) -> Draw:
    return make_draw(run.spec.size, run.config.data.synthetic.seed)


def _test_classification(
    run: Run, mesh: Mesh, scorer: Any, variables: Mapping[str, Any], told: OnScored
) -> EvalResult:
    source, data = run.sources.eval, run.config.data
    scores = score(
        scorer,
        variables,
        source,
        num_classes=len(source.label_names),
        views=make_views(run.config),
        batch_size=data.eval_batch_size or data.batch_size,
        mesh=mesh,
        workers=data.workers,
        on_scored=told,
    )
    return measure(
        scores, source.labels, label_names=source.label_names, paths=source.paths
    )


def _test_reconstruction(
    run: Run, mesh: Mesh, step: Any, variables: Mapping[str, Any], told: OnScored
) -> ReconstructionResult:
    source, data = run.sources.eval, run.config.data
    size, total = data.eval_batch_size or data.batch_size, source.num_examples
    sharding = batch_sharding(mesh)

    def rows() -> Iterator[Any]:
        batches = eval_batches(source, batch_size=size, workers=data.workers)
        for done, batch in enumerate(batches, start=1):
            given = {name: batch[name] for name in ("clip", "index", "mask")}
            yield jax.device_get(step(variables, put_batch(given, sharding)))
            told(min(done * size, total), total)

    return gather_losses(rows(), source.paths)
