"""From a config to a source, and from an index to a clip."""

import dataclasses

import numpy as np
import pytest

from vidjax.config import DataConfig, SyntheticConfig
from vidjax.data import synthetic_source
from vidjax.data.sources import Source, SyntheticSource, make_source
from vidjax.data.synthetic import CLASSES, draw_clip
from vidjax.data.timeline import VideoError
from vidjax.data.video_source import check_index
from vidjax.typing import ClipSpec, Views

from .conftest import HEIGHT, write_video

SPEC = ClipSpec(num_frames=4, size=16, crop_fraction=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("folder")
    for name in ("run", "jump"):
        (root / name).mkdir()
        for i in range(3):
            write_video(root / name / f"{i}.mp4", frames=8 + i)
    return root


def test_synthetic_motion_follows_its_config():
    config = DataConfig(synthetic=SyntheticConfig(num_train=25, num_eval=12, seed=3))

    train = make_source(config, SPEC)
    held_out = make_source(config, SPEC, split="eval")
    assert isinstance(train, Source)
    assert (train.num_examples, held_out.num_examples) == (25, 12)
    assert train.label_names == CLASSES
    assert train.labels.tolist() == [i % 10 for i in range(25)]
    assert train.labels.dtype == np.int32
    assert held_out.paths[11] == "synthetic_motion/eval/right/000011"
    np.testing.assert_array_equal(
        train.clip(12), draw_clip(2, num_frames=4, size=16, seed=(3, 0, 12))
    )
    assert np.any(train.clip(0) != held_out.clip(0))


def test_clips_that_are_kept_are_those_that_are_drawn(monkeypatch):
    source = SyntheticSource(SPEC, SyntheticConfig(num_train=7, seed=11))
    first = source.clip(5)
    again = source.clip(5)
    np.testing.assert_array_equal(again, first)
    again[:] = 0  # The caller owns what it got.
    np.testing.assert_array_equal(source.clip(5), first)

    monkeypatch.setattr(synthetic_source, "_KEEP_BYTES", 1000)
    other = SyntheticSource(SPEC, SyntheticConfig(num_train=8, seed=11))
    np.testing.assert_array_equal(other.clip(5), first)
    np.testing.assert_array_equal(other.clip(5), first)


def test_clips_are_drawn_once_for_all_sources_of_a_run(monkeypatch):
    config = SyntheticConfig(num_train=9, seed=12)
    clip = SyntheticSource(SPEC, config).clip(0)
    monkeypatch.setattr(synthetic_source, "draw_clip", None)

    np.testing.assert_array_equal(SyntheticSource(SPEC, config).clip(0), clip)


def test_a_folder_gives_its_videos(folder):
    config = DataConfig(source=f"folder:{folder}", eval_fraction=0.34, flip_rate=0.5)

    train, held_out = (make_source(config, SPEC, split=s) for s in ("train", "eval"))
    assert isinstance(train, Source)
    assert train.label_names == held_out.label_names == ("jump", "run")
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert (held_out.num_examples, held_out.labels.tolist()) == (2, [0, 1])
    assert all(path.startswith(str(folder)) for path in train.paths)
    assert held_out.clip(1, view=5, views=Views(2, 3)).shape == SPEC.shape

    def draw(seed):
        return train.draw(0, rng=np.random.default_rng(seed))[0]

    np.testing.assert_array_equal(draw(1), draw(1))
    assert np.any(draw(1) != draw(2))


def test_a_list_gives_its_parts(folder):
    path = folder / "list.csv"
    path.write_text(
        "path,label,split,start,end\nrun/2.mp4,a,train,0.2,0.4\nrun/1.mp4,a,val,,\n"
    )
    spec = ClipSpec(num_frames=1, size=HEIGHT, crop_fraction=1.0)

    config = DataConfig(source=f"csv:{path}")
    part = make_source(config, spec).clip(0)
    whole = make_source(config, spec, split="eval").clip(0)
    assert np.any(part != whole)
    assert make_source(config, spec).num_examples == 1


def test_settings_of_the_config_reach_training_clips(folder):
    config = DataConfig(
        source=f"folder:{folder}", flip_rate=1.0, short_side=(HEIGHT, HEIGHT)
    )
    spec = ClipSpec(num_frames=8, size=HEIGHT, crop_fraction=1.0)

    source = make_source(config, spec)
    index = source.paths.index(next(p for p in source.paths if p.endswith("0.mp4")))
    clip = source.draw(index, rng=np.random.default_rng(0))[0]
    assert clip[0, -4, -4, 0] > 150  # The red part is on the right.


@pytest.mark.parametrize(
    ("config", "spec", "message"),
    [
        (
            DataConfig(source="sintetic_motion"),
            SPEC,
            "Did you mean 'synthetic_motion'",
        ),
        (DataConfig(source="folder:"), SPEC, "Did you mean 'folder:DIR'"),
        (DataConfig(source="kinetics400"), SPEC, "expected one of synthetic_motion"),
        (DataConfig(source="folder:/no/such/place"), SPEC, "/no/such/place does not"),
        (DataConfig(source="csv:/no/list.csv"), SPEC, "/no/list.csv does not exist"),
        (
            DataConfig(source="folder:.", short_side=(8, 40), flip_rate=2.0),
            SPEC,
            r"at least the clip's size, 16 pixels, got \(8, 40\); data.flip_rate",
        ),
        (DataConfig(source="folder:.", short_side=(50, 40)), SPEC, "two rising"),
    ],
)
def test_sources_that_cannot_be_opened_are_refused(config, spec, message):
    with pytest.raises(ValueError, match=message):
        make_source(config, spec)


@pytest.mark.parametrize("index", [-1, 6])
def test_an_example_that_is_not_there_is_refused(folder, index):
    spec = DataConfig(source=f"folder:{folder}")
    for source in (
        make_source(spec, SPEC),
        SyntheticSource(SPEC, SyntheticConfig(num_train=6)),
    ):
        with pytest.raises(ValueError, match=f"got {index}"):
            source.clip(index)
    with pytest.raises(ValueError, match=r"in \[0, 6\)"):
        check_index(index, 6)


def test_a_video_that_is_gone_is_a_video_error(tmp_path):
    for i in range(2):
        (tmp_path / "a").mkdir(exist_ok=True)
        write_video(tmp_path / "a" / f"{i}.mp4", frames=2)
    source = make_source(DataConfig(source=f"folder:{tmp_path}"), SPEC)
    for path in tmp_path.rglob("*.mp4"):
        path.unlink()

    with pytest.raises(VideoError, match="does not exist"):
        source.clip(0)


def test_windows_of_frames_are_drawn_for_flow():
    flow = SPEC.with_modality("flow", flow_length=2)
    source = make_source(DataConfig(), flow)
    plain = make_source(DataConfig(), dataclasses.replace(SPEC, num_frames=6))
    frames = plain.clip(3)
    want = [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5]
    np.testing.assert_array_equal(source.clip(3), frames[want])
    assert source.clip(3).shape == flow.pixels_shape


def test_classes_of_both_kinds_are_drawn_for_two_streams():
    source = make_source(DataConfig(source="synthetic_two_stream"), SPEC, split="eval")
    assert source.label_names[2:4] == ("clockwise", "red")
    assert source.paths[3].startswith("synthetic_two_stream/eval/red/")
    assert not np.array_equal(source.clip(3), make_source(DataConfig(), SPEC).clip(3))
