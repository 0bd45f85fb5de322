"""The picture of an untrimmed video: frames, and what happens when."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vidjax.analysis.plots import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 12  # Classes that are drawn: those of the best segments.

# Inches: the picture, its margins, a row of bars, and the strip of frames.
_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 11.0, 1.9, 0.2, 0.4, 0.5
_ROW, _STRIP, _GAP = 0.3, 0.62, 0.08
_LEAST = 0.35  # Width of a bar into which its score fits.


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
    rows = max(len(labels), 1)
    width = _WIDTH - _LEFT - _RIGHT
    height = _TOP + _STRIP + _GAP + _ROW * rows + _BOTTOM
    figure, _ = new_figure(_WIDTH, height, panes=0)
    figure.set_layout_engine("none")

    def add_axes(bottom: float, inches: float) -> "Axes":
        box = (_LEFT / _WIDTH, bottom / height, width / _WIDTH, inches / height)
        return figure.add_axes(box)

    bars = add_axes(_BOTTOM, _ROW * rows)
    strip = add_axes(_BOTTOM + _ROW * rows + _GAP, _STRIP)
    slot = width / len(frames) / _STRIP
    strip.imshow(
        np.concatenate([_fitted(frame, slot) for frame in frames], axis=1),
        aspect="auto",
    )
    strip.set_title(title, loc="left", fontsize=10)
    strip.axis("off")
    for start, end, label, score in segments:
        if label in labels:
            row, inch = labels.index(label), duration / width
            colour = COLOURS[row % len(COLOURS)]
            bars.barh(
                *(row, end - start),
                *(0.66, start),
                color=colour,
                alpha=0.4 + 0.6 * score,
            )
            inside = end - start > _LEAST * inch
            bars.text(
                (start if inside else end) + 0.05 * inch,
                row,
                f"{score:.2f}",
                color="white" if inside and score > 0.6 else "#333333",
                va="center",
                fontsize=7,
                clip_on=True,
            )
    _finish(bars, labels, duration)
    return figure


def _fitted(frame: np.ndarray, aspect: float) -> np.ndarray:
    """Cuts the middle out of a frame, with a width of `aspect` heights."""
    height, width = frame.shape[:2]
    rows, columns = (
        min(height, round(width / aspect)),
        min(width, round(height * aspect)),
    )
    top, left = (height - rows) // 2, (width - columns) // 2
    return frame[top : top + rows, left : left + columns]


def _finish(bars: "Axes", labels: Sequence[str], duration: float) -> None:
    from matplotlib.ticker import MaxNLocator

    bars.set_yticks(range(len(labels)), labels, fontsize=8)
    bars.set_ylim(max(len(labels), 1) - 0.5, -0.5)
    bars.set_xlim(0, duration)
    bars.xaxis.set_major_formatter(lambda x, _: f"{int(x) // 60}:{x % 60:02.0f}")
    bars.xaxis.set_major_locator(
        MaxNLocator(nbins=9, steps=[1, 1.5, 2, 3, 5, 6, 10], integer=True)
    )
    bars.set_xlabel("minutes and seconds", fontsize=8)
    bars.tick_params(axis="x", labelsize=8)
    bars.tick_params(axis="y", length=0)
    bars.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    bars.set_axisbelow(True)
    for side in ("top", "right", "left"):
        bars.spines[side].set_visible(False)


def picture_kinds() -> list[str]:
    """Returns the endings of pictures that can be drawn, such as "png".

    Raises:
        ImportError: If matplotlib is missing.
    """
    figure, _ = new_figure(1.0, 1.0, panes=0)
    return sorted(figure.canvas.get_supported_filetypes())
