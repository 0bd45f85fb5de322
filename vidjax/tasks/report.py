"""The report of a run: a table, curves, confusion matrices, clips with predictions."""

import dataclasses
import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidjax.analysis import plots
from vidjax.analysis.cost import cost
from vidjax.analysis.page import render_page
from vidjax.config import Config
from vidjax.data.sources import Source, make_source
from vidjax.models import model_card
from vidjax.tasks.experiment import make_spec
from vidjax.tasks.workdir import (
    EVALUATION,
    METRICS,
    contenders,
    read_config,
    read_result,
)
from vidjax.train.log import read_metrics, write_json

_STRIPS = 8
_COLUMNS = ("model", "fusion", "parameters", "multiply-adds")
_TITLES = {
    "Training": "curves",
    "Confusion, in percent of each true class": "confusion",
    "Held-out clips and what each model made of them": "clips",
}


_GOALS = ("loss", "average_map", "auc")  # Where no labels are learned.


@dataclasses.dataclass(frozen=True)
class Row:
    """One model of the table.

    Attributes:
        model: Name of the model; of equal ones, the second is "NAME-2".
        fusion: Where it joins time; see `vidjax.typing.ModelCard`.
        parameters: Trainable parameters.
        macs: Multiply-adds of one clip.
        top1: Share of the held-out examples that are right after the last step, in
            [0, 1]; None where no labels are learned.
        loss: Where no labels are learned: the held-out loss after the last step.
        average_map: Of a detector of actions: average mAP after the last step.
        auc: Of one that proposes: area under the recall of proposals.
    """

    model: str
    fusion: str
    parameters: int
    macs: int
    top1: float | None
    loss: float | None = None
    average_map: float | None = None
    auc: float | None = None

    @property
    def result(self) -> tuple[str, str]:
        """What is measured of it and how much, for a table."""
        if self.top1 is not None:
            return "top-1", f"{100 * self.top1:.1f} %"
        if self.average_map is not None:
            return "average mAP", f"{100 * self.average_map:.1f} %"
        if self.auc is not None:
            return "AUC", f"{100 * self.auc:.1f} %"
        return "held-out loss", f"{self.loss:.4f}"

    def to_dict(self) -> dict[str, Any]:
        """Returns what is known, ready for JSON."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run came to, and where it is written.

    Attributes:
        rows: A row for each model.
        chance: Top-1 of guessing, one over the number of classes; None where no labels
            are learned.
        results: JSON file: an array of the rows.
        page: HTML file with everything, or None without matplotlib.
        picture: PNG file with everything, or None without matplotlib.
    """

    rows: tuple[Row, ...]
    chance: float | None
    results: pathlib.Path
    page: pathlib.Path | None
    picture: pathlib.Path | None


def report(workdir: str | os.PathLike[str]) -> Report:
    """Writes the report of a finished run into its folder.

    That is results.json (the table), report.html (self-contained), report.png, and each
    picture by itself. Without matplotlib only the table is written.

    Args:
        workdir: Folder of a finished run, of one model or of several.

    Returns:
        The rows of the table, and the files.

    Raises:
        ValueError: If the folder is no run, or the run is not finished.
    """
    workdir = pathlib.Path(workdir)
    config = read_config(workdir)
    runs = contenders(config) if config.compare else {config.model: config}
    folders = {n: workdir / n if config.compare else workdir for n in runs}
    unfinished = [name for name in runs if read_result(folders[name]) is None]
    if unfinished:
        raise ValueError(f"{workdir}: {', '.join(unfinished)} is not finished.")
    evaluations = {
        name: json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
        for name, folder in folders.items()
    }
    # No names where no labels are learned.
    classes = len(next(iter(evaluations.values())).get("label_names", ()))
    rows = tuple(
        _row(name, run, classes, evaluations[name]["metrics"])
        for name, run in runs.items()
    )
    write_json(workdir / "results.json", [row.to_dict() for row in rows])
    histories = {n: read_metrics(folder / METRICS) for n, folder in folders.items()}
    page = picture = None
    # matplotlib is an extra; the table stands without it, and the caller is told.
    if importlib.util.find_spec("matplotlib") is not None:
        figures = _figures(config, rows, histories, evaluations)
        page, picture = _write_page(workdir, config, rows, figures, classes)
    chance = 1 / classes if classes else None
    return Report(rows, chance, workdir / "results.json", page, picture)


def _row(
    name: str, config: Config, num_classes: int, metrics: Mapping[str, float]
) -> Row:
    arguments = dict(config.model_args)
    if num_classes:
        arguments["num_classes"] = num_classes
    costs = cost(config.model, make_spec(config).shape, **arguments)
    fusion = model_card(config.model).fusion
    row = Row(name, fusion, costs.params, costs.macs, metrics.get("top1"))
    if num_classes:
        return row
    return dataclasses.replace(row, **{name: metrics.get(name) for name in _GOALS})


def _figures(
    config: Config,
    rows: tuple[Row, ...],
    histories: Mapping[str, list[dict[str, Any]]],
    evaluations: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """The pictures by the name of their file."""
    figures = {
        "table": plots.table_figure(
            _columns(rows), [_cells(row) for row in rows], title="On held-out examples"
        )
    }
    if rows[0].top1 is None:
        metric = next(m for m in _GOALS if getattr(rows[0], m) is not None)
        curves = {
            "training loss": _points(histories, "train", "loss"),
            _columns(rows)[-1]: _points(histories, "eval", metric),
        }
        return {**figures, "curves": plots.curves_figure(curves)}
    source = make_source(config.data, make_spec(config), split="eval")
    confusions = {n: np.array(e["confusion"]) for n, e in evaluations.items()}
    return {
        **figures,
        "curves": plots.curves_figure(
            {
                "training loss": _points(histories, "train", "loss"),
                "held-out top-1, %": _points(histories, "eval", "top1"),
            }
        ),
        "confusion": plots.confusion_figure(confusions, source.label_names),
        "clips": _strips(evaluations, source),
    }


def _points(
    histories: Mapping[str, list[dict[str, Any]]], group: str, metric: str
) -> dict[str, list[tuple[int, float]]]:
    return {
        name: [(line["step"], line[metric]) for line in lines if line["group"] == group]
        for name, lines in histories.items()
    }


def _strips(evaluations: Mapping[str, dict[str, Any]], source: Source) -> Any:
    """The first held-out example of each class, as every model saw it."""
    predictions = {name: e["predictions"] for name, e in evaluations.items()}
    readable = [
        i
        for i in range(source.num_examples)
        if all("error" not in rows[i] for rows in predictions.values())
    ]
    first = {int(source.labels[i]): i for i in reversed(readable)}
    chosen = [first[label] for label in sorted(first)][:_STRIPS]
    clips = [source.clip(i) for i in chosen]
    frames = (
        np.linspace(0, len(clips[0]) - 1, min(8, len(clips[0]))).round().astype(int)
    )
    return plots.strip_figure(
        np.stack([clip[frames] for clip in clips]),
        [source.label_names[source.labels[i]] for i in chosen],
        {
            name: [rows[i]["predicted"] for i in chosen]
            for name, rows in predictions.items()
        },
    )


def _columns(rows: tuple[Row, ...]) -> tuple[str, ...]:
    return (*_COLUMNS, rows[0].result[0])


def _cells(row: Row) -> tuple[str, ...]:
    costs = f"{row.parameters:,}", f"{row.macs:,}"
    return (row.model, row.fusion, *costs, row.result[1])


def _write_page(
    workdir: pathlib.Path,
    config: Config,
    rows: tuple[Row, ...],
    figures: dict[str, Any],
    num_classes: int,
) -> tuple[pathlib.Path, pathlib.Path]:
    for name, figure in figures.items():
        plots.save_figure(figure, workdir / f"{name}.png")
    picture = workdir / "report.png"
    _write(picture, plots.stack_figures(list(figures.values())))
    notes = f"Data: {config.data.source}; no labels are learned."
    if config.objective == "localization":
        notes = (
            f"Data: features in {config.features.folder}. What is told of held-out "
            "videos is measured after the last step."
        )
    if num_classes:
        notes = (
            f"Data: {config.data.source}; {num_classes} classes, so that guessing is "
            f"right {100 / num_classes:.1f} % of the time. Top-1 is measured on "
            "held-out examples after the last step."
        )
    page = render_page(
        title=f"vidjax: {' against '.join(row.model for row in rows)}",
        notes=(notes,),
        columns=_columns(rows),
        rows=[_cells(row) for row in rows],
        pictures={
            title: plots.png_bytes(figures[name])
            for title, name in _TITLES.items()
            if name in figures
        },
        appendix={"Config": (workdir / "config.json").read_text(encoding="utf-8")},
    )
    _write(workdir / "report.html", page.encode("utf-8"))
    return workdir / "report.html", picture


def _write(path: pathlib.Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
