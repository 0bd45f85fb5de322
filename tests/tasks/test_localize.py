"""Actions in a video, found by a model that only labels clips."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.tasks.localize import Scan, localize_by, plot_segments
from vidjax.tasks.predict import Recognizer
from vidjax.typing import ClipSpec, Views


class Brightness(nn.Module):
    """Tells bright clips from dark ones, and is undecided between."""

    @nn.compact
    def __call__(self, clip, *, train=False):
        mean = jnp.mean(clip, axis=(1, 2, 3, 4))
        sure = 40 * jnp.stack([mean - 0.75, 0.25 - mean], axis=-1)
        logits = jnp.pad(jnp.maximum(sure, 0.0), ((0, 0), (0, 8)))
        return logits, {"pooled": mean[:, None], "features": mean[:, None, None]}


SPEC = ClipSpec(8, 1, size=32, fps=25.0, mean=(0.0,) * 3, std=(1.0,) * 3)
NAMES = ("bright", "dark", *(f"nothing {i}" for i in range(8)))
RECOGNIZER = Recognizer(Brightness(), {}, SPEC, Views(), NAMES)


@pytest.fixture(scope="module")
def video(tmp_path_factory, save_video):
    """Grey, 2 s of white, grey, 3 s of black, grey: 10 s."""
    levels = np.full(250, 128)
    levels[50:100] = 250
    levels[150:225] = 4
    frames = np.broadcast_to(levels[:, None, None, None], (250, 40, 48, 3))
    folder = tmp_path_factory.mktemp("video")
    return save_video(folder / "levels.mp4", frames.astype(np.uint8))


def test_each_action_is_found_with_its_label_and_times(video):
    counted = []
    found = localize_by(
        RECOGNIZER, video, progress=lambda *count: counted.append(count)
    )
    times = {s.label: (s.start_sec, s.end_sec) for s in found}
    assert set(times) == {"bright", "dark"}
    assert times["bright"] == pytest.approx((2.0, 4.0), abs=0.2)
    assert times["dark"] == pytest.approx((6.0, 9.0), abs=0.2)
    assert all(0.5 < segment.score <= 1 for segment in found)
    done, total = zip(*counted, strict=True)
    assert done[-1] == total[-1] == (250 - 4) // 2 + 1 + (250 - 8) // 2 + 1


def test_steps_may_be_further_apart(video):
    found = localize_by(RECOGNIZER, video, scan=Scan(scales=(1.0,), stride=10))
    times = {s.label: (s.start_sec, s.end_sec) for s in found}
    assert times["dark"] == pytest.approx((6.0, 9.0), abs=0.5)


def test_a_timeline_is_drawn(video, tmp_path):
    plot_segments(video, localize_by(RECOGNIZER, video), tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
