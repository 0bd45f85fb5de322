"""Pictures: they are drawn, whole, and say when matplotlib is missing."""

import io
import sys

import numpy as np
import pytest

from vidjax.analysis import plots


def _pixels(png: bytes) -> np.ndarray:
    from matplotlib import image

    return image.imread(io.BytesIO(png))


def _figures():
    rng = np.random.default_rng(0)
    names = ["left", "right", "up"]
    clips = rng.integers(0, 255, (2, 4, 8, 8, 3), dtype=np.uint8)
    return [
        plots.table_figure(["model", "top-1"], [["c3d", "9 %"]], title="t"),
        plots.curves_figure(
            {"loss": {"c3d": [(1, 2.0), (2, 1.0)]}, "top-1, %": {"c3d": []}}
        ),
        plots.confusion_figure({"c3d": np.eye(3, dtype=int)}, names),
        plots.strip_figure(clips, names[:2], {"c3d": ["left", "up"]}),
        plots.predictions_figure(["a.mp4"], [clips[0]], [[("left", 0.9)]]),
    ]


def test_every_figure_has_ink():
    for figure in _figures():
        pixels = _pixels(plots.png_bytes(figure))
        assert pixels.std() > 0.01


def test_figures_are_stacked_below_each_other():
    figures = _figures()
    heights = [_pixels(plots.png_bytes(f)).shape[0] for f in figures]
    stacked = _pixels(plots.stack_figures(figures))
    assert stacked.shape[0] == sum(heights)


def test_a_class_without_examples_has_an_empty_row():
    confusion = np.array([[2, 2], [0, 0]])
    figure = plots.confusion_figure({"c3d": confusion}, ["a", "b"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["50", "50"]


def test_a_picture_appears_whole_or_not_at_all(tmp_path):
    figure = _figures()[0]
    plots.save_figure(figure, tmp_path / "new" / "a.png")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]
    with pytest.raises(ValueError, match="nope"):
        plots.save_figure(figure, tmp_path / "b.nope")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"vidjax\[plot\]"):
        plots.table_figure(["a"], [["b"]], title="t")
