"""Mixup and CutMix: what a mixed clip is made of, and what its label is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.config import MixingConfig
from vidjax.train.mixing import box_outside, is_mixing, mix
from vidjax.train.state import make_init
from vidjax.train.step import classification, make_train_step

MIXUP = MixingConfig(mixup_alpha=0.8)
CUTMIX = MixingConfig(cutmix_alpha=1.0)
BOTH = MixingConfig(mixup_alpha=0.8, cutmix_alpha=1.0)
KEY = jax.random.key(0)
ALL = jnp.ones(4, bool)


def _flat(values, shape=(2, 6, 8, 3)):
    """Clips of one value each: what a mixed value is made of can be read off it."""
    return jnp.broadcast_to(jnp.asarray(values).reshape(-1, 1, 1, 1, 1), (4, *shape))


@pytest.fixture(scope="module")
def keys_mixed():
    """Clips 0, 1, 10 and 100, mixed by 64 keys in each way."""
    clip = _flat([0.0, 1.0, 10.0, 100.0])
    keys = jax.random.split(KEY, 64)
    return {
        name: jax.jit(jax.vmap(lambda key, config=config: mix(key, clip, ALL, config)))(
            keys
        )
        for name, config in (("mixup", MIXUP), ("cutmix", CUTMIX), ("both", BOTH))
    }


def test_mixup_adds_the_reversed_batch_by_one_share(keys_mixed):
    mixed = keys_mixed["mixup"]

    np.testing.assert_array_equal(mixed.partner[0], [3, 2, 1, 0])
    assert np.ptp(mixed.share, axis=1).max() == 0  # One share a batch.
    share = mixed.share[:, 0]
    for i, (own, other) in enumerate([(0, 100), (1, 10), (10, 1), (100, 0)]):
        expected = share * own + (1 - share) * other
        got = mixed.clip[:, i].reshape(64, -1)
        np.testing.assert_allclose(got, np.repeat(expected[:, None], 288, 1), rtol=1e-4)


def test_shares_of_mixup_are_those_of_a_beta_distribution(keys_mixed):
    share = keys_mixed["mixup"].share[:, 0]

    # Variance of Beta(a, a): 1 / (4 (2 a + 1)); of 64 draws within 30 %.
    assert abs(share.mean() - 0.5) < 0.12
    assert share.var() == pytest.approx(1 / (4 * 2.6), rel=0.3)


def test_cutmix_pastes_one_box_into_all_frames_and_counts_its_pixels(keys_mixed):
    mixed = keys_mixed["cutmix"]
    clip = np.asarray(mixed.clip[:, 0])  # Zeros, and hundreds inside the box.

    assert set(np.unique(clip)) == {0.0, 100.0}
    inside = clip[..., 0] == 100
    np.testing.assert_array_equal(inside[:, 0], inside[:, 1])
    np.testing.assert_allclose(mixed.share[:, 0], 1 - inside[:, 0].mean((1, 2)))
    for box in inside[:, 0]:
        rows, columns = box.any(1), box.any(0)
        np.testing.assert_array_equal(box, rows[:, None] & columns[None])
        for line in (rows, columns):  # Without gaps.
            assert np.abs(np.diff(line.astype(int))).sum() <= 2


def test_a_box_that_is_not_cut_off_has_the_wanted_area():
    areas = [
        1 - float(box_outside(key, (64, 64), jnp.array(0.75)).mean())
        for key in jax.random.split(KEY, 8)
    ]

    assert max(areas) == 0.25
    assert min(areas) > 0


def test_with_both_each_batch_is_mixed_in_one_way(keys_mixed):
    both = np.asarray(keys_mixed["both"].clip[:, 0, 0, :, :, 0]).reshape(64, -1)
    cut = np.array([set(np.unique(clip)) <= {0.0, 100.0} for clip in both])

    assert 16 < cut.sum() < 48
    assert np.ptp(both[~cut], axis=1).max() == 0


def test_a_row_without_a_clip_is_given_to_no_other():
    clip = _flat([0.0, 1.0, 10.0, jnp.nan])
    mask = jnp.array([True, True, True, False])

    for config in (MIXUP, CUTMIX):
        mixed = mix(KEY, jnp.nan_to_num(clip, nan=7.0), mask, config)
        np.testing.assert_array_equal(mixed.clip[0], clip[0])
        assert mixed.share[0] == 1
        assert mixed.share[1] < 1


def test_the_rate_is_the_share_of_mixed_batches():
    clip = _flat([0.0, 1.0, 10.0, 100.0])
    shares = jax.vmap(
        lambda key: mix(key, clip, ALL, MixingConfig(mixup_alpha=0.8, rate=0.25)).share
    )(jax.random.split(KEY, 64))

    assert 4 < np.sum(shares[:, 0] < 1) < 30
    assert not is_mixing(MixingConfig(mixup_alpha=0.8, rate=0.0))
    unmixed = mix(KEY, clip, ALL, MixingConfig())
    np.testing.assert_array_equal(unmixed.clip, clip)
    assert unmixed.share.min() == 1


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"mixup_alpha": -1.0, "rate": 2.0}, "mixup_alpha is not .*; rate is in"),
        ({"cutmix_alpha": -1.0}, "cutmix_alpha is not negative"),
        ({"cutmix_rate": -0.5}, "cutmix_rate is in"),
    ],
)
def test_alphas_and_rates_out_of_range_are_an_error(fields, rules, net, pixels):
    config = MixingConfig(**fields)
    with pytest.raises(ValueError, match=rules):
        make_train_step(net(), optax.sgd(0.1), prepare=pixels, mixing=config)
    with pytest.raises(ValueError, match=rules):
        mix(KEY, _flat([0.0, 0.0, 0.0, 0.0]), ALL, config)


def test_the_loss_of_a_mixed_clip_is_that_of_the_mixed_label():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(4, 5)), jnp.float32)
    label, share = jnp.array([0, 1, 2, 3]), jnp.array([0.3, 1.0, 0.5, 0.0])
    batch = {"label": label, "other": label[::-1], "share": share}

    loss, told = classification(0.1)((logits, {}), batch)

    one, other = (
        optax.smooth_labels(jax.nn.one_hot(labels, 5), 0.1)
        for labels in (label, label[::-1])
    )
    target = share[:, None] * one + (1 - share[:, None]) * other
    expected = optax.softmax_cross_entropy(logits, target)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    best = np.argmax(logits, axis=1)
    right = share * (best == label) + (1 - share) * (best == label[::-1])
    np.testing.assert_allclose(told["top1"], right)


def test_a_step_mixes_by_its_key_and_its_number(net, pixels, clip_shape, make_batch):
    model, optimizer = net(), optax.sgd(0.1)
    state = make_init(model, optimizer, clip_shape=clip_shape)(KEY)
    step = jax.jit(make_train_step(model, optimizer, prepare=pixels, mixing=BOTH))
    batch = make_batch()

    def loss(number):
        at = state.replace(step=jnp.asarray(number, jnp.int32))
        return float(step(at, batch, KEY)[1]["loss"])

    assert loss(3) == loss(3)
    assert len({loss(number) for number in range(4)}) == 4
