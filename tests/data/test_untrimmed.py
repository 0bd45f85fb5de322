"""`synthetic_untrimmed`: what happens is known to the frame."""

import dataclasses
import itertools

import numpy as np
import pytest

from vidjax.data.untrimmed import UntrimmedSettings, draw_actions, draw_untrimmed

SETTINGS = UntrimmedSettings(num_frames=300, size=16)
_MOVES = ("left right swing", "up down bounce", "clockwise counter", "approach recede")


def _moves(label):
    return next(names for names in _MOVES if label[:7] in names)


def _draw(index, split="train", **changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    actions, frames = draw_untrimmed(index, split=split, settings=settings)
    return actions, np.concatenate(list(frames))


def test_a_video_is_a_function_of_seed_split_and_index():
    actions, frames = _draw(1)
    again, same = _draw(1)
    assert actions == again
    np.testing.assert_array_equal(frames, same)
    assert frames.shape == (300, 16, 16, 3)
    for other in (_draw(2), _draw(1, split="eval"), _draw(1, seed=5)):
        assert other[0] != actions
        assert (other[1] != frames).any()


def test_actions_lie_apart_but_for_some_that_overlap_and_move_something_else():
    rng, overlaps, count = np.random.default_rng(0), 0, 0
    for _ in range(60):
        actions = draw_actions(rng, SETTINGS)
        count += len(actions)
        for before, after in itertools.pairwise(actions):
            assert before.first < after.first
            if after.first < before.end:
                overlaps += 1
                kinds = [
                    next(m for m in _MOVES if a.label[:7] in m) for a in (before, after)
                ]
                assert kinds[0] != kinds[1]
            else:
                assert after.first - before.end >= 20
        assert all(0 < a.first < a.end <= 280 for a in actions)
    assert 0.1 < overlaps / count < 0.3


def test_the_shape_moves_while_an_action_lasts_and_rests_otherwise():
    # Of the same scene, with and without its actions, only frames from the first
    # action on differ.
    actions, frames = _draw(3, classes=("recede",))
    first, end = actions[0].first, actions[0].end
    change = np.abs(np.diff(frames.astype(float), axis=0)).mean((1, 2, 3))
    rest = change[: first - 1].max()  # That of the background alone.
    assert change[first - 1] > rest
    assert change[first - 1 : end - 1].mean() > 1.5 * rest
    assert change[end : end + 15].max() < 1.5 * rest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_train": 0}, "num_train must be at least 1, got 0"),
        ({"num_frames": 99}, "num_frames must be at least 100, got 99"),
        ({"size": 17}, "size must be even, got 17"),
        ({"fps": 0.0}, "fps must be positive"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"classes": ("left", "jump")}, r"classes must be of left, .*got \['jump'\]"),
        ({"classes": ()}, "got none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        _draw(0, **change)
