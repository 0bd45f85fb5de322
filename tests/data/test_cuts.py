"""Cuts: changes that stand alone, and not those of motion, fades and flashes' noise."""

import tracemalloc

import numpy as np

from vidjax.data.cuts import ChangeMeter, find_cuts
from vidjax.data.windows import cover, windows_at


def _changes(frames):
    meter = ChangeMeter()
    passed = list(meter.watch(iter(frames)))
    assert len(passed) == len(frames) == len(meter.changes)
    return np.array(meter.changes)


def test_a_cut_is_found_at_the_first_frame_of_the_shot():
    rng = np.random.default_rng(0)
    shots = rng.integers(0, 255, (3, 64, 64, 3), np.uint8)
    frames = shots[np.repeat([0, 1, 2], [20, 7, 30])]
    np.testing.assert_array_equal(find_cuts(_changes(frames)), [20, 27])


def test_fades_and_fast_motion_are_no_cuts():
    fade = np.linspace(0, 255, 15)[:, None, None, None] * np.ones((64, 64, 3))
    assert not find_cuts(_changes(fade.astype(np.uint8))).size
    row = np.random.default_rng(0).integers(0, 255, 400, np.uint8)
    panned = np.stack([np.broadcast_to(row[9 * t :][:64], (64, 64)) for t in range(30)])
    assert not find_cuts(_changes(panned[..., None])).size


def test_a_video_of_one_frame_has_no_cut():
    assert not find_cuts(_changes(np.zeros((1, 16, 16, 3), np.uint8))).size


def test_a_stream_takes_the_memory_of_a_window_however_long_it_is():
    count, size = 10_000, 3 * 32 * 32
    frames = (np.full((32, 32, 3), t % 255, np.uint8) for t in range(count))
    starts = cover(count, window=16, stride=12)
    meter = ChangeMeter()
    tracemalloc.start()
    try:
        spans = [(start, start + 16) for start in starts]
        seen = sum(len(w) for w in windows_at(meter.watch(frames), spans))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (seen, len(meter.changes)) == (16 * len(starts), count)
    assert peak < 60 * 16 * size < count * size / 10
