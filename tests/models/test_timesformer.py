import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models import timesformer
from vidjax.models.registry import create_model

CLIP = jax.random.normal(jax.random.key(0), (2, 4, 32, 32, 3))


def _random(model, clip=CLIP):
    """Parameters that are not zero anywhere."""
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    return tree.unflatten(
        [0.2 * jax.random.normal(k, a.shape) for k, a in zip(keys, leaves, strict=True)]
    )


def test_divided_attention_sees_one_place_in_time_and_one_frame_in_space():
    block = timesformer.DividedBlock(heads=2, hidden=8, train=False, frames=3)
    x = jax.random.normal(jax.random.key(0), (1, 1 + 3 * 4, 8))
    variables = _random(block, x)
    # Attention over space gives nothing: only that over time moves tokens.
    for layer in ("kernel", "bias"):
        proj = variables["params"]["attn"]["proj"]
        proj[layer] = jnp.zeros_like(proj[layer])
    before = block.apply(variables, x)
    after = block.apply(variables, x.at[0, 1 + 1 * 4 + 2, 0].add(1.0))
    moved = np.asarray((before != after).any(-1))[0]
    assert not moved[0]  # The class token takes no part in it.
    places = moved[1:].reshape(3, 4)
    assert places[:, 2].all()
    assert not places[:, [0, 1, 3]].any()


def test_attention_over_space_stays_in_its_frame_but_for_the_class_token():
    block = timesformer.DividedBlock(heads=2, hidden=8, train=False, frames=3)
    x = jax.random.normal(jax.random.key(0), (1, 1 + 3 * 4, 8))
    variables = _random(block, x)
    for layer in ("kernel", "bias"):
        dense = variables["params"]["temporal_fc"]
        dense[layer] = jnp.zeros_like(dense[layer])
    before = block.apply(variables, x)
    after = block.apply(variables, x.at[0, 1 + 1 * 4 + 2, 0].add(1.0))
    moved = np.asarray((before != after).any(-1))[0]
    assert moved[0]
    places = moved[1:].reshape(3, 4)
    assert places[1].all()
    assert not places[[0, 2]].any()


def test_the_class_token_takes_the_mean_of_what_it_gathers_in_the_frames():
    block = timesformer.DividedBlock(heads=2, hidden=8, train=False, frames=3)
    x = jax.random.normal(jax.random.key(0), (1, 1 + 4, 8))
    one = jnp.concatenate([x, x[:, 1:], x[:, 1:]], axis=1)  # Three equal frames.
    variables = _random(block, one)
    dense = variables["params"]["temporal_fc"]
    dense["kernel"] = jnp.zeros_like(dense["kernel"])
    single = timesformer.DividedBlock(heads=2, hidden=8, train=False, frames=1)
    np.testing.assert_allclose(
        block.apply(variables, one)[:, :5], single.apply(variables, x), rtol=1e-5
    )


def test_temporal_layers_are_zero_at_the_start_in_all_blocks_but_the_first():
    params = create_model("timesformer_tiny").init(jax.random.key(0), CLIP)["params"]
    assert float(jnp.abs(params["blocks_0"]["temporal_fc"]["kernel"]).max()) > 0
    assert float(jnp.abs(params["blocks_1"]["temporal_fc"]["kernel"]).max()) == 0


def test_tables_are_resized_to_the_clip_by_the_nearest_place():
    model = create_model("timesformer_tiny")
    variables = _random(model)
    params = variables["params"]
    table = params["pos_embed"][0, 1:].reshape(4, 4, -1)
    doubled = table.repeat(2, axis=0).repeat(2, axis=1).reshape(1, 64, -1)
    table = jnp.concatenate([params["pos_embed"][:, :1], doubled], axis=1)
    own = {**params, "pos_embed": table}
    own["time_embed"] = params["time_embed"].repeat(2, axis=1)
    large = jax.random.normal(jax.random.key(3), (1, 8, 64, 64, 3))
    got, _ = model.apply(variables, large)
    want, _ = model.apply({"params": own}, large)
    np.testing.assert_array_equal(got, want)


def test_a_table_that_is_not_square_cannot_be_resized_and_says_so():
    model = create_model("timesformer_tiny")
    variables = _random(model, jnp.zeros((1, 4, 32, 64, 3)))
    with pytest.raises(ValueError, match=r"Expected 32 blocks.*not square.*got 4 x 4"):
        model.apply(variables, CLIP)


def test_joint_attention_sees_all_frames_and_space_alone_does_not():
    far = CLIP.at[:, 3].add(1.0)
    moved = {}
    for name in ("timesformer_joint_tiny", "timesformer_space_tiny"):
        model = create_model(name)
        variables = _random(model)
        before = model.apply(variables, CLIP)[1]["blocks_0"]
        after = model.apply(variables, far)[1]["blocks_0"]
        moved[name] = np.asarray((before != after).any(axis=(0, 2, 3, 4)))
    assert moved["timesformer_joint_tiny"].all()
    assert moved["timesformer_space_tiny"].tolist() == [False, False, False, True]


def test_without_times_the_order_of_frames_does_not_matter():
    model = create_model("timesformer_joint_tiny")
    variables = _random(model)
    still = {**variables["params"]}
    still["time_embed"] = jnp.zeros_like(still["time_embed"])
    back = CLIP[:, ::-1]
    one, _ = model.apply({"params": still}, CLIP)
    other, _ = model.apply({"params": still}, back)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    one, _ = model.apply(variables, CLIP)
    other, _ = model.apply(variables, back)
    assert float(jnp.abs(one - other).max()) > 1e-4
