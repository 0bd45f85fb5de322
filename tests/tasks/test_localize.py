"""Actions in a video, found by a model that only labels clips."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.tasks.localize_scan import Scan, localize_by, score_video
from vidjax.tasks.predict import Recognizer
from vidjax.typing import ClipSpec, Views


class Brightness(nn.Module):
    """Tells bright clips from dark ones, and is undecided between.

    With `steps` it scores pairs of so many parts of a clip, as I3D does.
    """

    steps: int = 0

    @nn.compact
    def __call__(self, clip, *, train=False):
        parts = jnp.stack(jnp.split(clip, self.steps or 1, axis=1), axis=1)
        mean = jnp.mean(parts, axis=(2, 3, 4, 5))
        if self.steps:
            mean = (mean[:, 1:] + mean[:, :-1]) / 2
        sure = 40 * jnp.stack([mean - 0.75, 0.25 - mean], axis=-1)
        scores = jnp.pad(jnp.maximum(sure, 0.0), ((0, 0), (0, 0), (0, 8)))
        endpoints = {"features": parts[..., 0], "logits_per_step": scores}
        return jnp.mean(scores, axis=1), endpoints


SPEC = ClipSpec(8, 1, size=32, fps=25.0, mean=(0.0,) * 3, std=(1.0,) * 3)
NAMES = ("bright", "dark", *(f"nothing {i}" for i in range(8)))
RECOGNIZER = Recognizer(Brightness(), {}, SPEC, Views(), NAMES)
STEPPING = dataclasses.replace(
    RECOGNIZER,
    model=Brightness(steps=4),
    spec=dataclasses.replace(SPEC, num_frames=16),
)


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """Grey, 2 s of white, grey, 3 s of black, grey, 0.4 s of white: 10 s."""
    levels = np.full(250, 128)
    levels[50:100] = 250
    levels[150:225] = 4
    levels[240:] = 250
    return _save(save_video, tmp_path_factory.mktemp("video") / "levels.mp4", levels)


@pytest.fixture(scope="module")
def fading(tmp_path_factory, save_video):
    """The same, but it takes half a second to become light or dark: there is no cut."""
    corners = [0, 45, 55, 95, 105, 145, 155, 220, 230, 250]
    levels = np.interp(
        np.arange(250), corners, [128, 128, 250, 250, 128, 128, 4, 4, 128, 128]
    )
    return _save(save_video, tmp_path_factory.mktemp("video") / "fading.mp4", levels)


def _save(save_video, path, levels):
    frames = np.broadcast_to(levels[:, None, None, None], (250, 40, 48, 3))
    return save_video(path, frames.astype(np.uint8))


def _times(segments):
    return {s.label: (s.start_sec, s.end_sec) for s in segments if s.start_sec < 9.5}


@pytest.mark.parametrize("recognizer", [RECOGNIZER, STEPPING])
def test_each_action_is_found_with_its_label_and_starts_and_ends_at_cuts(
    video, recognizer
):
    counted = []
    found = localize_by(
        recognizer, video, progress=lambda *count: counted.append(count)
    )
    assert _times(found) == {"bright": (2.0, 4.0), "dark": (6.0, 9.0)}
    assert all(0.3 < segment.score <= 1 for segment in found)
    windows = 122 if recognizer is RECOGNIZER else 21  # 2 and 12 frames apart.
    assert counted[-1] == (windows, windows)


@pytest.mark.parametrize("recognizer", [RECOGNIZER, STEPPING])
def test_without_cuts_edges_lie_where_the_model_changes_its_mind(fading, recognizer):
    times = _times(localize_by(recognizer, fading))
    assert times["bright"] == pytest.approx((2.08, 3.92), abs=0.2)
    assert times["dark"] == pytest.approx((6.08, 8.92), abs=0.2)


def test_the_last_frames_are_seen(video):
    """They are fewer than the stride, and would fall behind the last whole window."""
    found = localize_by(STEPPING, video, scan=Scan(stride=16))
    last = max(found, key=lambda segment: segment.end_sec)
    assert last.label == "bright"
    assert (last.start_sec, last.end_sec) == pytest.approx((9.6, 10.0))


def test_scores_stand_where_positions_are(video):
    track = score_video(STEPPING, video)
    frames = (np.arange(len(track.probabilities)) + 0.5) * track.step_sec * 25
    bright = track.probabilities[:, 0]
    assert (bright[(frames > 56) & (frames < 94)] > 0.99).all()
    assert (bright[(frames > 106) & (frames < 230)] < 0.11).all()
    np.testing.assert_allclose(
        track.cuts * track.step_sec * 25, [50, 100, 150, 225, 240]
    )


@pytest.mark.parametrize("scales", [(2.0,), (0.5, 1.0), (1.0, 3.0)])
def test_windows_may_have_several_lengths_and_be_further_apart(fading, scales):
    times = _times(localize_by(RECOGNIZER, fading, scan=Scan(scales, stride=4)))
    assert times["dark"] == pytest.approx((6.08, 8.92), abs=0.3)


def test_batches_change_nothing(video):
    one, five = (
        score_video(STEPPING, video, scan=Scan(batch=batch)).probabilities
        for batch in (1, 5)
    )
    np.testing.assert_allclose(one, five, atol=1e-6)


def test_a_video_shorter_than_a_clip_is_scored(tmp_path, save_video):
    frames = np.full((3, 40, 48, 3), 250, np.uint8)
    (found,) = localize_by(RECOGNIZER, save_video(tmp_path / "short.mp4", frames))
    assert found.label == "bright"
    assert (found.start_sec, found.end_sec) == (0.0, 0.12)


@pytest.mark.parametrize("count", [15, 39, 41])
def test_a_last_step_that_is_cut_short_has_scores(tmp_path, save_video, count):
    frames = np.full((count, 40, 48, 3), 250, np.uint8)
    path = save_video(tmp_path / "odd.mp4", frames)
    scores = score_video(STEPPING, path).probabilities
    np.testing.assert_allclose(scores[:, 0], 1.0, atol=0.01)
    (found,) = localize_by(STEPPING, path)
    assert found.end_sec == pytest.approx(count / 25, abs=1e-3)


def test_what_cannot_be_scanned_is_said_at_once(video):
    flow = dataclasses.replace(RECOGNIZER, spec=SPEC.with_modality("flow"))
    for recognizer, scan, told in (
        (flow, Scan(), "one that sees flow"),
        (RECOGNIZER, Scan(scales=()), "scales must be above 0"),
        (RECOGNIZER, Scan(stride=0), "stride must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=told):
            localize_by(recognizer, video, scan=scan)
