"""Eight devices do what one does, however the state lies on them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

from vidjax.config import ShardingConfig
from vidjax.train import sharding
from vidjax.train.state import make_init
from vidjax.train.step import make_train_step


def _train(model, pixels, clip_shape, batches, *, devices, fsdp, steps=3):
    """Three updates on so many devices; everything small is split as well."""
    mesh = sharding.make_mesh(ShardingConfig(fsdp=fsdp), jax.devices()[:devices])
    optimizer = optax.adamw(1e-2, eps=1e-3)
    init = make_init(model, optimizer, clip_shape=clip_shape)
    like = jax.eval_shape(init, jax.random.key(0))
    layout = sharding.tree_shardings(like, mesh, min_size=1)
    rows, whole = sharding.batch_sharding(mesh), sharding.replicated(mesh)
    state = jax.jit(init, out_shardings=layout)(jax.random.key(0))
    step = jax.jit(
        make_train_step(model, optimizer, prepare=pixels),
        donate_argnums=0,
        in_shardings=(layout, rows, whole),
        out_shardings=(layout, whole),
    )
    losses = []
    for _, batch in zip(range(steps), batches(), strict=False):
        state, metrics = step(state, sharding.put_batch(batch, rows), jax.random.key(1))
        losses.append(float(metrics["loss"]))
    return state, losses


@pytest.fixture
def one_device(net, pixels, clip_shape, batches):
    model = net(dropout_rate=0.3)
    return _train(model, pixels, clip_shape, batches, devices=1, fsdp=1)


@pytest.mark.parametrize("fsdp", [1, 4, 8])
def test_eight_devices_equal_one(net, pixels, clip_shape, batches, one_device, fsdp):
    state, losses = _train(
        net(dropout_rate=0.3), pixels, clip_shape, batches, devices=8, fsdp=fsdp
    )

    expected, expected_losses = one_device
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    for a, b in zip(
        jax.tree.leaves(state.model_state),
        jax.tree.leaves(expected.model_state),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for a, b in zip(
        jax.tree.leaves(state.params), jax.tree.leaves(expected.params), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_fsdp_splits_parameters_and_their_moments(net, pixels, clip_shape, batches):
    state, _ = _train(net(), pixels, clip_shape, batches, devices=8, fsdp=8, steps=1)

    kernels = [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
        if "Conv_0/kernel" in jax.tree_util.keystr(path, simple=True, separator="/")
    ]
    assert len(kernels) == 3  # The parameter and two moments.
    for name, kernel in kernels:
        local = kernel.addressable_shards[0].data
        assert local.size * 8 == kernel.size, name


def test_the_state_lies_at_birth_as_it_does_after_a_step(
    net, pixels, clip_shape, batches
):
    born, _ = _train(net(), pixels, clip_shape, batches, devices=8, fsdp=4, steps=0)
    after, _ = _train(net(), pixels, clip_shape, batches, devices=8, fsdp=4, steps=1)

    assert jax.tree.map(lambda x: x.sharding, born) == jax.tree.map(
        lambda x: x.sharding, after
    )


def test_a_batch_is_split_over_all_devices(make_batch):
    mesh = sharding.make_mesh(ShardingConfig(fsdp=2))

    batch = sharding.put_batch(make_batch(size=16), sharding.batch_sharding(mesh))

    for value in batch.values():
        assert len(value.addressable_shards) == 8
        assert {s.data.shape[0] for s in value.addressable_shards} == {2}


def test_mesh_axes_are_auto():
    # Linen's dropout fails under the Explicit axes that JAX makes by default.
    mesh = sharding.make_mesh(ShardingConfig(fsdp=2))

    assert dict(mesh.shape) == {"data": 4, "fsdp": 2}
    assert set(mesh.axis_types) == {AxisType.Auto}


def test_the_longest_axis_that_can_be_split_is():
    mesh = sharding.make_mesh(ShardingConfig(fsdp=4))
    tree = {
        "a": jax.ShapeDtypeStruct((3, 8, 16), jnp.float32),
        "b": jax.ShapeDtypeStruct((12, 30), jnp.float32),
        "odd": jax.ShapeDtypeStruct((5, 7), jnp.float32),
        "small": jax.ShapeDtypeStruct((4,), jnp.float32),
        "scalar": jax.ShapeDtypeStruct((), jnp.float32),
    }

    specs = {
        name: s.spec
        for name, s in sharding.tree_shardings(tree, mesh, min_size=8).items()
    }

    assert specs == {
        "a": PartitionSpec(None, None, "fsdp"),
        "b": PartitionSpec("fsdp"),
        "odd": PartitionSpec(),
        "small": PartitionSpec(),
        "scalar": PartitionSpec(),
    }


def test_the_first_rule_that_matches_holds():
    mesh = sharding.make_mesh(ShardingConfig(fsdp=8))
    tree = {"x": {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)}}
    rules = ((".*/bias", "replicate"), (".*", "fsdp"))

    found = sharding.tree_shardings(tree, mesh, min_size=1, rules=rules)

    assert found["x"]["bias"].spec == PartitionSpec()
    assert found["x"]["kernel"].spec == PartitionSpec("fsdp")


def test_paths_without_a_rule_raise_all_at_once():
    mesh = sharding.make_mesh(ShardingConfig())
    tree = {"x": jnp.zeros(8), "y": jnp.zeros(8), "z": jnp.zeros(8)}

    with pytest.raises(ValueError, match="No sharding rule matches x, z"):
        sharding.tree_shardings(tree, mesh, min_size=1, rules=(("y", "fsdp"),))


@pytest.mark.parametrize("fsdp", [0, 3, 16])
def test_a_mesh_that_does_not_fit_raises(fsdp):
    with pytest.raises(ValueError, match=f"fsdp={fsdp} and 8 devices"):
        sharding.make_mesh(ShardingConfig(fsdp=fsdp))


@pytest.mark.parametrize(("size", "near"), [(0, 8), (3, 8), (12, 16), (33, 32)])
def test_a_batch_that_does_not_fit_raises_and_says_which_does(size, near):
    mesh = sharding.make_mesh(ShardingConfig())

    with pytest.raises(ValueError, match=rf"got {size} and 8 devices.* fits is {near}"):
        sharding.check_batch_size(size, mesh)


def test_what_is_traced_under_a_mesh_knows_its_axes():
    mesh, seen = sharding.make_mesh(ShardingConfig(fsdp=2)), []

    @jax.jit
    def double(x):
        seen.append(jax.sharding.get_abstract_mesh().shape)
        return 2 * x

    assert float(sharding.under_mesh(mesh, double)(jnp.float32(3))) == 6
    assert dict(seen[0]) == {"data": 4, "fsdp": 2}
    assert jax.sharding.get_abstract_mesh().empty
