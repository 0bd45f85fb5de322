"""The official lists of nine data sets, each in its real layout."""

import json
import logging

import numpy as np
import pytest

from vidjax.config import DataConfig
from vidjax.data.lists import Split
from vidjax.data.official import READERS, read_official
from vidjax.data.sources import make_source
from vidjax.typing import ClipSpec

from .conftest import write_video

_KINETICS = "label,youtube_id,time_start,time_end,split\n"

# Files of the lists, files of videos, and what is in the two splits: name, label and
# seconds. As the authors ship them, shortened.
LAYOUTS = {
    "kinetics400": (
        {
            "train.csv": _KINETICS + "abseiling,-3B32lodo2M,59,69,train\n"
            '"air drumming",--3ouPhoy2A,20,30,train\n',
            "validate.csv": _KINETICS + "abseiling,0wR5jVB-WPk,417,427,val\n",
        },
        [
            "train/abseiling/-3B32lodo2M_000059_000069.mp4",
            "train/air drumming/--3ouPhoy2A_000020_000030.mp4",
            "val/abseiling/0wR5jVB-WPk.mkv",
        ],
        [
            ("-3B32lodo2M_000059_000069", "abseiling", 0, None),
            ("--3ouPhoy2A_000020_000030", "air drumming", 0, None),
        ],
        [("0wR5jVB-WPk", "abseiling", 0, None)],
    ),
    "ucf101": (
        {
            "classInd.txt": "1 ApplyEyeMakeup\r\n2 Archery\r\n",
            "trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
            "Archery/v_Archery_g09_c02.avi 2\r\n",
            "testlist01.txt": "Archery/v_Archery_g01_c01.avi\r\n",
            "trainlist02.txt": "Archery/v_Archery_g01_c01.avi 2\r\n",
            "testlist02.txt": "Archery/v_Archery_g09_c02.avi\r\n",
        },
        [
            "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
            "UCF-101/Archery/v_Archery_g09_c02.avi",
            "UCF-101/Archery/v_Archery_g01_c01.avi",
        ],
        [
            ("v_ApplyEyeMakeup_g08_c01", "ApplyEyeMakeup", 0, None),
            ("v_Archery_g09_c02", "Archery", 0, None),
        ],
        [("v_Archery_g01_c01", "Archery", 0, None)],
    ),
    "hmdb51": (
        {
            "splits/brush_hair_test_split1.txt": "a_brush_hair_f_0.avi 1 \n"
            "b_brush_hair_f_1.avi 2 \nc_brush_hair_f_2.avi 0 \n",
            "splits/cartwheel_test_split1.txt": "(Rad)_cartwheel_f_0.avi 1 \n",
            "splits/brush_hair_test_split2.txt": "a_brush_hair_f_0.avi 2 \n",
            "splits/cartwheel_test_split2.txt": "(Rad)_cartwheel_f_0.avi 1 \n",
        },
        [
            "brush_hair/a_brush_hair_f_0.avi",
            "brush_hair/b_brush_hair_f_1.avi",
            "brush_hair/c_brush_hair_f_2.avi",
            "cartwheel/(Rad)_cartwheel_f_0.avi",
        ],
        [
            ("a_brush_hair_f_0", "brush_hair", 0, None),
            ("(Rad)_cartwheel_f_0", "cartwheel", 0, None),
        ],
        [("b_brush_hair_f_1", "brush_hair", 0, None)],
    ),
    "ssv2": (
        {
            "something-something-v2-labels.json": json.dumps(
                {"Putting something down": "1", "Opening something": "0"}
            ),
            "something-something-v2-train.json": json.dumps(
                [
                    {
                        "id": "78687",
                        "label": "putting a cup down",
                        "template": "Putting [something] down",
                        "placeholders": ["a cup"],
                    }
                ]
            ),
            "something-something-v2-validation.json": json.dumps(
                [{"id": "74225", "template": "Opening [something]"}]
            ),
        },
        ["78687.webm", "74225.webm"],
        [("78687", "Putting something down", 0, None)],
        [("74225", "Opening something", 0, None)],
    ),
    "diving48": (
        {
            "Diving48_vocab.json": json.dumps(
                [["Back", "15som", "05Twis", "FREE"], ["Forward", "Dive", "", "PIKE"]]
            ),
            "Diving48_V2_train.json": json.dumps(
                [{"vid_name": "_8Vy3dlHg2w_00000", "label": 1, "start_frame": 0}]
            ),
            "Diving48_V2_test.json": json.dumps([{"vid_name": "x_00001", "label": 0}]),
        },
        ["rgb/_8Vy3dlHg2w_00000.mp4", "rgb/x_00001.mp4"],
        [("_8Vy3dlHg2w_00000", "Forward, Dive, PIKE", 0, None)],
        [("x_00001", "Back, 15som, 05Twis, FREE", 0, None)],
    ),
    "thumos14": (
        {
            "validation/BaseballPitch_val.txt": "video_validation_0000266  0.5 1.5\n"
            "video_validation_0000266  1.5 1.5\n",
            "validation/Ambiguous_val.txt": "video_validation_0000266  0.1 0.2\n",
            "test/BaseballPitch_test.txt": "video_test_0000324  0.2 0.9\n",
        },
        ["video_validation_0000266.mp4", "video_test_0000324.mp4"],
        [("video_validation_0000266", "BaseballPitch", 0.5, 1.5)],
        [("video_test_0000324", "BaseballPitch", 0.2, 0.9)],
    ),
    "activitynet": (
        {
            "activity_net.v1-3.min.json": json.dumps(
                {
                    "version": "VERSION 1.3",
                    "database": {
                        "a1": {
                            "subset": "training",
                            "duration": 1.75,
                            "annotations": [
                                {"label": "Drinking coffee", "segment": [0.5, 9.0]}
                            ],
                        },
                        "b2": {
                            "subset": "validation",
                            "duration": 2.0,
                            "annotations": [
                                {"label": "Ballet", "segment": [0.0, 1.0]},
                                {"label": "Drinking coffee", "segment": [1.0, 2.0]},
                            ],
                        },
                        "c3": {"subset": "testing", "duration": 1, "annotations": []},
                    },
                }
            )
        },
        ["v_a1.mp4", "b2.mkv"],
        [("v_a1", "Drinking coffee", 0.5, 1.75)],
        [("b2", "Ballet", 0, 1.0), ("b2", "Drinking coffee", 1.0, 2.0)],
    ),
}
LAYOUTS["kinetics600"] = LAYOUTS["kinetics700"] = LAYOUTS["kinetics400"]


def _write(root, name):
    lists, videos, *_ = LAYOUTS[name]
    for file, text in lists.items():
        path = root / "lists" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    for file in videos:
        path = root / "videos" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root / "videos", root / "lists"


def _read(root, name, split: Split = "train", **settings):
    videos, lists = root / "videos", root / "lists"
    return read_official(name, videos, annotations=lists, split=split, **settings)


def _rows(found):
    return [
        (
            example.path.rpartition("/")[2].rpartition(".")[0],
            found.label_names[example.label],
            example.start_sec,
            example.end_sec,
        )
        for example in found.examples
    ]


@pytest.mark.parametrize("name", READERS)
def test_the_lists_are_read_as_their_authors_ship_them(tmp_path, name):
    _write(tmp_path, name)
    *_, train, held_out = LAYOUTS[name]

    assert _rows(_read(tmp_path, name)) == train
    found = _read(tmp_path, name, "eval")
    assert _rows(found) == held_out
    assert found.missing == ()
    assert found.label_names == _read(tmp_path, name).label_names


@pytest.mark.parametrize(("name", "count"), [("ucf101", 1), ("hmdb51", 1)])
def test_folds_have_lists_of_their_own(tmp_path, name, count):
    _write(tmp_path, name)

    second = _rows(_read(tmp_path, name, fold=2))
    assert len(second) == count
    assert second != _rows(_read(tmp_path, name))
    with pytest.raises(ValueError, match="folds are 1, 2 and 3, got 4"):
        _read(tmp_path, name, fold=4)


def test_missing_videos_are_named_and_logged(tmp_path, caplog):
    videos, lists = _write(tmp_path, "ucf101")
    (videos / LAYOUTS["ucf101"][1][0]).unlink()

    assert _read(tmp_path, "ucf101").missing == ("v_ApplyEyeMakeup_g08_c01",)
    config = DataConfig(source=f"ucf101:{videos}", annotations=str(lists))
    with caplog.at_level(logging.WARNING, "vidjax.data"):
        assert make_source(config, ClipSpec(4, size=16)).num_examples == 1
    assert "1 of 2 videos of the train list are not there" in caplog.text
    assert "v_ApplyEyeMakeup_g08_c01" in caplog.text


def test_clips_come_from_the_annotated_span(tmp_path):
    videos, lists = _write(tmp_path, "activitynet")
    write_video(videos / "v_a1.mp4", frames=35)
    config = DataConfig(source=f"activitynet:{videos}", annotations=str(lists))
    source = make_source(config, ClipSpec(4, size=16))

    assert source.clip(0).shape == (4, 16, 16, 3)
    assert source.label_names == ("Ballet", "Drinking coffee")
    np.testing.assert_array_equal(source.labels, [1])


def test_nothing_there_is_an_error_with_an_example(tmp_path):
    _write(tmp_path, "ssv2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"None of the 1 videos.*such as 78687"):
        read_official(
            "ssv2", tmp_path / "empty", annotations=tmp_path / "lists", split="train"
        )
    with pytest.raises(ValueError, match="does not exist"):
        read_official("ssv2", tmp_path / "nowhere", split="train")
    with pytest.raises(ValueError, match="known are kinetics400"):
        read_official("kinetics", tmp_path, split="train")


@pytest.mark.parametrize(
    ("name", "file", "text", "said"),
    [
        ("kinetics400", "train.csv", _KINETICS + "a,b,x,y,train\n", "b has no times"),
        ("kinetics400", "train.csv", _KINETICS + ",b,1,2,train\n", "b has no label"),
        ("kinetics400", "train.csv", "a,b\n1,2\n", "not in its format"),
        ("kinetics400", "train.csv", _KINETICS, "it has no rows"),
        ("ucf101", "trainlist01.txt", "Golf/v_x.avi 3\n", "'Golf' is no class"),
        ("ssv2", "something-something-v2-train.json", "{", "not in its format"),
        ("diving48", "Diving48_V2_train.json", '[{"label": 1}]', "not in its format"),
        ("thumos14", "validation/BaseballPitch_val.txt", "x 1\n", "two times"),
        ("activitynet", "activity_net.v1-3.min.json", "{}", "not in its format"),
        ("ucf101", "more/trainlist01.txt", "", "several lists of the same kind"),
    ],
)
def test_what_is_wrong_in_a_list_is_said(tmp_path, name, file, text, said):
    _, lists = _write(tmp_path, name)
    (lists / file).parent.mkdir(exist_ok=True)
    (lists / file).write_text(text)

    with pytest.raises(ValueError, match=said):
        _read(tmp_path, name)


def test_a_list_that_is_not_there_is_named(tmp_path):
    _, lists = _write(tmp_path, "ucf101")
    (lists / "classInd.txt").unlink()
    with pytest.raises(ValueError, match=r"no list in .* whose name is classInd"):
        _read(tmp_path, "ucf101")


def test_a_duplicated_video_counts_once(tmp_path):
    videos, _ = _write(tmp_path, "ucf101")
    copy = videos / "zzz" / "v_Archery_g09_c02.mp4"
    copy.parent.mkdir()
    copy.touch()

    found = _read(tmp_path, "ucf101")
    assert [e.path for e in found.examples if "Archery_g09" in e.path] == [
        str(videos / "UCF-101/Archery/v_Archery_g09_c02.avi")
    ]
