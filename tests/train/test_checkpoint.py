"""What is saved comes back bit for bit, on the devices where it is wanted."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidjax.config import ShardingConfig
from vidjax.train.checkpoint import Checkpoints, abstract
from vidjax.train.sharding import make_mesh, replicated, tree_shardings
from vidjax.train.state import make_init


def _state(net, clip_shape, *, fsdp=1, devices=8):
    mesh = make_mesh(ShardingConfig(fsdp=fsdp), jax.devices()[:devices])
    init = make_init(net(), optax.adamw(0.1), clip_shape=clip_shape)
    like = jax.eval_shape(init, jax.random.key(0))
    layout = tree_shardings(like, mesh, min_size=1)
    state = jax.jit(init, out_shardings=layout)(jax.random.key(0))
    return state, abstract(like, layout)


def _assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("fsdp", "devices"), [(8, 8), (1, 8), (1, 1), (2, 4)])
def test_a_state_comes_back_on_other_devices_bit_for_bit(
    net, clip_shape, tmp_path, fsdp, devices
):
    state, _ = _state(net, clip_shape, fsdp=4)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state)

    _, like = _state(net, clip_shape, fsdp=fsdp, devices=devices)
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(like)

    _assert_equal(restored, state)
    assert type(restored) is type(state)
    assert jax.tree.map(lambda x: x.sharding, restored) == jax.tree.map(
        lambda x: x.sharding, like
    )


def test_a_state_that_is_donated_right_after_is_saved_as_it_was(
    net, clip_shape, tmp_path
):
    state, like = _state(net, clip_shape)
    expected = jax.tree.map(np.array, state)
    spoil = jax.jit(lambda s: jax.tree.map(lambda x: x * 0 - 1, s), donate_argnums=0)

    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        jax.block_until_ready(spoil(state))
        checkpoints.wait()
        _assert_equal(checkpoints.restore(like), expected)


def test_the_last_two_states_and_the_best_variables_are_kept(net, clip_shape, tmp_path):
    state, like = _state(net, clip_shape)
    with Checkpoints(tmp_path) as checkpoints:
        for step in (10, 20, 30, 40):
            if step in (10, 20):
                best = jax.tree.map(lambda p, by=step: p + by, state.variables)
                checkpoints.save_best(step, best, {"top1": step / 100})
            checkpoints.save(step, state)

    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.latest_step == 40
        assert checkpoints.best_step == 20
        assert checkpoints.read_best_metrics() == {"top1": 0.2}
        best = checkpoints.read_best(like.variables)
        assert checkpoints.latest_path == tmp_path / "checkpoints" / "40"
    _assert_equal(best["params"], jax.tree.map(lambda p: p + 20, state.params))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["30", "40"]
    assert [p.name for p in (tmp_path / "best").iterdir()] == ["20"]


def test_a_step_that_is_saved_already_is_left_alone(net, clip_shape, tmp_path):
    state, like = _state(net, clip_shape)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state)
        checkpoints.save(5, state.replace(step=jnp.int32(99)))

        checkpoints.wait()
        assert int(checkpoints.restore(like).step) == 0


def test_a_best_of_a_step_to_come_is_replaced(net, clip_shape, tmp_path):
    state, _ = _state(net, clip_shape)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_best(50, state.variables, {"top1": 0.5})
        checkpoints.save_best(40, state.variables, {"top1": 0.6})
        checkpoints.wait()
        assert checkpoints.best_step == 40
        checkpoints.save_best(40, state.variables, {"top1": 0.7})

    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.read_best_metrics() == {"top1": 0.7}


def test_what_a_killed_process_left_is_not_taken_for_a_checkpoint(
    net, clip_shape, tmp_path
):
    state, like = _state(net, clip_shape)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    half = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "manifest.ocdbt").write_bytes(b"")

    with Checkpoints(tmp_path, read_only=True) as reader:
        assert reader.latest_step == 1
        assert half.exists()  # It may be that of a process at work.
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step == 1
        _assert_equal(checkpoints.restore(like), state)
        checkpoints.save(3, state)  # Deleting goes on in the background until then.
        assert not half.exists()


def test_reading_where_nothing_is_raises(net, clip_shape, tmp_path):
    _, like = _state(net, clip_shape)
    with Checkpoints(tmp_path / "none", read_only=True) as checkpoints:
        assert checkpoints.latest_path is None
        assert checkpoints.read_best_metrics() is None
        with pytest.raises(ValueError, match=r"No checkpoint in .*checkpoints"):
            checkpoints.restore(like)
        with pytest.raises(ValueError, match=r"No checkpoint in .*best"):
            checkpoints.read_best(like.variables)


def test_abstract_takes_one_layout_for_all():
    whole = replicated(make_mesh(ShardingConfig()))

    found = abstract({"a": jnp.zeros((2, 3), jnp.int32)}, whole)

    assert found["a"].shape == (2, 3)
    assert found["a"].dtype == jnp.int32
    assert found["a"].sharding == whole
