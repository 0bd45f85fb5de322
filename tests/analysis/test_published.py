"""Figures of published tables, reproduced to their printed digits.

published.csv names, for each, the table, its rule of counting and the clip that it
counts, which is rarely said: PyTorchVideo and MMAction2's 3D networks use the test crop
of 256 pixels, and so does MMAction2's TSM on MobileNetV2 (its other 2D rows do not).
"torchvision meta of the weights" is `_ops` and `num_params` in
torchvision/models/{resnet,mobilenetv2,video/resnet,video/s3d}.py.
"""

import ast
import csv
import decimal
import pathlib

import pytest

from vidjax.analysis.conventions import count
from vidjax.analysis.program import layer_finder

PUBLISHED = [
    *csv.DictReader(
        pathlib.Path(__file__).with_name("published.csv").read_text().splitlines()
    )
]


def _printed(value, text, *, digits=9):
    """The value with as many digits after the point as the text has.

    Args:
        value: A number.
        text: What the table prints.
        digits: Those after the point that the table's authors had before them.
    """
    seen = decimal.Decimal(f"{value:.{digits}f}")
    unit = decimal.Decimal(1).scaleb(-len(text.partition(".")[2]))
    return str(seen.quantize(unit, decimal.ROUND_HALF_UP))


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: "-".join([*r.values()][:5]))
def test_published_figures_are_reproduced_to_their_printed_digits(row, traced):
    name, _, value = row["arguments"].partition("=")
    arguments = {name: ast.literal_eval(value)} if name else {}
    size = int(row["size"])
    model = traced(row["model"], (int(row["frames"]), size, size, 3), **arguments)
    found = count(model.forward, row["convention"], layer_finder(model.params))
    if row["gflops"]:
        # mmengine prints three digits, which its table rounds again: 32.8749 to 32.88.
        digits = 3 if row["convention"] == "mmaction2" else 9
        gflops = _printed(sum(found.values()) / 1e9, row["gflops"], digits=digits)
        assert gflops == row["gflops"]
    if row["params"]:
        params = sum(model.params.values())
        millions = params / 1e6 if "." in row["params"] else params
        assert _printed(millions, row["params"]) == row["params"]


def test_the_table_is_long_and_has_every_convention_that_tables_use():
    assert sum(bool(row["gflops"]) for row in PUBLISHED) >= 60
    assert sum(bool(row["params"]) for row in PUBLISHED) >= 40
    assert {row["convention"] for row in PUBLISHED} >= {
        "macs",
        "pytorchvideo",
        "mmaction2",
    }
    assert all(row["source"] for row in PUBLISHED)
