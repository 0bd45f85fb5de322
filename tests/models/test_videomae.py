import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.registry import create_model
from vidjax.ops.masked_modeling import tube_mask
from vidjax.ops.position import sines_and_cosines

CLIP = jax.random.normal(jax.random.key(0), (2, 8, 32, 32, 3))
GRID = (4, 4, 4)


def _init(name, **arguments):
    model = create_model(name, **arguments)
    return model, model.init(jax.random.key(1), CLIP)


def test_logits_see_the_normalised_mean_of_all_tokens():
    model, variables = _init("videomae_tiny")
    _, ends = model.apply(variables, CLIP)
    assert ends["features"].shape == ends["blocks_0"].shape == (2, *GRID, 48)
    mean = np.asarray(ends["features"], np.float64).mean(axis=(1, 2, 3))
    mean = mean - mean.mean(axis=1, keepdims=True)
    mean = mean / np.sqrt((mean**2).mean(axis=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(ends["pooled"], mean, rtol=1e-3, atol=1e-4)


def test_the_fixed_table_is_that_of_sines_over_one_row():
    table = sines_and_cosines(7, 6)[0]
    assert table.dtype == np.float32
    for place in range(7):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            assert table[place, 2 * i] == pytest.approx(np.sin(angle), abs=1e-6)
            assert table[place, 2 * i + 1] == pytest.approx(np.cos(angle), abs=1e-6)


def test_there_is_no_bias_of_keys_and_no_table_among_the_parameters():
    _, variables = _init("videomae_tiny")
    params = variables["params"]
    assert "pos_embed" not in params
    assert set(params["blocks_0"]["attn"]) == {"qkv", "q_bias", "v_bias", "proj"}
    assert set(params["blocks_0"]["attn"]["qkv"]) == {"kernel"}


def test_a_table_among_the_weights_takes_the_place_of_the_fixed_one():
    model, variables = _init("videomae_tiny")
    table = jnp.asarray(sines_and_cosines(64, 48))
    own = {"params": {**variables["params"], "pos_embed": table}}
    plain, _ = model.apply(variables, CLIP)
    np.testing.assert_array_equal(model.apply(own, CLIP)[0], plain)
    own["params"]["pos_embed"] = 2 * table
    assert not np.allclose(model.apply(own, CLIP)[0], plain)
    with pytest.raises(ValueError, match=r"Expected 64 blocks.*own table.*got 32"):
        model.apply(own, CLIP[:, :4])


def test_predictions_do_not_see_what_is_hidden():
    model, variables = _init("videomae_pretrain_tiny")
    mask = tube_mask(jax.random.key(2), 2, GRID, 0.75)
    pixels = jnp.repeat(jnp.repeat(mask.reshape(2, *GRID), 2, 1), 8, 2).repeat(8, 3)
    hidden = pixels[..., None]
    _, ends = model.apply(variables, CLIP, mask)
    _, other = model.apply(variables, jnp.where(hidden, 7.0, CLIP), mask)
    np.testing.assert_array_equal(ends["logits_per_step"], other["logits_per_step"])
    _, other = model.apply(variables, jnp.where(hidden, CLIP, 7.0), mask)
    assert not np.allclose(ends["logits_per_step"], other["logits_per_step"])
    assert ends["logits_per_step"].shape == (2, 48, 384)
    assert ends["features"].shape == (2, 16, 48)


def test_predictions_come_in_the_order_of_the_blocks_and_know_their_places():
    model, variables = _init("videomae_pretrain_tiny")
    mask = np.zeros((2, 64), bool)
    mask[:, [3, 9, 50]] = True
    _, ends = model.apply(variables, CLIP, mask)
    more = mask.copy()
    more[:, 20] = True
    # Another hidden block stands third, and the others are predicted otherwise.
    _, other = model.apply(variables, CLIP, more)
    three, four = ends["logits_per_step"], other["logits_per_step"]
    assert (three.shape[1], four.shape[1]) == (3, 4)
    distance = jnp.abs(three[:, :, None] - four[:, None]).max(axis=(0, 3))
    assert jnp.argmin(distance, axis=1).tolist() == [0, 1, 3]


def test_masks_are_of_chance_in_training_and_always_the_same_otherwise():
    model, variables = _init("videomae_pretrain_tiny")
    masks = [model.apply(variables, CLIP)[1]["mask"] for _ in range(2)]
    np.testing.assert_array_equal(*masks)
    drawn = [
        model.apply(variables, CLIP, train=True, rngs={"dropout": jax.random.key(i)})[1]
        for i in (0, 0, 1)
    ]
    first, again, other = (np.asarray(ends["mask"]) for ends in drawn)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first.sum(axis=1) == 48).all()


@pytest.mark.usefixtures("unchecked")
def test_wrong_masks_are_refused():
    model, variables = _init("videomae_pretrain_tiny")
    with pytest.raises(ValueError, match=r"shape \(2, 64\).*got \(2, 63\)"):
        model.apply(variables, CLIP, np.ones((2, 63), bool))
    mask = np.zeros((2, 64), bool)
    mask[0, 0] = True
    with pytest.raises(ValueError, match="hides from 0 to 1"):
        model.apply(variables, CLIP, mask)


def test_a_mask_whose_numbers_are_unknown_hides_as_many_as_the_ratio_says():
    model, variables = _init("videomae_pretrain_tiny")
    apply = jax.jit(model.apply)
    mask = tube_mask(jax.random.key(2), 2, GRID, 0.75)
    got, _ = apply(variables, CLIP, mask)
    want, _ = model.apply(variables, CLIP, mask)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    wrong, _ = apply(variables, CLIP, mask.at[1, jnp.argmax(mask[1])].set(False))
    assert bool(jnp.isfinite(wrong[0]).all())
    assert bool(jnp.isnan(wrong[1]).all())


def test_pre_trained_encoders_have_the_names_of_those_that_classify():
    _, encoder = _init("videomae_tiny")
    _, masked = _init("videomae_pretrain_tiny")
    encoder, masked = encoder["params"], masked["params"]
    shared = set(encoder) & set(masked) - {"logits"}
    assert set(encoder) - shared == {"fc_norm", "logits"}
    for name in shared:
        shapes = [jax.tree.map(jnp.shape, tree[name]) for tree in (encoder, masked)]
        assert shapes[0] == shapes[1]


def test_the_number_of_heads_can_be_said_and_changes_no_parameter():
    model, variables = _init("videomae_tiny")
    other, theirs = _init("videomae_tiny", heads=4)
    same, _ = _init("videomae_tiny", heads=3)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, theirs)
    features, expected, kept = (
        m.apply(variables, CLIP)[1]["pooled"] for m in (other, model, same)
    )
    assert float(jnp.abs(features - expected).max()) > 1e-4
    np.testing.assert_array_equal(kept, expected)
