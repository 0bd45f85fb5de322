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
COLOURS: tuple[str, ...] = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
_RIGHT, _WRONG, _INK, _PALE = "#009E73", "#D55E00", "#333333", "#DDDDDD"
_WIDTH = 11.0  # Inches.
_MOST_NAMED_CLASSES = 24  # Beyond that the names of a confusion matrix overlap.


def table_figure(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, title: str
) -> "Figure":
    """Draws a table of text; the first column is set to the left.

    Args:
        titles: Column titles.
        rows: Cells, one text a column.
        title: Title of the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure, (axes,) = new_figure(_WIDTH, 0.9 + 0.34 * len(rows))
    axes.axis("off")
    axes.set_title(title, loc="left", color=_INK, weight="bold")
    table = axes.table(
        cellText=[list(row) for row in rows],
        colLabels=list(titles),
        cellLoc="right",
        loc="upper center",
        edges="horizontal",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1, 1.5)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor(_PALE)
        cell.set_text_props(ha="left" if column == 0 else "right")
        if row == 0:
            cell.set_text_props(weight="bold", color=_INK)
    return figure


def curves_figure(
    panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]],
) -> "Figure":
    """Draws metrics over the steps: a panel for each metric, a line for each model.

    Args:
        panels: For each metric's title, for each model, pairs of step and value. Where
            the title ends in "%", values are shares in [0, 1].

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure, panes = new_figure(_WIDTH, 3.4, panes=len(panels))
    for axes, (title, lines) in zip(panes, panels.items(), strict=True):
        percent = title.endswith("%")
        for (name, points), colour in zip(lines.items(), _cycle(), strict=False):
            steps = [step for step, _ in points]
            values = np.array([value for _, value in points]) * (100 if percent else 1)
            axes.plot(
                steps,
                values,
                color=colour,
                label=name,
                linewidth=1.6,
                marker="o" if len(points) < 30 else None,
                markersize=3.5,
            )
        axes.set_xlabel("step")
        axes.set_title(title, loc="left", color=_INK)
        axes.grid(color=_PALE, linewidth=0.6)
        if percent:
            axes.set_ylim(0, 103)
    panes[0].legend(frameon=False, fontsize=8)
    return figure


def confusion_figure(
    confusions: Mapping[str, np.ndarray], label_names: Sequence[str]
) -> "Figure":
    """Draws confusion matrices side by side, each row as shares of its class.

    Args:
        confusions: For each model, counts [K, K]; rows are the true class, columns the
            predicted one.
        label_names: Names of the K classes.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    side = _WIDTH / len(confusions)
    figure, panes = new_figure(_WIDTH, min(side + 1.2, 9.0), panes=len(confusions))
    for axes, (name, confusion) in zip(panes, confusions.items(), strict=True):
        share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set_title(name, loc="left", color=_INK, fontsize=10)
        axes.set_xlabel("predicted")
        axes.tick_params(length=0, labelsize=8)
        if len(label_names) <= _MOST_NAMED_CLASSES:
            places = range(len(label_names))
            axes.set_xticks(places, label_names, rotation=60, ha="right")
            axes.set_yticks(places, label_names if axes is panes[0] else [])
            _write_shares(axes, share)
    panes[0].set_ylabel("true")
    return figure


def _write_shares(axes: "Axes", share: np.ndarray) -> None:
    for row, column in np.argwhere(share >= 0.005):
        value = share[row, column]
        axes.text(
            column,
            row,
            f"{100 * value:.0f}",
            ha="center",
            va="center",
            fontsize=6,
            color="white" if value > 0.55 else _INK,
        )


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
    figure, _ = new_figure(_WIDTH, _WIDTH / (frames + 4.2) * count * 1.08, panes=0)
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
    figure, _ = new_figure(_WIDTH, 2.1 * count, panes=0)
    grid = figure.add_gridspec(count, 2, width_ratios=(3, 2), wspace=0.5, hspace=0.45)
    for row in range(count):
        picture = figure.add_subplot(grid[row, 0])
        picture.imshow(np.concatenate(list(frames[row]), axis=1))
        picture.set_title(names[row], loc="left", fontsize=9, color=_INK)
        picture.axis("off")
        _bars(figure.add_subplot(grid[row, 1]), predictions[row])
    return figure


def costs_figure(
    names: Sequence[str], panels: Mapping[str, Sequence[float]], *, title: str
) -> "Figure":
    """Draws bars side by side: a row for each layer, a panel for each kind of cost.

    Args:
        names: Names of the layers, from the first to the last.
        panels: For each kind of cost, by its title, one value a layer.
        title: Title of the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure, panes = new_figure(_WIDTH, 1.1 + 0.2 * len(names), panes=len(panels))
    figure.suptitle(title, x=0.01, ha="left", color=_INK, weight="bold", fontsize=11)
    places = np.arange(len(names))[::-1]
    for axes, (kind, values), colour in zip(
        panes, panels.items(), _cycle(), strict=False
    ):
        axes.barh(places, values, color=colour, height=0.68)
        axes.set_title(kind, loc="left", color=_INK, fontsize=9)
        axes.set_yticks(places, names if axes is panes[0] else [], fontsize=7)
        axes.set_ylim(-0.8, len(names) - 0.2)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="x", color=_PALE, linewidth=0.6)
        axes.set_axisbelow(True)
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


def stack_figures(figures: Sequence["Figure"]) -> bytes:
    """Puts figures below each other.

    Args:
        figures: Matplotlib figures.

    Returns:
        The bytes of one PNG.
    """
    from matplotlib import image

    pictures = [
        image.imread(io.BytesIO(png_bytes(figure)))[..., :3] for figure in figures
    ]
    width = max(picture.shape[1] for picture in pictures)
    padded = [
        np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=1.0)
        for p in pictures
    ]
    buffer = io.BytesIO()
    image.imsave(buffer, np.concatenate(padded).clip(0, 1), format="png")
    return buffer.getvalue()


def _bars(axes: "Axes", predictions: Sequence[tuple[str, float]]) -> None:
    labels = [label for label, _ in predictions]
    values = [100 * probability for _, probability in predictions]
    places = np.arange(len(labels))[::-1]
    axes.barh(places, values, color=COLOURS[0], height=0.62)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xlim(0, 112)
    axes.set_xticks([])
    for place, value in zip(places, values, strict=True):
        axes.text(value + 1.5, place, f"{value:.1f} %", va="center", fontsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def new_figure(width: float, height: float, *, panes: int = 1) -> "tuple[Figure, Any]":
    """Makes a figure of its own, so that no global state of pyplot is touched.

    Args:
        width: In inches.
        height: In inches.
        panes: Plots side by side; 0 leaves it to the caller to add some.

    Returns:
        A matplotlib figure, and its panes.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib: pip install "vidjax[plot]".'
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained" if panes else None)
    if not panes:
        figure.subplots_adjust(
            left=0.02, right=0.95, top=1 - 0.35 / height, bottom=0.1 / height
        )
        return figure, ()
    drawn = figure.subplots(1, panes, squeeze=False)[0]
    for axes in drawn:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    return figure, drawn


def _cycle() -> list[str]:
    return list(COLOURS) * 8
