"""How training clips vary: alike in every frame, in range, from a generator alone."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest

from vidjax.config import AugmentConfig, DataConfig
from vidjax.data.clips import FileVideo, random_clip
from vidjax.data.colors import erase, jitter_colors, turn_hue
from vidjax.data.flips import flip_labels
from vidjax.data.geometry import draw_geometry, fixed_offsets
from vidjax.data.lists import Example, VideoList
from vidjax.data.rand_augment import OPERATIONS, rand_augment, warp
from vidjax.data.sources import make_source
from vidjax.data.timeline import VideoError
from vidjax.data.video_source import FileSet, VideoSource
from vidjax.typing import ClipSpec

CASES = json.loads((pathlib.Path(__file__).parent / "cases" / "crops.json").read_text())
STILL = np.random.default_rng(0).integers(256, size=(1, 24, 32, 3), dtype=np.uint8)
CLIP = np.repeat(STILL, 3, axis=0)
ALL = AugmentConfig(
    crop="resized",
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    rand_augment=(4, 7.0),
    erase_rate=0.5,
)


def _rng(seed=0):
    return np.random.default_rng(seed)


def _boxes(crop, count=120, size=16, frame=(24, 48), **settings):
    """Draws boxes, as (top, left, height, width) in shares of the frame."""
    augment = AugmentConfig(crop=crop, **settings)
    rows = []
    for seed in range(count):
        geometry = draw_geometry(
            _rng(seed), size=size, short_side=(20, 30), augment=augment
        )
        (height, width), box = geometry(*frame)
        assert 0 <= box.top <= height - size
        assert 0 <= box.left <= width - size
        assert (box.height, box.width) == (size, size)
        rows.append((box.top, box.left, size / height, size / width))
    return np.array(rows)


@pytest.mark.parametrize(("size", "expected"), CASES["fix"].items())
def test_places_of_multi_scale_crops_are_those_of_tsn(size, expected):
    frame, crop = size.split("_crop")
    width, height = map(int, frame.split("x"))
    found = fixed_offsets(height - int(crop), width - int(crop))
    # Theirs are (x, y), in an order of their own.
    assert {(x, y) for y, x in found} == {tuple(xy) for xy in expected["more_fix"]}
    assert [[x, y] for y, x in found[:5]] == expected["fix"]


def test_resized_crops_have_every_area_and_shape():
    rows = _boxes("resized", count=300)
    area, aspect = rows[:, 2] * rows[:, 3], rows[:, 3] * 48 / (rows[:, 2] * 24)
    assert area.min() < 0.15
    assert area.max() > 0.6
    assert 0.7 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.42
    # A frame that no shape fits gives the largest that does: here a square of a line.
    whole = _boxes("resized", count=3, frame=(24, 400), area=(1.0, 1.0))
    np.testing.assert_allclose(whole[:, 2], 1.0)


def test_multi_scale_sides_differ_by_one_step():
    rows = _boxes("multi_scale")
    down, right = rows[:, 2], rows[:, 3] * 2  # Of the short side, 24.
    for sides in (down, right):
        assert 0.6 < sides.min() < 0.72
        assert sides.max() == pytest.approx(1.0, abs=0.04)
    assert np.abs(down - right).max() < 0.2


def test_random_crops_reach_every_corner():
    settings: Any = {"size": 18, "short_side": (20, 20), "augment": AugmentConfig()}
    boxes = [draw_geometry(_rng(i), **settings)(20, 20)[1] for i in range(100)]
    assert {(box.top, box.left) for box in boxes} == {
        (y, x) for y in range(3) for x in range(3)
    }
    geometry = draw_geometry(
        _rng(), size=64, short_side=(20, 30), augment=AugmentConfig()
    )
    with pytest.raises(ValueError, match="does not fit"):
        geometry(24, 48)


def test_clips_are_functions_of_their_generator(video):
    spec = ClipSpec(3, 2, size=16)

    def draw(seed):
        return random_clip(
            FileVideo(video), spec, rng=_rng(seed), flip_rate=0.5, augment=ALL
        )[0]

    np.testing.assert_array_equal(draw(5), draw(5))
    assert len({draw(seed).tobytes() for seed in range(6)}) == 6
    assert draw(0).shape == spec.shape


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_the_same_in_every_frame(name):
    strong = OPERATIONS[name](CLIP, 0.7, 1.0)

    assert strong.dtype == np.uint8
    assert strong.shape == CLIP.shape
    np.testing.assert_array_equal(strong, np.repeat(strong[:1], 3, axis=0))
    before = CLIP.copy()
    OPERATIONS[name](CLIP, 0.7, -1.0)
    np.testing.assert_array_equal(CLIP, before)


@pytest.mark.parametrize(
    ("name", "strength", "pixel", "expected"),
    # The arithmetic of Pillow, by hand.
    [
        ("invert", 0.0, 3, 252),
        ("posterize", 0.5, 0b10110111, 0b10000000),  # Two bits are kept.
        ("solarize", 0.5, 200, 55),  # At 128 and above.
        ("solarize", 0.5, 100, 100),
        ("solarize_add", 1.0, 100, 210),
        ("solarize_add", 1.0, 130, 130),
        ("brightness", 1.0, 100, 190),
    ],
)
def test_operations_do_what_they_say(name, strength, pixel, expected):
    clip = np.full((1, 2, 2, 3), pixel, np.uint8)
    assert np.unique(OPERATIONS[name](clip, strength, 1.0)) == [expected]


def test_levels_are_spread():
    ramp = np.broadcast_to(
        np.arange(100, 151, dtype=np.uint8)[None, None, :, None], (2, 4, 51, 3)
    )
    for name in ("auto_contrast", "equalize"):
        spread = OPERATIONS[name](ramp, 0.5, 1.0)
        assert (spread.min(), spread.max()) == (0, 255)
    flat = np.full((1, 2, 2, 3), 9, np.uint8)
    for name in ("auto_contrast", "equalize"):
        np.testing.assert_array_equal(OPERATIONS[name](flat, 0.5, 1.0), flat)


def test_geometry_moves_pixels_and_fills_with_grey():
    clip = np.zeros((1, 5, 5, 1), np.uint8)
    clip[0, 1, 2] = 9
    moved = warp(clip, np.eye(2), (0.0, 1.0))
    assert moved[0, 1, 1, 0] == 9
    assert np.all(moved[0, :, 4] == 128)
    turned = warp(clip, np.array([[0.0, -1.0], [1.0, 0.0]]), (0.0, 0.0))
    assert turned[0, 2, 3, 0] == 9


def test_rand_augment_applies_half_of_its_layers():
    same = sum(
        np.array_equal(rand_augment(CLIP, rng=_rng(i), layers=1, magnitude=5.0), CLIP)
        for i in range(200)
    )
    assert 75 < same < 125
    for wrong in ({"layers": -1, "magnitude": 1.0}, {"layers": 1, "magnitude": 11.0}):
        with pytest.raises(ValueError, match="RandAugment takes"):
            rand_augment(CLIP, rng=_rng(), **wrong)


def test_colors_vary_within_their_ranges():
    gray = np.full((2, 8, 8, 3), 100, np.uint8)

    def levels(**settings):
        augment = AugmentConfig(**settings)
        drawn = [jitter_colors(gray, rng=_rng(i), augment=augment) for i in range(200)]
        return np.array([clip[0, 0, 0] for clip in drawn]).astype(int)

    bright = levels(brightness=0.4)
    assert 60 <= bright.min() < 65
    assert 135 < bright.max() <= 140
    for still in ({"contrast": 0.4}, {"saturation": 0.4}, {"hue": 0.5}):
        assert np.abs(levels(**still) - 100).max() <= 1  # Greys stay.
    lost = jitter_colors(CLIP, rng=_rng(), augment=AugmentConfig(gray_rate=1.0))
    assert np.ptp(lost.astype(int), axis=-1).max() <= 1
    assert jitter_colors(CLIP, rng=_rng(), augment=AugmentConfig()) is CLIP
    np.testing.assert_array_equal(lost[0], lost[2])
    for name in ("brightness", "contrast", "saturation", "hue"):
        varied = jitter_colors(CLIP, rng=_rng(), augment=AugmentConfig(**{name: 0.4}))
        assert np.abs(varied.astype(int) - CLIP).max() > 2


def test_a_third_of_the_circle_turns_red_to_what_is_no_longer_red():
    turned = turn_hue(1 / 3) @ np.array([255.0, 0, 0])
    assert turned.argmax() != 0
    np.testing.assert_allclose(turn_hue(0.3) @ [7.0, 7, 7], [7, 7, 7], atol=1e-6)
    np.testing.assert_allclose(turn_hue(0.5) @ turn_hue(0.5), np.eye(3), atol=1e-6)


def test_erasing_fills_one_rectangle_with_the_same_noise():
    found = [erase(CLIP, rng=_rng(i), rate=0.5) for i in range(100)]
    changed = [np.any(clip != CLIP, axis=(0, 3)) for clip in found]
    assert 30 < sum(mask.any() for mask in changed) < 70
    for clip, mask in zip(found, changed, strict=True):
        if mask.any():
            np.testing.assert_array_equal(clip[0], clip[2])
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert area <= 0.36 * mask.size
            assert mask.sum() > 0.9 * area
    assert erase(CLIP, rng=_rng(), rate=0.0) is CLIP


def test_a_flip_exchanges_left_and_right_in_labels():
    names = (
        "Pulling something from left to right",
        "Pulling something from right to left",
        "Turning leftovers",
        "Pushing something to the left",
        "Waving",
    )
    assert flip_labels(names).tolist() == [1, 0, 2, -1, 4]
    assert flip_labels(["Swiping Left", "Swiping Right"]).tolist() == [1, 0]


def test_flipped_clips_have_the_label_of_what_they_show(video):
    names = ("to the left", "to the right", "left alone")
    examples = tuple(Example(str(video), label) for label in range(3))
    source = VideoSource(
        ClipSpec(2, size=16),
        FileSet(VideoList(examples, names)),
        DataConfig(flip_rate=1.0),
    )
    assert [source.draw(i, rng=_rng())[1] for i in range(3)] == [1, 0, 2]
    unflipped = VideoSource(source.spec, source.videos, DataConfig(flip_rate=0.0))
    assert [unflipped.draw(i, rng=_rng())[1] for i in range(3)] == [0, 1, 2]
    clips = [s.draw(0, rng=_rng())[0] for s in (source, unflipped)]
    np.testing.assert_array_equal(clips[0][:, :, ::-1], clips[1])
    alone = [s.draw(2, rng=_rng())[0] for s in (source, unflipped)]
    np.testing.assert_array_equal(*alone)  # It has no counterpart: never flipped.


def test_a_short_video_may_be_an_error(video):
    spec = ClipSpec(30, 2, size=16)
    assert random_clip(FileVideo(video), spec, rng=_rng())[0].shape == spec.shape
    with pytest.raises(VideoError, match="has 40 frames, and a clip spans 59"):
        random_clip(FileVideo(video), spec, rng=_rng(), loop=False)


def test_settings_out_of_range_are_said_together(tmp_path):
    config = DataConfig(
        source=f"folder:{tmp_path}",
        bad_share=2.0,
        repeats=0,
        augment=AugmentConfig(
            area=(0.5, 2.0),
            aspect=(0.0, 1.0),
            scales=(),
            hue=0.6,
            gray_rate=-1.0,
            rand_augment=(1, 11.0),
        ),
    )
    said = r"area.*aspect.*scales.*hue.*gray_rate.*bad_share.*rand_augment.*repeats"
    with pytest.raises(ValueError, match=said):
        make_source(config, ClipSpec(4))
