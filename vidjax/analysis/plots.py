"""Pictures: training curves, confusion matrices, strips of clips with predictions."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_RIGHT, _WRONG, _INK, _PALE = "#009E73", "#D55E00", "#333333", "#DDDDDD"
_MOST_NAMED_CLASSES = 24  # Beyond that the names of a confusion matrix overlap.


def curves_figure(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    *,
    metric: str,
    title: str,
    percent: bool = False,
) -> "Figure":
    """Draws one metric over the steps, one line a model.

    Args:
        histories: For each model, records with "step" and perhaps `metric`.
        metric: Key of the records to draw.
        title: Title of the picture.
        percent: Whether the metric is a share in [0, 1] to be shown in percent.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure, axes = _figure(6.4, 3.6)
    for colour, (name, records) in zip(_cycle(), histories.items(), strict=False):
        rows = [(r["step"], r[metric]) for r in records if metric in r]
        steps, values = zip(*rows, strict=True) if rows else ((), ())
        scale = 100 if percent else 1
        axes.plot(
            steps,
            np.asarray(values) * scale,
            color=colour,
            label=name,
            linewidth=1.8,
            marker="o" if len(rows) < 30 else None,
            markersize=3.5,
        )
    axes.set_xlabel("step")
    axes.set_title(title, loc="left", color=_INK)
    axes.grid(color=_PALE, linewidth=0.6)
    if percent:
        axes.set_ylim(0, 102)
        axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.legend(frameon=False)
    return figure


def confusion_figure(
    confusion: np.ndarray, label_names: Sequence[str], *, title: str
) -> "Figure":
    """Draws a confusion matrix, each row as shares of its class.

    Args:
        confusion: Counts [K, K]; rows are the true class, columns the predicted one.
        label_names: Names of the K classes.
        title: Title of the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    classes = len(label_names)
    side = min(3.0 + 0.33 * classes, 10.0)
    figure, axes = _figure(side, side * 0.92)
    rows = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    share = confusion / rows
    axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_title(title, loc="left", color=_INK)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if classes <= _MOST_NAMED_CLASSES:
        axes.set_xticks(range(classes), label_names, rotation=45, ha="right")
        axes.set_yticks(range(classes), label_names)
        for row, column in np.argwhere(share >= 0.005):
            value = share[row, column]
            axes.text(
                column,
                row,
                f"{100 * value:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value > 0.55 else _INK,
            )
    axes.tick_params(length=0)
    return figure


def strip_figure(
    clips: np.ndarray, labels: Sequence[str], guesses: Mapping[str, Sequence[str]]
) -> "Figure":
    """Draws clips as rows of frames, with what each model made of them.

    Args:
        clips: uint8 [N, T, H, W, 3].
        labels: True label of each clip.
        guesses: For each model, its label for each clip.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    count, frames = clips.shape[:2]
    figure, _ = _figure(1.0 * frames + 4.2, 1.08 * count + 0.3, axes=False)
    grid = figure.add_gridspec(
        count, 2, width_ratios=(frames, 4.2), wspace=0.02, hspace=0.12
    )
    for row in range(count):
        picture = figure.add_subplot(grid[row, 0])
        gap = np.full((clips.shape[2], 1, 3), 255, np.uint8)
        joined = [part for frame in clips[row] for part in (frame, gap)][:-1]
        picture.imshow(np.concatenate(joined, axis=1), interpolation="nearest")
        picture.axis("off")
        words = figure.add_subplot(grid[row, 1])
        words.axis("off")
        words.text(0.02, 0.92, labels[row], weight="bold", va="top", color=_INK)
        for line, (name, guess) in enumerate(guesses.items()):
            right = guess[row] == labels[row]
            words.text(
                0.02,
                0.66 - 0.24 * line,
                f"{'✓' if right else '✗'} {name}: {guess[row]}",
                va="top",
                fontsize=8,
                color=_RIGHT if right else _WRONG,
            )
    return figure


def predictions_figure(
    names: Sequence[str],
    frames: Sequence[np.ndarray],
    predictions: Sequence[Sequence[tuple[str, float]]],
) -> "Figure":
    """Draws, for each video, some of its frames and a bar for each label.

    Args:
        names: Title of each video.
        frames: For each video, uint8 [N, H, W, 3].
        predictions: For each video, pairs of label and probability, best first.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    count = len(names)
    figure, _ = _figure(11.0, 2.1 * count, axes=False)
    grid = figure.add_gridspec(count, 2, width_ratios=(3, 2), wspace=0.5, hspace=0.45)
    for row in range(count):
        picture = figure.add_subplot(grid[row, 0])
        picture.imshow(np.concatenate(list(frames[row]), axis=1))
        picture.set_title(names[row], loc="left", fontsize=9, color=_INK)
        picture.axis("off")
        _bars(figure.add_subplot(grid[row, 1]), predictions[row])
    return figure


def save_figure(figure: "Figure", path: pathlib.Path) -> None:
    """Writes a figure; an unfinished write never stands under the final name.

    Args:
        figure: A matplotlib figure.
        path: Picture to write; the ending says which kind.

    Raises:
        ValueError: If matplotlib does not know the ending.
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=130)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)


def png_bytes(figure: "Figure") -> bytes:
    """Returns a figure as the bytes of a PNG.

    Args:
        figure: A matplotlib figure.

    Returns:
        The bytes of the file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _bars(axes: "Axes", predictions: Sequence[tuple[str, float]]) -> None:
    labels = [label for label, _ in predictions]
    values = [100 * probability for _, probability in predictions]
    places = np.arange(len(labels))[::-1]
    axes.barh(places, values, color=_COLOURS[0], height=0.62)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xlim(0, 112)
    axes.set_xticks([])
    for place, value in zip(places, values, strict=True):
        axes.text(value + 1.5, place, f"{value:.1f} %", va="center", fontsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def _figure(width: float, height: float, *, axes: bool = True) -> tuple["Figure", Any]:
    """A figure of its own, so that no global state of pyplot is touched."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib: pip install "vidjax[plot]".'
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained" if axes else None)
    if not axes:
        return figure, None
    drawn = figure.add_subplot()
    for side in ("top", "right"):
        drawn.spines[side].set_visible(False)
    return figure, drawn


def _cycle() -> list[str]:
    return list(_COLOURS) * 8
