"""`vidjax evaluate` of what finds actions: runs of detectors, and files of segments."""

import json
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import tyro
from rich import box, console, table

from vidjax.cli.count_view import CountView
from vidjax.config import Config

Dataset = Literal[
    "thumos14", "activitynet", "hacs", "epic", "ego4d", "multithumos", "charades"
]
_SHOWN = (1, 5, 10, 50, 100)  # Numbers of proposals.


def run(argv: Sequence[str]) -> int:
    """Measures a file of segments.

    Args:
        argv: Arguments after `vidjax evaluate`: --predictions FILE, --ground-truth FILE
            and what else is said.

    Returns:
        The exit code.

    Raises:
        ValueError: If a file is not as it should be.
    """
    return tyro.cli(
        _evaluate,
        args=list(argv),
        prog="vidjax evaluate",
        description="Measures segments that any program found, ActivityNet's JSON: mAP "
        "and recall at the thresholds of a data set, or AR@AN of proposals.\n\n"
        "example: vidjax evaluate --predictions found.json --ground-truth "
        "thumos14.json --dataset thumos14 --subset test",
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def run_detector(
    config: Config,
    workdir: pathlib.Path | None,
    weights: str | None,
    predictions: pathlib.Path | None,
    *,
    as_json: bool,
) -> int:
    """Tests a detector.

    Args:
        config: The experiment.
        workdir: Folder of its run, or
        weights: file of weights.
        predictions: File for what it finds.
        as_json: Whether one JSON object is printed and nothing else.

    Returns:
        The exit code.

    Raises:
        ValueError: As `vidjax.tasks.evaluate_segments.evaluate_detector`.
    """
    from vidjax.tasks.evaluate_segments import evaluate_detector

    with CountView("videos") as show:
        result = evaluate_detector(
            config,
            workdir,
            weights,
            predictions=predictions,
            on_video=lambda done, total: show(config.model, done, total),
        )
    _show(result.detection.to_dict(), as_json)
    return 0


def _evaluate(
    *,
    predictions: pathlib.Path,
    ground_truth: pathlib.Path,
    dataset: Dataset,
    subset: str | None = None,
    policy: Literal["default", "official", "actionformer", "opentad"] = "default",
    recall: tuple[int, ...] = (1, 5),
    proposals: bool = False,
    video_scores: pathlib.Path | None = None,
    blocked: pathlib.Path | None = None,
    json_: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Measures.

    Args:
        predictions: What was found, ActivityNet's JSON.
        ground_truth: Annotations, ActivityNet's JSON.
        dataset: Whose thresholds of overlap are taken.
        subset: Videos that count, such as test or validation; all by default.
        policy: How files that are not as they should be are read; see
            docs/localization.md.
        recall: Each k of recall at k * x.
        proposals: Measure recall of segments, whatever their labels: AR@AN and the area
            under it.
        video_scores: JSON with scores of whole videos, which name the segments first:
            published ones, or those of `vidjax predict --scores`.
        blocked: JSON list of videos that count in nothing.
        json_: Print one JSON object and nothing else.
    """
    from vidjax.tasks.evaluate_segments import evaluate_files

    result = evaluate_files(
        predictions,
        ground_truth,
        dataset=dataset,
        subset=subset,
        policy=policy,
        recall=recall,
        proposals=proposals,
        video_scores=video_scores,
        blocked=blocked,
    )
    _show(result.to_dict(), json_)
    return 0


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=2))
    elif "auc" in result:
        _show_proposals(result)
    else:
        _show_detection(result)


def _show_detection(result: dict[str, Any]) -> None:
    grid = table.Table(box=box.SIMPLE_HEAD)
    titles = ["tIoU", "mAP", *(f"recall@{k}" for k in result["recall"])]
    for title in titles:
        grid.add_column(title, justify="right")
    columns = [result["map"], *result["recall"].values()]
    for level in result["map"]:
        grid.add_row(level, *(f"{100 * column[level]:.2f}" for column in columns))
    means = [sum(column.values()) / len(column) for column in columns]
    grid.add_row("mean", *(f"{100 * mean:.2f}" for mean in means))
    out = console.Console()
    out.print(grid)
    out.print(
        f"{result['predictions']} predictions, {result['ground_truth']} actions of "
        f"{len(result['ap'])} classes, policy {result['policy']}",
        highlight=False,
    )


def _show_proposals(result: dict[str, Any]) -> None:
    out, numbers = console.Console(), result["proposals"]
    for wanted in _SHOWN:
        place = min(range(len(numbers)), key=lambda i: abs(numbers[i] - wanted))
        value = 100 * result["average_recall"][place]
        out.print(f"AR@{wanted:<4} {value:6.2f}", highlight=False)
    out.print(f"AUC     {100 * result['auc']:6.2f}", highlight=False)
