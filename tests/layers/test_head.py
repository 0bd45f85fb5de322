import jax
import jax.numpy as jnp
import numpy as np

from vidjax.layers.head import Classifier

STEPS = jax.random.normal(jax.random.key(0), (2, 3, 8))


def test_logits_are_the_mean_of_the_scores_of_the_steps():
    (logits, ends), variables = Classifier(5).init_with_output(
        jax.random.key(1), STEPS.astype(jnp.bfloat16)
    )
    steps = np.asarray(STEPS.astype(jnp.bfloat16), np.float32)
    params = variables["params"]
    scores = steps @ np.asarray(params["kernel"]) + np.asarray(params["bias"])
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(ends["logits_per_step"], scores, atol=1e-6)
    np.testing.assert_allclose(logits, scores.mean(1), atol=1e-6)
    np.testing.assert_allclose(ends["pooled"], steps.mean(1), atol=1e-6)


def test_no_classes_give_the_pooled_features_and_no_parameters():
    (logits, ends), variables = Classifier(0).init_with_output(jax.random.key(1), STEPS)
    assert variables == {}
    np.testing.assert_array_equal(logits, ends["pooled"])
    np.testing.assert_allclose(logits, STEPS.mean(1), rtol=1e-5, atol=1e-6)


def test_dropout_acts_on_each_step_in_training_only():
    head = Classifier(1, dropout_rate=0.5)
    ones = jnp.ones((1, 64, 16))
    variables = {"params": {"kernel": jnp.ones((16, 1)), "bias": jnp.zeros(1)}}
    rngs = {"dropout": jax.random.key(0)}
    _, ends = head.apply(variables, ones, train=True, rngs=rngs)
    assert len(np.unique(ends["logits_per_step"])) > 3
    logits, _ = head.apply(variables, ones)
    assert float(logits[0, 0]) == 16.0
