"""The picture of an untrimmed video: frames, and what happens when."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vidjax.analysis.plots import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 12  # Classes that are drawn: those of the best segments.


def timeline_figure(
    frames: np.ndarray,
    segments: Sequence[tuple[float, float, str, float]],
    *,
    duration: float,
    title: str,
) -> "Figure":
    """Draws frames side by side, and below them a row of bars for each class.

    Args:
        frames: Evenly spread over the video, uint8 [N, H, W, 3].
        segments: Start and end in seconds, label and score in (0, 1], the best first.
        duration: Of the video, in seconds.
        title: Of the picture.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: If matplotlib is missing.
    """
    labels = list(dict.fromkeys(label for _, _, label, _ in segments))[:_MOST_ROWS]
    height = 0.32 * max(len(labels), 1)
    figure, _ = new_figure(11.0, 1.9 + height, panes=0)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.1, height), hspace=0.1, left=0.16)
    strip, bars = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    strip.imshow(np.concatenate(list(frames), axis=1), aspect="auto")
    strip.set_title(title, loc="left", fontsize=10)
    strip.axis("off")
    for start, end, label, score in segments:
        if label not in labels:
            continue
        row = labels.index(label)
        colour = COLOURS[row % len(COLOURS)]
        bars.barh(row, end - start, left=start, color=colour, alpha=0.35 + 0.65 * score)
        bars.text(start, row, f" {score:.2f}", va="center", fontsize=7)
    bars.set_yticks(range(len(labels)), labels, fontsize=8)
    bars.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    bars.set_xlim(0, duration)
    bars.set_xlabel("seconds", fontsize=8)
    bars.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        bars.spines[side].set_visible(False)
    return figure
