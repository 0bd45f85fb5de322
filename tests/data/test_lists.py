"""Folders of classes and CSV files: what is listed, held out and refused."""

import pathlib

import pytest

from vidjax.data.lists import read_csv, read_folder


def _touch(root: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def _two_classes(root: pathlib.Path, count: int = 10) -> pathlib.Path:
    return _touch(
        root, *(f"{name}/{i}.mp4" for name in ("run", "jump") for i in range(count))
    )


def _names(videos, root):
    return [
        (str(pathlib.Path(v.path).relative_to(root)), videos.label_names[v.label])
        for v in videos.examples
    ]


def test_classes_are_folders_in_alphabetical_order(tmp_path):
    _touch(tmp_path, "b/1.mp4", "b/deep/2.AVI", "a/1.webm", "a/2.mkv", "a/notes.txt")
    _touch(tmp_path, "a/.hidden.mp4", ".cache/3.mp4", "readme.md")

    train = read_folder(tmp_path, split="train")
    held_out = read_folder(tmp_path, split="eval")
    assert train.label_names == held_out.label_names == ("a", "b")
    assert sorted(_names(train, tmp_path) + _names(held_out, tmp_path)) == [
        ("a/1.webm", "a"),
        ("a/2.mkv", "a"),
        ("b/1.mp4", "b"),
        ("b/deep/2.AVI", "b"),
    ]


def test_a_share_of_each_class_is_held_out_and_nothing_is_in_both(tmp_path):
    _two_classes(tmp_path)

    train = read_folder(tmp_path, split="train", eval_fraction=0.3)
    held_out = read_folder(tmp_path, split="eval", eval_fraction=0.3)
    assert [v.label for v in held_out.examples] == [0] * 3 + [1] * 3
    assert [v.label for v in train.examples] == [0] * 7 + [1] * 7
    assert not {v.path for v in train.examples} & {v.path for v in held_out.examples}


def test_the_held_out_part_does_not_depend_on_where_the_folder_is(tmp_path):
    first = _two_classes(tmp_path / "first")
    second = _two_classes(tmp_path / "second")

    assert _names(read_folder(first, split="eval"), first) == _names(
        read_folder(second, split="eval"), second
    )


def test_at_least_one_is_held_out_and_never_all(tmp_path):
    _two_classes(tmp_path, count=2)

    for fraction in (0.01, 0.99):
        held_out = read_folder(tmp_path, split="eval", eval_fraction=fraction)
        assert [v.label for v in held_out.examples] == [0, 1]


@pytest.mark.parametrize("name", ["val", "validation", "eval", "test"])
def test_named_splits_are_kept(tmp_path, name):
    _touch(tmp_path, "train/a/1.mp4", "train/b/1.mp4", f"{name}/b/2.mp4")

    assert _names(read_folder(tmp_path, split="train"), tmp_path) == [
        ("train/a/1.mp4", "a"),
        ("train/b/1.mp4", "b"),
    ]
    held_out = read_folder(tmp_path, split="eval")
    assert _names(held_out, tmp_path) == [(f"{name}/b/2.mp4", "b")]
    assert held_out.label_names == ("a", "b")


def test_a_class_may_be_called_train(tmp_path):
    _touch(tmp_path, "train/1.mp4", "train/2.mp4", "tram/1.mp4", "tram/2.mp4")
    assert read_folder(tmp_path, split="train").label_names == ("train", "tram")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "does not exist"),
        (["loose.mp4"], "one folder of videos a class is expected"),
        (
            ["a/1.mp4", "a/2.mp4", "b/x.txt", "b/y.doc", "c/.keep"],
            r"class 'b' has no video, only \.doc, \.txt; class 'c' has no video, "
            r"nothing; videos end with \.3gp",
        ),
        (
            ["a/1.mp4", "b/1.mp4", "b/2.mp4"],
            "class 'a' has a single video, and one of each class is held out",
        ),
        (
            ["train/a/1.mp4", "val/a/1.mp4", "val/z/1.mp4"],
            r"val has classes that training lacks: \['z'\]",
        ),
    ],
)
def test_folders_that_cannot_be_used_are_refused(tmp_path, files, message):
    _touch(tmp_path / "data", *files)

    with pytest.raises(ValueError, match=message):
        read_folder(tmp_path / "data", split="train")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5])
def test_an_impossible_share_is_refused(tmp_path, fraction):
    _two_classes(tmp_path)

    with pytest.raises(ValueError, match="eval_fraction must be between 0 and 1"):
        read_folder(tmp_path, split="train", eval_fraction=fraction)


def _csv(root: pathlib.Path, text: str) -> pathlib.Path:
    _touch(root, *(f"{i}.mp4" for i in range(1, 7)))
    path = root / "list.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_names_videos_beside_it(tmp_path):
    path = _csv(
        tmp_path,
        "\ufeffpath,label,split,start,end\n"
        "1.mp4,run,train,,\n"
        "2.mp4,jump,train,1.5,\n"
        f"{tmp_path}/3.mp4,run,val,0,2\n"
        '"4.mp4", jump ,Test,,2.5\n',
    )

    train, held_out = (read_csv(path, split=s) for s in ("train", "eval"))
    assert train.label_names == ("jump", "run")
    assert [(v.label, v.start_sec, v.end_sec) for v in train.examples] == [
        (1, 0.0, None),
        (0, 1.5, None),
    ]
    assert [(v.label, v.start_sec, v.end_sec) for v in held_out.examples] == [
        (1, 0.0, 2.0),
        (0, 0.0, 2.5),
    ]
    assert held_out.examples[0].path == f"{tmp_path}/3.mp4"
    assert _names(train, tmp_path)[0] == ("1.mp4", "run")


def test_a_list_without_splits_holds_out_a_share(tmp_path):
    rows = [f"{i}.mp4,{'ab'[i % 2]}" for i in range(1, 7)]
    path = _csv(tmp_path, "\n".join(["path,label", *rows]))

    train, held_out = (
        read_csv(path, split=s, eval_fraction=0.34) for s in ("train", "eval")
    )
    assert sorted(v.label for v in train.examples) == [0, 0, 1, 1]
    assert sorted(v.label for v in held_out.examples) == [0, 1]
    assert len({v.path for v in (*train.examples, *held_out.examples)}) == 6


def test_labels_that_are_numbers_are_sorted_as_numbers(tmp_path):
    rows = ["1.mp4,10", "2.mp4,9", "3.mp4,10", "4.mp4,9"]
    path = _csv(tmp_path, "\n".join(["path,label", *rows]))

    assert read_csv(path, split="train").label_names == ("9", "10")


def test_parts_of_one_video_may_have_their_own_labels(tmp_path):
    path = _csv(
        tmp_path,
        "path,label,split,start,end\n1.mp4,a,train,0,1\n1.mp4,b,train,1,2\n"
        "1.mp4,a,val,2,3\n",
    )
    assert len(read_csv(path, split="train").examples) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n", "it has no rows"),
        ("", "column 'path' is missing; column 'label' is missing"),
        ("video,label\n1.mp4,a\n", "column 'path' is missing"),
        ("path,lable\n1.mp4,a\n", r"'lable' is unknown \(did you mean 'label'\?\)"),
        ("path,label\n1.mp4,\n", "line 2: there is no label"),
        ("path,label\n,a\n", "line 2: there is no path"),
        ("path,label\n1.mp4,a\n9.mp4,a\n", r"line 3: there is no video 9\.mp4"),
        ("path,label\n1.mp4,a\n1.mp4,b\n", r"line 3: 1\.mp4 is there already, in line"),
        ("path,label\n1.mp4,a,b\n", "line 2: there are more values than columns"),
        ("path,label,split\n1.mp4,a,trian\n", "line 2: split is 'trian'"),
        ("path,label,start\n1.mp4,a,soon\n", "line 2: start is 'soon'"),
        ("path,label,start\n1.mp4,a,-1\n", "line 2: start is '-1'"),
        ("path,label,start,end\n1.mp4,a,2,1\n", "it ends at 1 s and starts at 2 s"),
        ("path,label,split\n1.mp4,a,train\n", 'no row has split "eval"'),
        (
            "path,label,split\n1.mp4,a,train\n2.mp4,b,val\n",
            r"held-out classes lack training: \['b'\]",
        ),
        ("path,label\n1.mp4,a\n", "class 'a' has a single video"),
        (
            "path,label\n" + "".join(f"x{i}.mp4,a\n" for i in range(12)),
            "line 11: there is no video x9.mp4; and 2 more",
        ),
    ],
)
def test_lists_that_cannot_be_used_are_refused(tmp_path, text, message):
    path = _csv(tmp_path, text)

    with pytest.raises(ValueError, match=message) as error:
        read_csv(path, split="train")
    assert "list.csv" in str(error.value)


def test_all_problems_of_a_list_come_in_one_message(tmp_path):
    path = _csv(tmp_path, "path,label,start\n1.mp4,,x\n8.mp4,a,\n")

    with pytest.raises(ValueError, match=r"line 2: .*; line 2: .*; line 3: "):
        read_csv(path, split="eval")


def test_a_list_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("path,label\ncafé.mp4,a\n".encode("latin1"))

    with pytest.raises(ValueError, match=r"list\.csv is not text in UTF-8"):
        read_csv(path, split="train")


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.csv does not exist"):
        read_csv(tmp_path / "none.csv", split="train")
