"""`vidjax train`, `evaluate` and `predict --workdir` on drawn clips, end to end."""

import json

import numpy as np
import pytest

from vidjax.cli.main import main

QUICK = [
    *("--data.synthetic.num-train", "32", "--data.synthetic.num-eval", "20"),
    *("--data.batch-size", "8", "--data.eval-batch-size", "8"),
    *("--steps", "4", "--eval-every", "2", "--save-every", "2", "--log.every", "1"),
    *("--optim.warmup-steps", "0"),
]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    assert main(["train", "quickstart", "--workdir", str(folder), *QUICK]) == 0
    return folder


def test_the_results_are_one_array_with_a_row_for_each_model(workdir):
    rows = json.loads((workdir / "results.json").read_text())
    assert [set(row) for row in rows] == [
        {"model", "fusion", "parameters", "macs", "top1"}
    ] * 3
    average, shift, _ = rows
    assert (average["fusion"], shift["fusion"]) == ("late", "shift")
    assert average["parameters"] == shift["parameters"] > 0
    assert average["macs"] == shift["macs"] > 0
    assert all(0 <= row["top1"] <= 1 for row in rows)


def test_the_report_is_one_file_that_needs_no_other(workdir):
    page = (workdir / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "http://" not in page
    assert "https://" not in page
    for picture in ("report", "table", "curves", "confusion", "clips"):
        assert (workdir / f"{picture}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_command_again_says_that_it_is_finished(workdir, capsys):
    before = (workdir / "results.json").read_text()
    assert main(["train", "quickstart", "--workdir", str(workdir), *QUICK]) == 0
    assert capsys.readouterr().out.count("is finished already") == 3
    assert (workdir / "results.json").read_text() == before


def test_another_config_in_the_same_folder_is_refused(workdir, capsys):
    flags = ["--workdir", str(workdir), *QUICK, "--seed", "7"]
    assert main(["train", "quickstart", *flags]) == 1
    assert "seed: 0 there, 7 here" in capsys.readouterr().err


def test_evaluate_prints_the_accuracy_of_the_best_model(workdir, capsys):
    run = workdir / "tsm_resnet_tiny"
    flags = ["--workdir", str(run), *QUICK, "--model", "tsm_resnet_tiny", "--json"]
    assert main(["evaluate", "quickstart", *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert np.sum(result["confusion"]) == result["metrics"]["examples"] == 20
    assert len(result["predictions"]) == 20


def test_without_matplotlib_the_table_is_written_and_the_extra_is_named(
    workdir, monkeypatch, capsys
):
    from importlib import util

    find_spec = util.find_spec
    monkeypatch.setattr(
        util,
        "find_spec",
        lambda name: None if name == "matplotlib" else find_spec(name),
    )
    assert main(["train", "quickstart", "--workdir", str(workdir), *QUICK]) == 0
    out = capsys.readouterr().out
    assert "results.json" in out
    assert out.count("vidjax[plot]") == 2
