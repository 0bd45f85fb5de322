"""synthetic_motion: what moves how, and that single frames tell nothing."""

import colorsys

import numpy as np
import pytest

from vidjax.data.synthetic import (
    CLASSES,
    TWO_STREAM_CLASSES,
    draw_clip,
    trace_motion,
)

LABELS = range(len(CLASSES))


def _label(name):
    return CLASSES.index(name)


def _wrapped(steps, period):
    return (steps + period / 2) % period - period / 2


@pytest.mark.parametrize("seed", [0, 5, (3, 1, 4)])
def test_the_first_frame_does_not_know_its_class(seed):
    first = [draw_clip(k, num_frames=1, size=16, seed=seed) for k in LABELS]

    for frame in first[1:]:
        np.testing.assert_array_equal(frame, first[0])


def test_every_state_is_uniform_at_every_frame_of_every_class():
    """The law that makes single frames useless, on what is drawn before pixels are.

    The largest gap between the empirical distribution and the uniform one is compared
    with 2.6 / sqrt(n): by Kolmogorov's law one of these 320 tests exceeds it in a
    thousand runs.
    """
    count = 300
    for label in LABELS:
        motions = [
            trace_motion(label, num_frames=8, seed=(label, seed))
            for seed in range(count)
        ]
        radius = np.log([m.radius for m in motions])  # [N, T]
        low, high = np.log(0.22), np.log(0.5)
        states = np.stack(
            [
                np.array([m.position[:, 0] for m in motions]),
                np.array([m.position[:, 1] for m in motions]),
                np.array([m.angle for m in motions]) / (2 * np.pi),
                (radius - low) / (high - low),
            ]
        )  # [state, N, T]
        ranks = (np.arange(count) + 0.5) / count
        gap = np.abs(np.sort(states, axis=1) - ranks[:, None]).max(axis=1)
        assert gap.max() < 2.6 / np.sqrt(count), (CLASSES[label], gap)


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)],
)
def test_directions_move_along_their_axis_alone(name, axis, sign):
    motion = trace_motion(_label(name), num_frames=8, seed=3)

    steps = _wrapped(np.diff(motion.position, axis=0), 1.0)
    assert np.all(sign * steps[:, axis] > 0.03)
    np.testing.assert_allclose(steps[:, 1 - axis], 0)
    assert np.ptp(motion.angle) == np.ptp(motion.radius) == 0


@pytest.mark.parametrize(("name", "sign"), [("clockwise", 1), ("counterclockwise", -1)])
def test_rotations_turn_on_the_spot(name, sign):
    motion = trace_motion(_label(name), num_frames=8, seed=4)

    steps = np.degrees(_wrapped(np.diff(motion.angle), 2 * np.pi))
    assert np.all((sign * steps > 13.9) & (sign * steps < 24.1))
    assert np.ptp(motion.position, axis=0).max() == np.ptp(motion.radius) == 0


@pytest.mark.parametrize(("name", "sign"), [("approach", 1), ("recede", -1)])
def test_sizes_grow_or_shrink_and_come_back_at_the_other_end(name, sign):
    jumps = 0
    for seed in range(20):
        motion = trace_motion(_label(name), num_frames=8, seed=seed)
        growth = sign * np.diff(np.log(motion.radius))
        assert np.all((growth > 0.04) | (growth < -0.7))
        assert np.all((motion.radius >= 0.22) & (motion.radius <= 0.5))
        jumps += (growth < 0).sum()
    assert 0 < jumps < 20


@pytest.mark.parametrize(("name", "axis"), [("swing", 0), ("bounce", 1)])
def test_oscillations_turn_back(name, axis):
    for seed in range(20):
        motion = trace_motion(_label(name), num_frames=8, seed=seed)
        steps = _wrapped(np.diff(motion.position, axis=0), 1.0)
        assert steps[:, axis].min() < 0 < steps[:, axis].max()
        np.testing.assert_allclose(steps[:, 1 - axis], 0)


def test_a_longer_clip_shows_the_same_motion_more_finely():
    short = trace_motion(_label("right"), num_frames=8, seed=1)
    long = trace_motion(_label("right"), num_frames=64, seed=1)

    np.testing.assert_allclose(long.position[::8], short.position, atol=1e-12)


def test_pixels_follow_the_motion():
    """A bright shape on a dark ground: the bright pixels move where the trace says."""
    clip = draw_clip(_label("right"), num_frames=8, size=64, seed=2).astype(float)
    motion = trace_motion(_label("right"), num_frames=8, seed=2)

    columns = (clip.max(axis=-1) > 200).sum(axis=1)  # [T, W]
    phase = np.angle((columns * np.exp(2j * np.pi * np.arange(64) / 64)).sum(axis=1))
    seen = _wrapped(np.diff(phase), 2 * np.pi) / (2 * np.pi)
    told = _wrapped(np.diff(motion.position[:, 0]), 1.0)
    np.testing.assert_allclose(seen, told, atol=0.01)


def test_a_clip_is_a_function_of_its_seed():
    clip = draw_clip(3, num_frames=4, size=16, seed=(1, 2))

    np.testing.assert_array_equal(
        clip, draw_clip(3, num_frames=4, size=16, seed=(1, 2))
    )
    assert np.any(clip != draw_clip(3, num_frames=4, size=16, seed=(1, 3)))
    assert clip.dtype == np.uint8


def test_large_clips_are_drawn_in_parts_without_a_seam():
    whole = draw_clip(4, num_frames=9, size=96, seed=0)  # Seven frames, and two.

    assert whole.shape == (9, 96, 96, 3)
    steps = np.abs(np.diff(whole.astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 2 * np.median(steps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 10}, r"label must be in \[0, 10\), got 10"),
        ({"label": -1}, "label must be"),
        ({"num_frames": 0}, "num_frames must be at least 1, got 0"),
        ({"size": 4}, "size must be at least 8 pixels, got 4"),
    ],
)
def test_impossible_clips_are_refused(arguments, message):
    wanted = {"label": 0, "num_frames": 8, "size": 32, "seed": 0, **arguments}

    with pytest.raises(ValueError, match=message):
        draw_clip(wanted.pop("label"), **wanted)


@pytest.mark.parametrize(("label", "num_frames"), [(99, 8), (0, 0)])
def test_an_impossible_motion_is_refused(label, num_frames):
    with pytest.raises(ValueError, match="must be"):
        trace_motion(label, num_frames=num_frames, seed=0)


def test_hues_tell_classes_and_motions_do_not():
    def shape_hues(label):
        """Hues of the brightest pixels, in turns."""
        hues = []
        for seed in range(12):
            clip = draw_clip(
                label, num_frames=1, size=48, seed=seed, classes=TWO_STREAM_CLASSES
            )
            pixels = clip[0].reshape(-1, 3)
            best = pixels[np.argsort(pixels.max(axis=1))[-40:]]
            best = best[np.argmax(np.ptp(best, axis=1))] / 255
            hues.append(colorsys.rgb_to_hsv(*best)[0])
        return np.array(hues)

    for name, hue in {"red": 0.0, "green": 0.25, "cyan": 0.5, "left": 0.75}.items():
        found = shape_hues(TWO_STREAM_CLASSES.index(name))
        assert np.abs((found - hue + 0.5) % 1 - 0.5).max() < 0.125, name


def test_clips_told_by_hue_move_in_all_the_ways_of_the_others():
    def kind(seed):
        red = TWO_STREAM_CLASSES.index("red")
        motion = trace_motion(red, num_frames=3, seed=seed, classes=TWO_STREAM_CLASSES)
        shift = _wrapped(np.diff(motion.position[:, 0]), 1).round(6)
        return np.sign(shift[0]), np.ptp(motion.angle) > 0

    kinds = [kind(seed) for seed in range(60)]
    assert set(kinds) == {(-1, False), (1, False), (0, True)}
    assert min(kinds.count(k) for k in set(kinds)) > 10
