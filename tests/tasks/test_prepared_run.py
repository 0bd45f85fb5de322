"""From each official layout to shards, training and an evaluation."""

import csv
import io
import json
import pathlib

import av
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
# What the files of each set are, as it is handed out or usually copied.
_CODECS = {".mp4": "libx264", ".avi": "mpeg4", ".webm": "libvpx-vp9", ".mkv": "libx264"}
_COUNT = 8  # Videos of a set: each class has three to train and one to test.
_RATE = 10


def _write_video(path, *, motion, seed, frames):
    """Writes a moving shape by the codec that such files have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(_CODECS[path.suffix], rate=_RATE)
        stream.height = stream.width = 48
        stream.pix_fmt = "yuv420p"
        clip = draw_clip(CLASSES.index(motion), num_frames=frames, size=48, seed=seed)
        for image in clip:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _csv(rows):
    text = io.StringIO()
    columns = ["label", "youtube_id", "time_start", "time_end", "split"]
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue()


def _kinetics(names):
    files, rows = [], {"train": [], "val": []}
    for i in range(_COUNT):
        part, name = ("val" if i > 5 else "train"), names[i % 2]
        files.append(f"{part}/{name}/-3B32lodo{i}M_{i:06d}_{i + 10:06d}.mp4")
        rows[part].append([name, f"-3B32lodo{i}M", i, i + 10, part])
    return {"train.csv": _csv(rows["train"]), "validate.csv": _csv(rows["val"])}, files


def _ucf101(names):
    files = [f"{names[i % 2]}/v_{names[i % 2]}_g0{i}_c01.avi" for i in range(_COUNT)]
    train = "".join(f"{file} {1 + i % 2}\r\n" for i, file in enumerate(files[:6]))
    return {
        "classInd.txt": f"1 {names[0]}\r\n2 {names[1]}\r\n",
        "trainlist01.txt": train,
        "testlist01.txt": "".join(f"{file}\r\n" for file in files[6:]),
    }, files


def _hmdb51(names):
    files = [f"{names[i % 2]}/Movie_{names[i % 2]}_f_{i}.avi" for i in range(_COUNT)]
    lists = {}
    for k, name in enumerate(names):
        lines = [
            f"{pathlib.PurePath(files[i]).name} {2 if i > 5 else 1} \n"
            for i in range(k, _COUNT, 2)
        ]
        lists[f"{name}_test_split1.txt"] = "".join(lines)
    return lists, files


def _ssv2(names):
    rows = [
        {"id": str(74225 + i), "template": names[i % 2].replace("thing", "[thing]")}
        for i in range(_COUNT)
    ]
    beginning = "something-something-v2-"
    return {
        f"{beginning}labels.json": json.dumps({n: str(k) for k, n in enumerate(names)}),
        f"{beginning}train.json": json.dumps(rows[:6]),
        f"{beginning}validation.json": json.dumps(rows[6:]),
    }, [f"{row['id']}.webm" for row in rows]


def _diving48(names):
    rows = [{"vid_name": f"_8Vy3dl_{i:05d}", "label": i % 2} for i in range(_COUNT)]
    return {
        "Diving48_vocab.json": json.dumps([name.split(", ") for name in names]),
        "Diving48_V2_train.json": json.dumps(rows[:6]),
        "Diving48_V2_test.json": json.dumps(rows[6:]),
    }, [f"rgb/{row['vid_name']}.mp4" for row in rows]


def _thumos14(names):
    """Three untrimmed videos to train on, and one to test; two actions in each."""
    stems = [f"video_validation_000{i}" for i in range(3)] + ["video_test_0001"]
    return {
        f"{name}_{part}.txt": "".join(
            f"{stem}  {0.1 + 0.5 * k:.1f} {0.5 + 0.5 * k:.1f}\n"
            for stem in stems
            if part[:3] in stem
        )
        for k, name in enumerate(names)
        for part in ("val", "test")
    }, [f"{stem}.mp4" for stem in stems]


def _activitynet(names):
    database = {
        f"a{i}": {
            "subset": "validation" if i == 3 else "training",
            "duration": 1.2,
            "annotations": [
                {"label": name, "segment": [0.6 * k, 0.6 * k + 0.5]}
                for k, name in enumerate(names)
            ],
        }
        for i in range(4)
    }
    lists = {"activity_net.v1-3.min.json": json.dumps({"database": database})}
    return lists, [f"v_a{i}.mkv" for i in range(4)]


def _folder(names):
    return {}, [
        f"{'val' if i > 5 else 'train'}/{names[i % 2]}/clip {i}.mp4"
        for i in range(_COUNT)
    ]


_SETS = {
    "kinetics400": (_kinetics, ("abseiling", "air drumming")),
    "ucf101": (_ucf101, ("ApplyEyeMakeup", "Archery")),
    "hmdb51": (_hmdb51, ("brush_hair", "cartwheel")),
    "ssv2": (_ssv2, ("Opening something", "Putting something down")),
    "diving48": (_diving48, ("Back, 15som, 05Twis, FREE", "Forward, Dive, PIKE")),
    "thumos14": (_thumos14, ("BaseballPitch", "Diving")),
    "activitynet": (_activitynet, ("Ballet", "Drinking coffee")),
    "folder": (_folder, ("a", "b")),
}


def _write_set(root, name):
    """Writes a set; returns the names of its held-out files."""
    make, names = _SETS[name]
    lists, files = make(names)
    for file, text in lists.items():
        path = root / "lists" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    for i, file in enumerate(files):
        path = root / "videos" / file
        _write_video(path, motion=("left", "up")[i % 2], seed=i, frames=12)
    return [pathlib.PurePath(file).name for file in files[len(files) * 3 // 4 :]]


@pytest.mark.parametrize("name", _SETS)
def test_an_official_layout_becomes_shards_that_train_and_evaluate(
    name, tmp_path, capsys
):
    held_out = _write_set(tmp_path, name)
    records, config = tmp_path / "records", tmp_path / "config.py"
    flags = ["--videos", str(tmp_path / "videos"), "--out", str(records)]
    if name != "folder":
        flags += ["--annotations", str(tmp_path / "lists")]
    assert main(["prepare", name, *flags, "--short-side", "36"]) == 0
    assert json.loads((records / "report.json").read_text())["bad"] == []
    config.write_text(_CONFIG.format(records=records))
    run = ["--workdir", str(tmp_path / "run")]

    assert main(["train", str(config), *run]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(config), *run, "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["examples"] == 2
    assert tuple(found["label_names"]) == _SETS[name][1]
    assert found["protocol"] == "tsm-1x1"
    assert {row["path"] for row in found["predictions"]} == set(held_out)
    assert {row["label"] for row in found["predictions"]} == {*_SETS[name][1]}
    joined = ["--join", str(tmp_path / "run" / "scores.npz"), "--json"]
    assert main(["evaluate", str(config), *joined]) == 0
    assert json.loads(capsys.readouterr().out) == found
