"""Order, resumption, processes, exact counting and videos that cannot be read."""

import dataclasses
import itertools
import logging
import sys

import numpy as np
import pytest

from vidjax.data import pipeline
from vidjax.data.pipeline import eval_batches, import_tensorflow, train_batches
from vidjax.data.sources import ONE_VIEW
from vidjax.data.timeline import VideoError
from vidjax.typing import ClipSpec, Views

SPEC = ClipSpec(num_frames=1, size=2)


@dataclasses.dataclass(frozen=True)
class Numbered:
    """A source whose pixels say which example, view and random draw they are."""

    num_examples: int
    bad: frozenset[int] = frozenset()
    label_names: tuple[str, ...] = ("even", "odd")
    spec: ClipSpec = SPEC

    @property
    def labels(self):
        return np.arange(self.num_examples, dtype=np.int32) % 2

    @property
    def paths(self):
        return tuple(f"{i}.mp4" for i in range(self.num_examples))

    def test_shape(self, views):
        return self.spec.shape

    def clip(self, index, *, view=0, views=ONE_VIEW):
        if index in self.bad:
            raise VideoError(f"{index}.mp4 is empty.")
        clip = np.full((1, 2, 2, 3), index, np.uint8)
        clip[..., 1] = view
        clip[..., 2] = 0
        return clip

    def draw(self, index, *, rng):
        clip = self.clip(index)
        clip[..., 2] = rng.integers(256)
        return clip, int(self.labels[index])


def _take(source, count, **settings):
    wanted = {"batch_size": 4, "seed": 1, "workers": 2, **settings}
    return list(itertools.islice(train_batches(source, **wanted), count))


def _join(batches, name):
    return np.concatenate([batch[name] for batch in batches])


def test_batches_hold_what_they_say():
    batch = _take(Numbered(10), 1)[0]

    assert {k: (v.dtype, v.shape) for k, v in batch.items()} == {
        "clip": (np.uint8, (4, 1, 2, 2, 3)),
        "label": (np.int32, (4,)),
        "index": (np.int64, (4,)),
        "mask": (np.bool_, (4,)),
    }
    assert batch["mask"].all()
    np.testing.assert_array_equal(batch["clip"][:, 0, 0, 0, 0], batch["index"])
    np.testing.assert_array_equal(batch["label"], batch["index"] % 2)


def test_every_epoch_is_another_permutation():
    """Batches of 4 run across the ends of epochs of 10."""
    index = _join(_take(Numbered(10), 15), "index").reshape(6, 10)

    np.testing.assert_array_equal(np.sort(index), np.tile(np.arange(10), (6, 1)))
    assert len({tuple(epoch) for epoch in index}) == 6


def test_a_run_that_starts_later_sees_what_it_would_have_seen():
    whole = _take(Numbered(10), 9)
    rest = _take(Numbered(10), 4, start_step=5, workers=1)

    for expected, batch in zip(whole[5:], rest, strict=True):
        for name, values in expected.items():
            np.testing.assert_array_equal(batch[name], values)


def test_the_seed_sets_order_and_augmentation():
    first, same, other = (_take(Numbered(50), 5, seed=s) for s in (1, 1, 2))

    np.testing.assert_array_equal(_join(first, "clip"), _join(same, "clip"))
    assert np.any(_join(first, "index") != _join(other, "index"))


def test_augmentation_is_a_function_of_seed_epoch_and_index():
    batches = _take(Numbered(4), 6)

    drawn = _join(batches, "clip")[:, 0, 0, 0, 2].reshape(6, 4)
    index = _join(batches, "index").reshape(6, 4)
    for epoch in range(6):
        for i, value in zip(index[epoch], drawn[epoch], strict=True):
            assert value == np.random.default_rng((1, epoch, i)).integers(256)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_what_one_would_have(processes):
    whole = _take(Numbered(10), 5)
    parts = [
        _take(Numbered(10), 5, process_index=i, process_count=processes)
        for i in range(processes)
    ]

    for step, expected in enumerate(whole):
        for name, values in expected.items():
            joined = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(joined, values)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("batch_size", [2, 4, 6, 22, 64])
def test_evaluation_counts_every_view_exactly_once(batch_size, processes):
    views = Views(num_clips=1, num_crops=3)
    parts = [
        list(
            eval_batches(
                Numbered(11),
                batch_size=batch_size,
                views=views,
                process_index=i,
                process_count=processes,
                workers=2,
            )
        )
        for i in range(processes)
    ]

    assert {len(part) for part in parts} == {-(-33 // batch_size)}
    batches = list(itertools.chain(*parts))
    mask = _join(batches, "mask")
    seen = list(
        zip(_join(batches, "index")[mask], _join(batches, "view")[mask], strict=True)
    )
    assert sorted(seen) == list(itertools.product(range(11), range(3)))
    clip = _join(batches, "clip")
    assert not clip[~mask].any()
    np.testing.assert_array_equal(
        clip[mask][:, 0, 0, 0, :2], np.array(seen).reshape(-1, 2)
    )
    np.testing.assert_array_equal(
        _join(batches, "label")[mask], _join(batches, "index")[mask] % 2
    )


def test_a_bad_video_is_replaced_by_the_next_that_is_good(caplog):
    """Of 40, videos 7, 8 and 39 are bad; after the last comes the first."""
    source = Numbered(40, frozenset({7, 8, 39}))

    with caplog.at_level(logging.WARNING, "vidjax.data"):
        batches = _take(source, 20)
    good, whole = _join(batches, "index"), _join(_take(Numbered(40), 20), "index")
    stands_for = {7: 9, 8: 9, 39: 0}
    np.testing.assert_array_equal(good, [stands_for.get(i, i) for i in whole])
    np.testing.assert_array_equal(_join(batches, "clip")[:, 0, 0, 0, 0], good)
    np.testing.assert_array_equal(_join(batches, "label"), good % 2)
    lines = sorted(record.getMessage() for record in caplog.records)
    assert len(lines) == 3
    assert lines[1].startswith("7.mp4 is empty. Another clip takes its place (")
    assert "of 40 videos so far" in lines[1]


def test_training_stops_when_too_many_videos_are_bad():
    source = Numbered(20, frozenset({1, 5, 9}))

    with pytest.raises(VideoError, match=r"3 of 20 videos cannot be read.*: \d\.mp4"):
        _take(source, 20)


def test_a_single_bad_video_of_a_few_does_not_stop_training():
    batches = _take(Numbered(3, frozenset({1})), 4)
    assert set(_join(batches, "index")) == {0, 2}


def test_a_source_without_a_good_video_stops_training():
    with pytest.raises(VideoError, match="No video of the source can be read"):
        _take(Numbered(1, frozenset({0})), 1)


def test_a_bad_video_is_not_counted_in_evaluation(caplog):
    source = Numbered(5, frozenset({3}))

    with caplog.at_level(logging.WARNING, "vidjax.data"):
        batches = list(eval_batches(source, batch_size=4, views=Views(2, 1)))
    mask, index = _join(batches, "mask"), _join(batches, "index")
    assert sorted(index[mask]) == [0, 0, 1, 1, 2, 2, 4, 4]
    assert not _join(batches, "clip")[~mask].any()
    assert [r.getMessage() for r in caplog.records] == [
        "3.mp4 is empty. It is not counted."
    ]


def test_other_errors_come_through_as_they_are():
    class Broken(Numbered):
        def clip(self, index, **settings):
            raise RuntimeError("a bug, not a bad video")

    with pytest.raises(RuntimeError, match="a bug, not a bad video"):
        next(eval_batches(Broken(3), batch_size=1))


@pytest.mark.parametrize(
    ("count", "settings", "message"),
    [
        (0, {}, "The source has no examples"),
        (5, {"batch_size": 0}, "positive multiple of the 1 processes, got 0"),
        (5, {"batch_size": 3, "process_count": 2}, "of the 2 processes, got 3"),
        (
            5,
            {"process_index": 2, "process_count": 2},
            r"process_index must be in \[0, 2",
        ),
    ],
)
def test_impossible_batches_are_refused(count, settings, message):
    wanted = {"batch_size": 4, **settings}

    with pytest.raises(ValueError, match=message):
        train_batches(Numbered(count), seed=0, **wanted)
    with pytest.raises(ValueError, match=message):
        eval_batches(Numbered(count), **wanted)


def test_tensorflow_sees_no_accelerator():
    assert import_tensorflow().config.get_visible_devices("GPU") == []


def test_without_tensorflow_the_error_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    pipeline.import_tensorflow.cache_clear()

    for call in (
        import_tensorflow,
        lambda: train_batches(Numbered(3), batch_size=1, seed=0),
        lambda: eval_batches(Numbered(3), batch_size=1),
    ):
        with pytest.raises(ImportError, match=r'pip install "vidjax\[data\]"'):
            call()


def test_repeats_follow_each_other_with_other_draws():
    batches = _take(Numbered(10), 10, repeats=2)
    index = _join(batches, "index").reshape(-1, 2)
    draws = _join(batches, "clip")[:, 0, 0, 0, 2].reshape(-1, 2)

    np.testing.assert_array_equal(index[:, 0], index[:, 1])
    assert np.mean(draws[:, 0] != draws[:, 1]) > 0.9
    np.testing.assert_array_equal(np.sort(index[:10, 0]), np.arange(10))
    for wrong in ({"repeats": 0}, {"bad_share": 1.5}):
        with pytest.raises(ValueError, match="Expected repeats of at least 1"):
            _take(Numbered(10), 1, **wrong)


def test_the_share_of_bad_videos_is_that_of_the_settings():
    source = Numbered(20, bad=frozenset(range(5)))
    with pytest.raises(VideoError, match=r"2 of 20 .* a share of 0.05"):
        _take(source, 10, bad_share=0.05)
    index = _join(_take(source, 10, bad_share=0.3), "index")
    assert set(index.tolist()) == set(range(5, 20))


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
def test_eight_hosts_see_together_what_one_sees(processes):
    """Also after a stop at step 3 on one host, which goes on with eight."""
    source = Numbered(21)
    alone = _take(source, 7, batch_size=8)
    parts = [
        _take(
            source,
            4,
            batch_size=8,
            start_step=3,
            process_index=index,
            process_count=processes,
            workers=1,
        )
        for index in range(processes)
    ]
    for step in range(4):
        for name in ("index", "clip", "label"):
            together = np.concatenate([part[step][name] for part in parts])
            np.testing.assert_array_equal(together, alone[3 + step][name])


def test_eight_hosts_count_every_view_once():
    views = Views(2, 3)
    parts = [
        list(
            eval_batches(
                Numbered(7),
                batch_size=16,
                views=views,
                process_index=index,
                process_count=8,
                workers=1,
            )
        )
        for index in range(8)
    ]
    assert {len(part) for part in parts} == {3}  # 42 views, 16 a batch.
    seen = [
        (int(index), int(view))
        for part in parts
        for batch in part
        for index, view, mask in zip(
            batch["index"], batch["view"], batch["mask"], strict=True
        )
        if mask
    ]
    assert sorted(seen) == [(index, view) for index in range(7) for view in range(6)]
