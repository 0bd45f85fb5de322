"""Flow as channels: which frames, which flows, in which order, as which bytes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.data.synthetic import draw_clip
from vidjax.flow.farneback import farneback
from vidjax.flow.grey import rgb_to_grey
from vidjax.flow.scenes import draw_texture, texture_at
from vidjax.flow.stack import see_motion
from vidjax.tasks.experiment import make_prepare
from vidjax.typing import ClipSpec

RGB = ClipSpec(num_frames=2, size=48)
STEPS_PX = ((2.0, 0.0), (0.0, -1.5), (-1.0, 1.0))


def _spec(modality="flow", length=3, stack="forward"):
    spec = RGB.with_modality(modality, flow_length=length)
    return dataclasses.replace(spec, flow_stack=stack, flow_method="farneback")


@pytest.fixture(scope="module")
def window():
    """Four frames of a texture that moves by `STEPS_PX` from one to the next."""
    texture = draw_texture(jax.random.key(0), channels=3)
    y, x = jnp.mgrid[:48, :48].astype(jnp.float32)
    place, frames = jnp.zeros(2), []
    for step in (*STEPS_PX, (0.0, 0.0)):
        points = jnp.stack([x, y], axis=-1) - place.reshape(1, 1, 2)
        frames.append(texture_at(texture, points))
        place = place + jnp.array(step)
    return jnp.round(jnp.stack(frames)).astype(jnp.uint8)  # [4, 48, 48, 3].


def _middle_px(codes):
    """The median displacement of each channel, in pixels."""
    pixels = np.asarray(codes, np.float32)[..., 12:-12, 12:-12, :]
    return np.median(pixels, axis=(-3, -2)) * 40 / 255 - 20


def test_a_window_of_frames_becomes_interleaved_flows_in_order(window):
    other = window[::-1]
    frames = jnp.concatenate([window, other])[None]

    clip = see_motion(frames, _spec())

    assert clip.shape == (1, 2, 48, 48, 6)
    assert clip.dtype == jnp.uint8
    forth = np.ravel(STEPS_PX)
    np.testing.assert_allclose(_middle_px(clip[0, 0]), forth, atol=0.3)
    back = -np.ravel(STEPS_PX[::-1])
    np.testing.assert_allclose(_middle_px(clip[0, 1]), back, atol=0.3)


@pytest.mark.parametrize(("stack", "place"), [("forward", 0), ("centred", 1)])
def test_colours_are_those_of_the_frame_that_the_window_is_around(window, stack, place):
    spec = _spec("rgb+flow", stack=stack)
    assert spec.window[place] == 0
    clip = see_motion(jnp.concatenate([window, window])[None], spec)
    assert clip.shape == (1, 2, 48, 48, 9)
    np.testing.assert_array_equal(clip[0, 1, ..., :3], window[place])
    np.testing.assert_array_equal(
        clip[..., 3:], see_motion(jnp.concatenate([window, window])[None], _spec())
    )


def test_n_flows_need_n_plus_one_frames():
    assert list(_spec(length=5).window) == [0, 1, 2, 3, 4, 5]
    assert list(_spec(length=10, stack="centred").window) == list(range(-5, 6))
    assert _spec(length=5).pixels_shape == (12, 48, 48, 3)
    assert RGB.pixels_shape == RGB.shape


def test_a_mirrored_clip_has_mirrored_flow(window):
    spec = _spec()
    frames = jnp.concatenate([window, window])[None]
    plain = _middle_px(see_motion(frames, spec)[0, 0])
    mirrored = _middle_px(see_motion(frames[:, :, :, ::-1], spec)[0, 0])
    np.testing.assert_allclose(mirrored[0::2], -plain[0::2], atol=0.3)
    np.testing.assert_allclose(mirrored[1::2], plain[1::2], atol=0.3)


def test_models_see_flow_between_minus_one_and_one(window):
    spec = _spec("rgb+flow")
    frames = jnp.concatenate([window, window])[None]
    seen = make_prepare(spec, "float32")(frames)
    grey = rgb_to_grey(window)
    flow = farneback(grey[:1], grey[1:2])[0]
    # In steps of 40 / 255 pixels.
    np.testing.assert_allclose(
        seen[0, 0, ..., 3:5], flow / 20, atol=0.5 * 2 / 255 + 1e-5
    )
    colours = make_prepare(RGB, "float32")(frames[:, :1])
    np.testing.assert_allclose(seen[0, :1, ..., :3], colours[0], atol=1e-6)


def test_frames_that_make_no_windows_are_refused():
    clip = jnp.asarray(draw_clip(0, num_frames=6, size=48, seed=0))[None]
    with pytest.raises(ValueError, match=r"windows of 4 frames.*got 6"):
        see_motion(clip, _spec())
    with pytest.raises(ValueError, match="'rgb'"):
        see_motion(clip, RGB)
