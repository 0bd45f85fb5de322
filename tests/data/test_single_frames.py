"""Single frames of synthetic_motion do not tell the class: probes stay at chance."""

import numpy as np
import pytest

from vidjax.data.synthetic import CLASSES, draw_clip

TRAIN, TEST, FRAMES, SIZE = 1600, 800, 8, 16
CHANCE = 1 / len(CLASSES)
# Four standard deviations of a guess; there are 25 probes.
NOISE = 4 * np.sqrt(CHANCE * (1 - CHANCE) / TEST)


@pytest.fixture(scope="module")
def clips():
    """Clips, uint8 [N, T, H, W, 3], and their labels, [N]."""
    labels = np.arange(TRAIN + TEST) % len(CLASSES)
    drawn = [
        draw_clip(int(label), num_frames=FRAMES, size=SIZE, seed=(7, i))
        for i, label in enumerate(labels)
    ]
    return np.stack(drawn), labels


def _pixels(frames):
    """Mean colours of a grid of 4 x 4 fields, [N, 48]."""
    fields = frames.reshape(len(frames), 4, SIZE // 4, 4, SIZE // 4, 3)
    return fields.mean(axis=(2, 4)).reshape(len(frames), -1) / 255


def _shapes(frames):
    """What bright pixels tell of size, place and direction, and edges, [N, 30]."""
    grey = frames.max(axis=-1) / 255.0
    bright = (grey > 0.75).astype(float)
    area = bright.mean(axis=(1, 2))
    wave = np.exp(2j * np.pi * np.outer(np.arange(1, 4), np.arange(SIZE)) / SIZE)
    columns, rows = bright.sum(axis=1) @ wave.T, bright.sum(axis=2) @ wave.T
    edges_x = np.abs(grey - np.roll(grey, 1, axis=2)).mean(axis=(1, 2))
    edges_y = np.abs(grey - np.roll(grey, 1, axis=1)).mean(axis=(1, 2))
    colours = frames.reshape(len(frames), -1, 3)
    return np.column_stack(
        [
            *(area, area**2, area**0.5, edges_x, edges_y, edges_x * edges_y),
            *(columns.real, columns.imag, np.abs(columns)),
            *(rows.real, rows.imag, np.abs(rows)),
            *(colours.mean(axis=1) / 255, colours.std(axis=1) / 255),
        ]
    )


def _probe(features, labels):
    """Fits a ridge classifier to the first clips; its accuracy on the rest."""
    features = (features - features[:TRAIN].mean(0)) / (features[:TRAIN].std(0) + 1e-9)
    features = np.column_stack([features, np.ones(len(features))])
    x, y = features[:TRAIN], np.eye(len(CLASSES))[labels[:TRAIN]]
    weights = np.linalg.solve(x.T @ x + 1.0 * np.eye(x.shape[1]), x.T @ y)
    return np.mean((features[TRAIN:] @ weights).argmax(axis=1) == labels[TRAIN:])


@pytest.mark.parametrize("features", [_pixels, _shapes])
@pytest.mark.parametrize("frame", range(FRAMES))
def test_a_probe_on_single_frames_is_at_chance(clips, frame, features):
    pixels, labels = clips

    assert _probe(features(pixels[:, frame]), labels) < CHANCE + NOISE


@pytest.mark.parametrize("features", [_pixels, _shapes])
def test_a_probe_on_the_mean_over_frames_is_at_chance(clips, features):
    pixels, labels = clips

    mean = np.mean([features(pixels[:, t]) for t in range(FRAMES)], axis=0)
    assert _probe(mean, labels) < CHANCE + NOISE


def test_a_probe_on_changes_between_frames_is_far_above_chance(clips):
    """The same clips do tell their class to what compares frames."""
    pixels, labels = clips
    first, last = (_waves(pixels[:, t]) for t in (2, 3))

    turn = first.conj() * last  # How far the bright part moved, as an angle.
    features = np.column_stack([turn.real, turn.imag, np.abs(last) - np.abs(first)])
    assert _probe(features, labels) > CHANCE + 4 * NOISE


def _waves(frames):
    bright = (frames.max(axis=-1) > 190).astype(float)
    wave = np.exp(2j * np.pi * np.arange(SIZE) / SIZE)
    total = bright.sum(axis=(1, 2)) + 1
    return np.column_stack(
        [bright.sum(axis=1) @ wave / total, bright.sum(axis=2) @ wave / total]
    )


def test_a_colour_that_tells_the_class_is_found(clips):
    """The planted bug: a tint of one grey level in 25 by class."""
    pixels, labels = clips

    tinted = pixels.astype(float) + labels[:, None, None, None, None] * 10.0
    assert _probe(_shapes(tinted[:, 0]), labels) > CHANCE + 2 * NOISE
