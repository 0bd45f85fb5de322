import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.attention import SelfAttention

X = jax.random.normal(jax.random.key(0), (2, 5, 12))


def _random(module, x=X):
    """Parameters that are not zero anywhere."""
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return tree.unflatten(
        [jax.random.normal(k, a.shape) for k, a in zip(keys, leaves, strict=True)]
    )


def _by_hand(params, x, bias=0.0, heads=3):
    """Head by head and row by row, in float64."""
    params = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    x = np.asarray(x, np.float64)
    width = params["proj"]["kernel"].shape[0]
    row = params["qkv"].get("bias", np.zeros(3 * width))
    if "q_bias" in params:
        row = np.concatenate([params["q_bias"], np.zeros(width), params["v_bias"]])
    qkv = x @ params["qkv"]["kernel"] + row
    out = np.zeros((*x.shape[:2], width))
    size = width // heads
    for h in range(heads):
        q, k, v = (
            qkv[..., i * width + h * size : i * width + (h + 1) * size]
            for i in range(3)
        )
        scores = q @ k.swapaxes(1, 2) / np.sqrt(size) + bias
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        out[..., h * size : (h + 1) * size] = weights @ v
    return out @ params["proj"]["kernel"] + params["proj"].get("bias", 0.0)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, {"qkv": {"kernel", "bias"}, "proj": {"kernel", "bias"}}),
        (
            {"qkv_bias": "none", "proj_bias": False},
            {"qkv": {"kernel"}, "proj": {"kernel"}},
        ),
        ({"head_width": 2}, {"qkv": {"kernel", "bias"}, "proj": {"kernel", "bias"}}),
    ],
)
def test_query_key_and_value_are_cut_by_kind_and_then_by_head(arguments, names):
    module = SelfAttention(heads=3, **arguments)
    variables = _random(module)
    assert {k: set(v) for k, v in variables["params"].items()} == names
    got = module.apply(variables, X)
    np.testing.assert_allclose(got, _by_hand(variables["params"], X), rtol=1e-4)


def test_without_the_key_bias_those_of_query_and_value_stand_by_themselves():
    module = SelfAttention(heads=3, qkv_bias="no key")
    variables = _random(module)
    shapes = jax.tree.map(jnp.shape, variables["params"])
    assert set(shapes["qkv"]) == {"kernel"}
    assert shapes["q_bias"] == shapes["v_bias"] == (12,)
    got = module.apply(variables, X)
    np.testing.assert_allclose(got, _by_hand(variables["params"], X), rtol=1e-4)


def test_a_bias_is_added_to_the_scores_and_a_mask_hides_tokens():
    module = SelfAttention(heads=3)
    variables = _random(module)
    seen = jnp.arange(5).reshape(1, 1, 1, 5) < 4
    hidden = jnp.where(seen, 0.0, -1e9)
    want = _by_hand(variables["params"], X, bias=np.asarray(hidden)[0])
    np.testing.assert_allclose(
        module.apply(variables, X, bias=hidden), want, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        module.apply(variables, X, mask=seen), want, rtol=1e-4, atol=1e-5
    )


def test_query_and_key_are_rotated_before_they_meet():
    turned = SelfAttention(heads=3, rotate=lambda q, k: (2 * q, k[:, ::-1] / 2))
    plain = SelfAttention(heads=3)
    variables = _random(plain)
    y = turned.apply(variables, X)
    assert not np.allclose(y, plain.apply(variables, X))
    scaled = SelfAttention(heads=3, rotate=lambda q, k: (2 * q, k / 2))
    np.testing.assert_allclose(
        scaled.apply(variables, X), plain.apply(variables, X), rtol=1e-4, atol=1e-4
    )


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="5 heads do not divide the 12 channels"):
        SelfAttention(heads=5).init(jax.random.key(0), X)
