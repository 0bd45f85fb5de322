"""What a train state keeps beside parameters: their average, what losses keep."""

import functools

import jax
import numpy as np
import optax

from vidjax.train.state import make_init
from vidjax.train.step import classification, make_train_step

KEY = jax.random.key(3)


def test_the_average_follows_the_parameters_and_losses_find_what_they_kept(
    net, pixels, clip_shape, make_batch
):
    model, optimizer = net(), optax.sgd(0.5)
    init = make_init(
        model, optimizer, clip_shape=clip_shape, average=True, running={"seen": 3.0}
    )
    state = init(jax.random.key(0))

    def counting(output, batch):
        rows, told = classification()(output, batch)
        return rows, told, {"seen": batch["running"]["seen"] + len(rows)}

    step = jax.jit(
        make_train_step(
            model, optimizer, prepare=pixels, losses=counting, average_decay=0.75
        )
    )
    expected = state.params
    for i in range(2):
        state, _ = step(state, make_batch(i), KEY)
        blend = functools.partial(jax.tree.map, lambda a, p: 0.75 * a + 0.25 * p)
        expected = blend(expected, state.params)

    for ours, theirs in zip(
        jax.tree.leaves(state.tested["params"]), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    size = len(make_batch(0)["mask"])
    assert float(state.running["seen"]) == 3 + 2 * size
    assert state.tested.keys() == state.variables.keys()


def test_without_an_average_the_parameters_are_tested(net, clip_shape):
    init = make_init(net(), optax.sgd(0.1), clip_shape=clip_shape)
    state = jax.eval_shape(init, jax.random.key(0))
    assert state.tested == state.variables
    assert state.average == state.running == {}
