"""A batch in parts, one after another, does what the whole batch does."""

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn

from vidjax.config import MixingConfig, ShardingConfig
from vidjax.train import sharding
from vidjax.train.state import make_init
from vidjax.train.step import make_train_step

KEY = jax.random.key(3)


class _Plain(nn.Module):
    """A network in which no clip meets another."""

    @nn.compact
    def __call__(self, clip, *, train=False):
        x = nn.relu(nn.Conv(8, (3, 3))(clip))
        pooled = x.mean(axis=(1, 2, 3))
        return nn.Dense(4, name="logits")(pooled), {"features": x, "pooled": pooled}


def _update(model, pixels, clip_shape, batch, **arguments):
    optimizer = optax.sgd(0.5, momentum=0.9)
    state = make_init(model, optimizer, clip_shape=clip_shape)(jax.random.key(0))
    step = make_train_step(model, optimizer, prepare=pixels, **arguments)
    return jax.jit(step)(state, batch, KEY)


def _assert_close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "mixing", [MixingConfig(), MixingConfig(mixup_alpha=0.8, cutmix_alpha=1.0)]
)
def test_parts_give_the_update_of_the_whole_batch(
    pixels, clip_shape, make_batch, mixing
):
    batch = {**make_batch(size=12), "mask": np.arange(12) % 5 > 0}  # Parts differ.

    whole, expected = _update(_Plain(), pixels, clip_shape, batch, mixing=mixing)
    parts, metrics = _update(
        _Plain(), pixels, clip_shape, batch, mixing=mixing, accumulate=3
    )

    _assert_close(parts, whole)
    _assert_close(metrics, expected)
    assert metrics.keys() == expected.keys()


def test_batch_norm_sees_one_part_at_a_time(net, pixels, clip_shape, make_batch):
    batch = make_batch(size=8)
    rows = {name: value[1::2] for name, value in batch.items()}

    parts, _ = _update(net(), pixels, clip_shape, batch, accumulate=2)
    first, _ = _update(
        net(),
        pixels,
        clip_shape,
        {name: value[::2] for name, value in batch.items()},
    )

    model, optimizer = net(), optax.set_to_zero()
    state = make_init(model, optimizer, clip_shape=clip_shape)(jax.random.key(0))
    step = jax.jit(make_train_step(model, optimizer, prepare=pixels))
    second, _ = step(state.replace(model_state=first.model_state), rows, KEY)
    _assert_close(parts.model_state, second.model_state)


def test_dropout_draws_for_each_part(net, pixels, clip_shape, make_batch):
    half = make_batch(size=8)
    # Neighbours go to different parts: both parts hold the same clips.
    batch = {name: np.repeat(value, 2, axis=0) for name, value in half.items()}

    def rise(rate, *, parts):
        model = net(dropout_rate=rate)
        new, _ = _update(model, pixels, clip_shape, batch, accumulate=parts)
        return np.asarray(new.params["logits"]["kernel"])

    _assert_close(rise(0.0, parts=2), rise(0.0, parts=1))
    twice = _update(net(dropout_rate=0.5), pixels, clip_shape, half)[0]
    assert np.abs(rise(0.5, parts=2) - twice.params["logits"]["kernel"]).max() > 1e-4


def test_rows_stay_on_their_devices(pixels, clip_shape, make_batch):
    mesh = sharding.make_mesh(ShardingConfig())
    rows, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    model, optimizer = _Plain(), optax.sgd(0.5)
    state = make_init(model, optimizer, clip_shape=clip_shape)(jax.random.key(0))
    batch = make_batch(size=32)
    step = make_train_step(model, optimizer, prepare=pixels, accumulate=4)

    compiled = (
        jax.jit(step, in_shardings=(whole, rows, whole))
        .lower(state, sharding.put_batch(batch, rows), KEY)
        .compile()
    )

    text = str(compiled.as_text())
    assert "all-reduce" in text
    assert "all-gather" not in text
    assert "all-to-all" not in text
    assert "collective-permute" not in text
    eight, _ = compiled(
        jax.device_put(state, whole),
        sharding.put_batch(batch, rows),
        jax.device_put(KEY, whole),
    )
    one, _ = jax.jit(step)(state, batch, KEY)
    _assert_close(eight, one)


def test_what_cannot_be_cut_into_parts_is_an_error(net, pixels, clip_shape, make_batch):
    with pytest.raises(ValueError, match="must be positive, got 0"):
        make_train_step(net(), optax.sgd(0.1), prepare=pixels, accumulate=0)
    with pytest.raises(ValueError, match="accumulate=3 does not divide a batch of 16"):
        _update(net(), pixels, clip_shape, make_batch(size=16), accumulate=3)
    optimizer = optax.sgd(0.1)
    init = make_init(net(), optimizer, clip_shape=clip_shape, running={"seen": 1.0})
    step = make_train_step(net(), optimizer, prepare=pixels, accumulate=2)
    with pytest.raises(ValueError, match=r"keep \['seen'\]"):
        step(init(KEY), make_batch(size=16), KEY)
