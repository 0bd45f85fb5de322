"""From the official lists of a data set to shards, training and an evaluation."""

import json

import pytest

from vidjax.cli.main import main
from vidjax.data.synthetic import CLASSES, draw_clip

_CONFIG = '''"""Trains a tiny network on shards."""

from vidjax.config import Config, DataConfig


def get_config() -> Config:
    """Returns the experiment."""
    data = DataConfig(
        source="records:{records}", batch_size=8, num_frames=4, size=32, workers=1
    )
    return Config(model="tsm_resnet_tiny", data=data, steps=2, eval_every=2)
'''


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory, save_video):
    """Eight videos and the lists of UCF101's first split."""
    root = tmp_path_factory.mktemp("ucf")
    parts = {"trainlist01.txt": [], "testlist01.txt": []}
    for number, name in enumerate(("Left", "Right")):
        for i in range(4):
            clip = draw_clip(CLASSES.index(name.lower()), num_frames=8, size=48, seed=i)
            file = f"{name}/v_{name}_g0{i}_c01.avi"
            save_video(root / "videos" / file, clip)
            part = "trainlist01.txt" if i < 3 else "testlist01.txt"
            label = f" {number + 1}" if i < 3 else ""
            parts[part].append(f"{file}{label}\n")
    lists = root / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Left\n2 Right\n")
    for name, lines in parts.items():
        (lists / name).write_text("".join(lines))
    return root


def test_official_lists_become_shards_that_train_and_evaluate(ucf101, tmp_path, capsys):
    records, config = tmp_path / "records", tmp_path / "config.py"
    flags = ["--annotations", str(ucf101 / "lists"), "--short-side", "36"]
    where = ["--videos", str(ucf101 / "videos"), "--out", str(records)]
    assert main(["prepare", "ucf101", *where, *flags]) == 0
    config.write_text(_CONFIG.format(records=records))
    run = ["--workdir", str(tmp_path / "run")]

    assert main(["train", str(config), *run]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(config), *run, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["examples"] == 2
    assert found["label_names"] == ["Left", "Right"]
    assert found["protocol"] == "tsm-1x1"
    names = {row["path"] for row in found["predictions"]}
    assert names == {"v_Left_g03_c01.avi", "v_Right_g03_c01.avi"}
    joined = ["--join", str(tmp_path / "run" / "scores.npz"), "--json"]
    assert main(["evaluate", str(config), *joined]) == 0
    assert json.loads(capsys.readouterr().out) == found
