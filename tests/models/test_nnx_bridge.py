import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import vidjax

NAMES = ["tsm_resnet_tiny", "i3d_tiny", "c3d_tiny"]


def _parts(name, **arguments):
    model = vidjax.create_model(name, **arguments)
    clip = jax.random.normal(
        jax.random.key(1), (2, *vidjax.model_card(name).clip.shape)
    )
    return model, jax.jit(model.init)(jax.random.key(0), clip), clip


@pytest.mark.parametrize("name", NAMES)
def test_the_module_gives_the_numbers_of_the_model(name):
    model, variables, clip = _parts(name)
    module = vidjax.to_nnx(model, variables, clip)
    expected, endpoints = jax.jit(model.apply)(variables, clip)
    logits, found = nnx.jit(lambda module, clip: module(clip))(module, clip)
    np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)
    assert set(found) == set(endpoints)
    np.testing.assert_allclose(
        found["features"], endpoints["features"], rtol=1e-5, atol=1e-5
    )


def test_training_stores_the_statistics_that_the_model_returns():
    model, variables, clip = _parts("tsm_resnet_tiny")
    module = vidjax.to_nnx(model, variables, clip)
    (expected, _), state = model.apply(
        variables, clip, train=True, mutable=["batch_stats"]
    )
    logits, _ = module(clip, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    theirs = state["batch_stats"]["backbone"]["bn1"]["mean"]
    assert not np.array_equal(theirs, np.zeros_like(theirs))
    found = nnx.state(module, nnx.BatchStat)["backbone"]["bn1"]["mean"]
    np.testing.assert_allclose(found[...], theirs, rtol=1e-6)


def test_an_nnx_optimizer_takes_the_step_that_optax_takes():
    model, variables, clip = _parts("c3d_tiny")
    module = vidjax.to_nnx(model, variables, clip)
    optimizer = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)
    loss = lambda module: jnp.sum(module(clip)[0][:, 0])  # noqa: E731
    optimizer.update(module, nnx.grad(loss)(module))

    def linen_loss(params):
        return jnp.sum(model.apply({**variables, "params": params}, clip)[0][:, 0])

    gradients = jax.grad(linen_loss)(variables["params"])
    expected = (
        variables["params"]["logits"]["kernel"] - 0.1 * (gradients["logits"]["kernel"])
    )
    found = nnx.state(module, nnx.Param)["logits"]["kernel"][...]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_variables_of_another_model_are_an_error_that_lists_all():
    model, variables, clip = _parts("tsm_resnet_tiny")
    other = vidjax.create_model("tsm_resnet_tiny", num_classes=3)
    with pytest.raises(ValueError, match="not those of the model") as error:
        vidjax.to_nnx(other, variables, clip)
    assert "params/logits/bias: expected (3,), got (10,)" in str(error.value)
    del variables["batch_stats"]
    with pytest.raises(ValueError, match=r"batch_stats/backbone/bn1/mean: .*nothing"):
        vidjax.to_nnx(model, variables, clip)
