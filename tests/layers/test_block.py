import jax
import jax.numpy as jnp
import numpy as np

from vidjax.layers.block import Block


def _block(**arguments):
    block = Block(heads=2, hidden=16, train=False, **arguments)
    x = jax.random.normal(jax.random.key(0), (2, 3, 4, 8))
    return block, block.init(jax.random.key(1), x), x


def test_groups_do_not_see_each_other_and_tokens_of_a_group_do():
    block, variables, x = _block()
    before = np.asarray(block.apply(variables, x))
    after = np.asarray(block.apply(variables, x.at[0, 1, 2, 0].add(1.0)))
    assert (before[0, 1] != after[0, 1]).any(axis=-1).all()
    np.testing.assert_array_equal(before[0, [0, 2]], after[0, [0, 2]])
    np.testing.assert_array_equal(before[1], after[1])


def test_all_groups_of_a_clip_lose_a_branch_together():
    _, variables, _ = _block()
    dropping = Block(heads=2, hidden=16, train=True, drop_path_rate=0.5)
    x = jnp.tile(jax.random.normal(jax.random.key(2), (1, 1, 4, 8)), (32, 3, 1, 1))
    y = dropping.apply(variables, x, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(y[:, 0], y[:, 1])
    assert len(np.unique(np.asarray(y[:, 0, 0, 0]))) == 4  # Either branch or both.


def test_kernels_begin_as_they_are_told():
    zeros = jax.nn.initializers.zeros
    block, variables, x = _block(attention_init=zeros, mlp_init=zeros)
    np.testing.assert_array_equal(block.apply(variables, x), x)
