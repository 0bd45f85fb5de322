"""Protocols spelled out: frames, crops, differences, and that clips follow them."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from vidjax.data.clips import load_clip
from vidjax.data.crops import resized_size, view_crops
from vidjax.data.plan import clip_frames, compare_plans, make_plan, test_clip
from vidjax.data.transforms import short_side_size
from vidjax.protocols import PROTOCOLS, protocol
from vidjax.typing import ClipSpec, Views

from .conftest import HEIGHT, WIDTH, read_stamps

CROPS = json.loads((pathlib.Path(__file__).parent / "cases" / "crops.json").read_text())
VIDEO = {"num_frames": 300, "fps": 30.0, "height": 256, "width": 340}


def _corners(crops):
    """First and last pixel (x, y), as the table has them."""
    found = []
    for box, mirrored in crops:
        left, right = box.left, box.left + box.width - 1
        left, right = (right, left) if mirrored else (left, right)
        found.append([left, box.top, right, box.top + box.height - 1])
    return found


@pytest.mark.parametrize(("transform", "size", "expected"), CROPS["rows"])
def test_crops_are_those_of_tsm(transform, size, expected):
    crop = int(transform.split("(")[1].split(",")[0])
    count = len(expected)
    views = Views(num_crops=count, crops="tsm")

    found = view_crops(size[1], size[0], size=crop, views=views)

    assert _corners(found) == expected


@pytest.mark.parametrize(
    ("rule", "count", "height", "width", "size", "lefts_or_tops"),
    [
        # MMAction2: whole steps of half the room, the centre last.
        ("mmaction2", 3, 256, 341, 256, [0, 84, 42]),
        ("mmaction2", 3, 341, 256, 256, [0, 84, 42]),
        ("mmaction2", 1, 256, 341, 224, [58]),
        # facebookresearch/SlowFast: centres are rounded up.
        ("pyslowfast", 3, 256, 341, 256, [0, 43, 85]),
        ("pyslowfast", 3, 341, 256, 256, [0, 43, 85]),
        ("pyslowfast", 1, 256, 341, 256, [43]),
        # Ours: centres are rounded down, and the last crop touches the end.
        ("even", 3, 256, 341, 256, [0, 42, 85]),
        # torchvision: rounded half to even, here 42.5 and 43.5.
        ("torchvision", 1, 256, 341, 256, [42]),
        ("torchvision", 1, 256, 343, 256, [44]),
    ],
)
def test_crops_lie_where_their_source_puts_them(
    rule, count, height, width, size, lefts_or_tops
):
    crops = view_crops(height, width, size=size, views=Views(1, count, crops=rule))

    along = [box.left if width > height else box.top for box, _ in crops]
    assert along == lefts_or_tops
    assert not any(mirrored for _, mirrored in crops)


def test_sizes_are_rounded_as_their_source_rounds_them():
    assert resized_size(240, 427, short_side=256, views=Views()) == (256, 455)
    wide = {"short_side": 224, "views": Views(crops="mmaction2")}
    assert resized_size(240, 320, **wide) == (224, 299)  # 298.67.
    assert resized_size(240, 320, **{**wide, "views": Views(crops="tsm")}) == (224, 298)
    squash = Views(aspect=171 / 128)
    assert resized_size(1000, 10, short_side=128, views=squash) == (128, 171)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        short_side_size(0, 1, 1, round_down=True)


def test_crops_that_no_rule_has_are_refused():
    with pytest.raises(ValueError, match=r"'torchvision' are \[1\] in number, got 3"):
        view_crops(9, 9, size=3, views=Views(num_crops=3, crops="torchvision"))
    with pytest.raises(ValueError, match="as large as a side"):
        view_crops(9, 9, size=3, views=Views(num_crops=3, crops="mmaction2"))
    with pytest.raises(ValueError, match="does not fit"):
        view_crops(9, 9, size=10, views=Views())


def test_every_protocol_makes_a_plan_for_every_video():
    """Also for a single frame, and for one that is higher than wide."""
    small = {"num_frames": 1, "fps": 7.5, "height": 90, "width": 60}
    for views in PROTOCOLS.values():
        for video in (VIDEO, small):
            plan = make_plan(views, ClipSpec(16, 4, fps=30.0), **video)
            frames = np.array(plan.frames)
            assert (
                plan.num_views == views.num_views == frames.shape[0] * len(plan.crops)
            )
            assert frames.shape[1] == (views.num_frames or 16)
            assert frames.min() >= 0
            assert frames.max() < video["num_frames"]
            json.dumps(plan.to_dict())


def test_plans_have_the_published_frames():
    spec = ClipSpec(8, 8, fps=30.0)
    slowfast = make_plan(protocol("pyslowfast-30"), spec, **VIDEO)
    # By hand: a clip spans 64 frames; clip 1 starts at 236 / 10.
    assert slowfast.frames[1] == (23, 32, 41, 50, 59, 68, 77, 86)
    assert slowfast.size == (256, 340)
    assert slowfast.average == "positions"
    # By hand: (300 - 64) / 9 = 26.2 frames apart, of which whole ones count.
    mmaction = make_plan(protocol("mmaction-10x3"), spec, **VIDEO)
    assert [clip[0] for clip in mmaction.frames[:3]] == [0, 26, 52]
    unresampled = dataclasses.replace(spec, fps=None)
    mmaction = make_plan(protocol("mmaction-10x3"), unresampled, **VIDEO)
    assert [clip[0] for clip in mmaction.frames] == [
        *(0, 27, 54, 81, 108, 135, 162, 189, 216, 243)
    ]
    full = make_plan(protocol("i3d-full"), ClipSpec(64, fps=25.0), **VIDEO)
    assert len(full.frames[0]) == 250
    assert full.frames[0][:6] == (0, 1, 2, 3, 4, 6)


def test_rates_of_containers_that_count_milliseconds_are_nominal():
    spec, views = ClipSpec(16, 4, fps=15.0), protocol("torchvision-5")
    exact = clip_frames(views, spec, num_frames=300, fps=30.0)
    nearly = clip_frames(views, spec, num_frames=300, fps=30.0003)
    np.testing.assert_array_equal(exact, nearly)


def test_two_protocols_are_compared_in_words():
    spec = ClipSpec(8, 8)
    one, other = (
        make_plan(protocol(name), spec, **VIDEO)
        for name in ("videomae-5x3", "swin-4x3")
    )
    assert compare_plans(one, one) == []
    assert compare_plans(one, other) == ["frames: 5, 4 of them"]
    assert one.digest != other.digest
    renamed = dataclasses.replace(one, protocol="mine")
    assert compare_plans(one, renamed) == []
    assert one.digest == renamed.digest
    moved = make_plan(protocol("pyslowfast-5x3"), spec, **VIDEO)
    assert compare_plans(one, moved)[0].startswith("frames: 5 of 5 differ, first frame")


@pytest.mark.parametrize("name", ["num_frames", "fps", "height", "width"])
def test_a_video_without_extent_is_refused(name):
    none = type(VIDEO[name])(0)
    with pytest.raises(ValueError, match="positive numbers"):
        make_plan(Views(), ClipSpec(8), **{**VIDEO, name: none})


def test_an_unknown_protocol_suggests_a_near_one():
    with pytest.raises(ValueError, match="Did you mean 'swin-4x3'"):
        protocol("swin-4x4")


@pytest.mark.parametrize("name", ["pyslowfast-30", "scenic-4x3", "tsm-dense10"])
def test_loaded_clips_show_the_frames_of_the_plan(video, name):
    views = protocol(name)
    spec = ClipSpec(4, 3, size=HEIGHT, crop_fraction=1.0)
    plan = make_plan(views, spec, num_frames=40, fps=20.0, height=HEIGHT, width=WIDTH)
    for number in (0, 1, views.num_clips - 1):  # The first crop shows the numbers.
        view = number * views.num_crops
        clip = load_clip(video, spec, view=view, views=views)[0]
        padded = np.pad(clip, ((0, 0), (0, 0), (0, WIDTH), (0, 0)))
        assert tuple(read_stamps(padded)) == plan.frames[number]


def test_mirrored_views_are_mirrored(video):
    views = Views(1, 10, crops="tsm")
    spec = ClipSpec(1, size=HEIGHT // 2)

    plain, mirrored = (load_clip(video, spec, view=v, views=views) for v in (2, 3))

    np.testing.assert_array_equal(plain[:, :, :, ::-1], mirrored)
    assert test_clip(spec, views) == spec


@pytest.mark.parametrize("rule", ["even", "tsm"])
def test_stacks_of_flow_lie_inside_the_video_whatever_the_rule(rule):
    spec = ClipSpec(num_frames=1, sampling="segments")
    flow = spec.with_modality("flow", flow_length=6)
    video = {"num_frames": 7, "fps": 25.0, "height": 256, "width": 340}
    assert make_plan(Views(frames=rule), spec, **video).frames == ((3,),)
    # Six flows begin at the first of seven frames alone.
    assert make_plan(Views(frames=rule), flow, **video).frames == ((0,),)
