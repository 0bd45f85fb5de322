"""Crops keep the published rules, batches are functions of seed and step."""

import itertools

import numpy as np
import pytest

from vidjax.data.feature_crops import Example, random_crop, resize_steps
from vidjax.data.features import (
    FeatureSource,
    FeatureVideo,
    eval_feature_batches,
    train_feature_batches,
)
from vidjax.typing import FeatureGrid, FeatureSpec

GRID = FeatureGrid(4.0, 16.0, 30.0)


def _example(steps, *segments):
    """A video whose features are the numbers of its steps."""
    features = np.arange(steps, dtype=np.float32)[:, None]
    labels = np.arange(len(segments), dtype=np.int32)
    return Example(features, np.array(segments, np.float32), labels, GRID)


def _crop(example, seed, **changes):
    settings = {"length": 50, "share": (0.9, 1.0), "min_inside": 0.5, **changes}
    return random_crop(example, rng=np.random.default_rng(seed), **settings)


def test_a_crop_has_an_action_that_is_half_inside_or_more():
    example = _example(200, (20, 30), (100, 160), (190, 199))
    for seed in range(30):
        crop = _crop(example, seed)
        first = crop.features[0, 0]
        assert crop.features.shape == (50, 1)
        assert len(crop.labels) >= 1
        for (start, end), label in zip(crop.segments, crop.labels, strict=True):
            whole = example.segments[label]
            # Half a window, two steps, beyond the crop is still inside.
            left, right = max(whole[0], first - 2), min(whole[1], first + 52)
            np.testing.assert_allclose((start, end), (left - first, right - first))
            assert end - start >= 0.5 * (whole[1] - whole[0])


def test_a_short_video_loses_a_tenth_at_most():
    example = _example(40, (5, 35))
    lengths = {len(_crop(example, seed).features) for seed in range(40)}
    assert lengths == {36, 37, 38, 39, 40}
    assert _crop(example, 0, share=None) is example


def test_a_video_without_room_for_an_action_is_still_cut():
    crop = _crop(_example(200, (0, 200)), 0, min_inside=0.9)
    assert crop.features.shape == (50, 1)
    assert crop.labels.size == 0


def test_resizing_is_linear_between_centres():
    ramp = np.stack([np.arange(8.0), -np.arange(8.0)], 1).astype(np.float32)
    half = resize_steps(ramp, 4)
    np.testing.assert_allclose(half[:, 0], [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_allclose(half[:, 1], -half[:, 0])
    np.testing.assert_array_equal(resize_steps(ramp, 8), ramp)
    # No smoothing: of many steps only the two beside a centre count.
    spike = np.zeros((9, 1), np.float32)
    spike[4] = 1
    np.testing.assert_array_equal(resize_steps(spike, 3)[:, 0], [0, 1, 0])


def test_seconds_become_steps_and_back():
    assert GRID.to_steps(np.array([8 / 30, 12 / 30])).round(9).tolist() == [0.0, 1.0]
    assert GRID.to_seconds(GRID.to_steps(12.5)) == pytest.approx(12.5)
    resized = GRID.resized(101, 50)
    assert resized.stride == resized.window == (100 * 4 + 16) / 50


def _source(**changes):
    videos = tuple(
        FeatureVideo(
            name=f"{steps}",
            fps=30.0,
            duration=steps * 4 / 30,
            segments=np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)[: i % 2 + 1],
            labels=np.array([0, 1], np.int32)[: i % 2 + 1],
        )
        for i, steps in enumerate((60, 64, 30, 70, 40))
    )

    def read(name):
        return np.tile(np.arange(int(name), dtype=np.float32)[:, None], (1, 3))

    spec = FeatureSpec(64, 3, multiple=16)
    return FeatureSource(videos, ("a", "b"), read, spec, 4.0, 16.0, **changes)


def _batches(count, **changes):
    settings = {"batch_size": 2, "seed": 1, "max_actions": 3, **changes}
    batches = train_feature_batches(_source(), **settings)
    return list(itertools.islice(batches, count))


def test_batches_are_padded_and_say_what_is_there():
    (batch,) = _batches(1)
    features, there = batch["clip"]
    segments, labels, valid = batch["label"]
    assert features.shape == (2, 64, 3)
    assert there.sum(axis=1).tolist() == [
        int(np.argmax(row[:, 0]) + 1) for row in features
    ]
    assert segments.shape == (2, 3, 2)
    assert labels.shape == valid.shape == (2, 3)
    assert valid.any(axis=1).all()
    assert not segments[~valid].any()
    assert batch["mask"].all()


def test_a_run_that_goes_on_sees_what_it_would_have_seen():
    whole, rest = _batches(5), _batches(2, start_step=3)
    for one, other in zip(whole[3:], rest, strict=True):
        for a, b in zip(
            (*one["clip"], *one["label"]),
            (*other["clip"], *other["label"]),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(whole[0]["clip"][0], _batches(1, seed=2)[0]["clip"][0])


def test_every_video_is_tested_once_at_its_padded_length():
    seen = {}
    for grids, batch in eval_feature_batches(_source(), batch_size=2):
        features, there = batch["clip"]
        assert len(features) == len(there) == 2
        for row, (index, grid) in enumerate(grids):
            assert grid == GRID
            seen[index] = (features.shape[1], int(there[row].sum()))
        assert not there[len(grids) :].any()
    assert seen == {0: (64, 60), 1: (64, 64), 2: (64, 30), 3: (80, 70), 4: (64, 40)}


def test_resized_videos_have_the_length_of_the_card():
    source = _source(resize=True)
    example = source.example(3)
    assert example.features.shape == (64, 3)
    seconds = example.grid.to_seconds(example.segments)
    np.testing.assert_allclose(seconds, source.videos[3].segments, rtol=1e-5)


def test_wrong_features_and_batches_are_refused():
    spec = FeatureSpec(64, 5)
    source = FeatureSource(
        _source().videos, ("a", "b"), _source().read, spec, 4.0, 16.0
    )
    with pytest.raises(ValueError, match=r"\[T, 5\] of 60, got shape \(60, 3\)"):
        source.example(0)
    with pytest.raises(ValueError, match=r"\[T, 5\]"):
        next(train_feature_batches(source, batch_size=1, seed=0, max_actions=3))
    with pytest.raises(ValueError, match="positive batch size"):
        train_feature_batches(source, batch_size=0, seed=0, max_actions=3)
