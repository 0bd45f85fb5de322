"""Learning rates by depth, for the parameters of every family of transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vidjax
from vidjax.config import OptimConfig
from vidjax.train.layer_rates import layer_ids, rate_factors
from vidjax.train.optim import make_optimizer


def _params(name):
    model, clip = vidjax.create_model(name), vidjax.model_card(name).clip
    clip = jax.ShapeDtypeStruct((1, *clip.shape), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), clip)["params"]


def _ids(name):
    ids, depth = layer_ids(_params(name))
    return {
        key: next(iter(jax.tree.leaves(value))) for key, value in ids.items()
    }, depth


@pytest.mark.parametrize(
    ("name", "depth", "some"),
    [
        ("videomae_tiny", 3, {"patch_embed": 0, "blocks_2": 3, "fc_norm": 4}),
        (
            "timesformer_tiny",
            2,
            {"cls_token": 0, "pos_embed": 0, "time_embed": 0, "blocks_0": 1, "norm": 3},
        ),
        (
            "vivit_factorised_encoder_tiny",
            3,
            {"time_cls_token": 0, "time_embed": 0, "blocks_1": 2, "time_blocks_0": 3},
        ),
        ("mvit_v1_tiny", 3, {"cls_pos_embed": 0, "blocks_0": 1, "logits": 4}),
        (
            "swin3d_tiny",
            4,
            {"patch_norm": 0, "layer1_1": 2, "merge1": 2, "layer2_0": 3, "norm": 5},
        ),
        (
            "uniformer_tiny",
            4,
            {
                "patch_embed1_proj": 0,
                "blocks1_0": 1,
                "blocks1_0_pos_embed": 1,
                "patch_embed2_norm": 1,
                "blocks4_0": 4,
            },
        ),
        ("vjepa2_tiny", 2, {"blocks_1": 2, "probe": 3}),
        ("videoprism_tiny", 2, {"blocks_0": 1, "time_blocks_0": 2, "pooler": 3}),
    ],
)
def test_layers_are_embeddings_then_blocks_then_the_head(name, depth, some):
    ids, found = _ids(name)

    assert found == depth
    assert ids["logits"] == depth + 1
    assert set(ids.values()) == set(range(depth + 2))
    assert some.items() <= ids.items()


def test_blocks_are_in_the_order_of_their_numbers():
    ids, depth = layer_ids({f"blocks_{i}": 0 for i in range(12)})

    assert depth == 12
    assert [ids[f"blocks_{i}"] for i in range(12)] == list(range(1, 13))


def test_a_network_without_blocks_is_an_error_before_the_first_step():
    optimizer = make_optimizer(OptimConfig(layer_decay=0.75), steps=1)
    with pytest.raises(ValueError, match=r"layer_decay is for transf.*backbone"):
        optimizer.init({"backbone": {"kernel": jnp.ones((2, 2))}})


@pytest.mark.parametrize("name", ["adamw", "sgd", "lars"])
def test_each_layer_moves_as_with_a_rate_of_its_own(name):
    params = {
        layer: {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]])}
        for layer in ("patch_embed", "blocks_0", "blocks_1", "logits")
    }
    grads = jax.tree.map(lambda p: 0.1 * p**2, params)
    rates = {"patch_embed": 0.025, "blocks_0": 0.05, "blocks_1": 0.1, "logits": 0.8}
    common = {"name": name, "weight_decay": 0.1, "schedule": "constant"}

    def run(params, **fields):
        optimizer = make_optimizer(OptimConfig(**common, **fields), steps=9)
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(grads_of(params), state, params)
            params = optax.apply_updates(params, updates)
        return params

    def grads_of(tree):
        return {layer: grads[layer] for layer in tree}

    got = run(params, learning_rate=0.8, layer_decay=0.5, backbone_rate=0.25)

    for layer, rate in rates.items():
        alone = run({layer: params[layer]}, learning_rate=rate)
        np.testing.assert_allclose(
            got[layer]["kernel"], alone[layer]["kernel"], rtol=1e-5
        )


def test_the_rate_of_the_backbone_is_for_any_network():
    tree = {"backbone": {"conv1": 0.0}, "logits": {"bias": 0.0}}

    factors = rate_factors(tree, layer_decay=1.0, backbone_rate=0.1)

    assert factors == {"backbone": {"conv1": 0.1}, "logits": {"bias": 1.0}}
