import re

import jax
import numpy as np
import pytest
from flax import serialization, traverse_util

from vidjax import convert
from vidjax.convert.export import to_arrays
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models.registry import create_model, model_card

_HEADS = 4  # Of the tiny models.


def _variables(name):
    places = abstract_variables(create_model(name), model_card(name).clip.shape)
    random = np.random.default_rng(0)
    return {
        path: random.standard_normal(place.shape).astype(np.float32)
        for path, place in places.items()
    }


def _scenic(path, array):
    """Scenic's names and shapes of a place, one or three."""
    path = path.removeprefix("params/")
    time = path.startswith("time_")
    encoder = "TemporalTransformer" if time else "SpatialTransformer"
    path = path.removeprefix("time_").replace("blocks_", "encoderblock_")
    path = path.replace("norm1", "LayerNorm_0").replace("norm2", "LayerNorm_1")
    path = path.replace("mlp/fc1", "MlpBlock_0/Dense_0")
    path = path.replace("mlp/fc2", "MlpBlock_0/Dense_1")
    path = path.replace("attn", "MultiHeadDotProductAttention_0")
    path = re.sub("^norm", "encoder_norm", path)
    if path == "cls_token":
        return {f"cls_{encoder}": array}
    if path.endswith("embed"):
        return {f"{encoder}/posembed_input/pos_embedding": array}
    if path.startswith("patch_embed"):
        return {path.replace("patch_embed", "embedding"): array}
    if path.startswith("logits"):
        return {path.replace("logits", "output_projection"): array}
    if path.endswith("proj/kernel"):
        array = array.reshape(_HEADS, -1, array.shape[-1])
    if "qkv" in path:
        thirds = np.split(array, 3, axis=-1)
        return {
            f"{encoder}/{path.replace('qkv', part)}": third.reshape(
                *third.shape[:-1], _HEADS, -1
            )
            for part, third in zip(("query", "key", "value"), thirds, strict=True)
        }
    return {f"{encoder}/{path.replace('proj', 'out')}": array}


def test_a_checkpoint_of_scenic_with_its_optimizer_is_read(tmp_path):
    name = "vivit_factorised_encoder_tiny"
    wanted = _variables(name)
    flat = {k: a for path, x in wanted.items() for k, a in _scenic(path, x).items()}
    assert flat["SpatialTransformer/encoderblock_0/LayerNorm_0/scale"].shape == (48,)
    target = traverse_util.unflatten_dict(flat, sep="/")
    momentum = jax.tree.map(np.zeros_like, target)
    file = tmp_path / "checkpoint"
    state = {
        "global_step": np.int32(7),
        "optimizer": {"target": target, "state": {"param_states": momentum}},
        "model_state": {},
        "rng": np.zeros(2, np.uint32),
    }
    file.write_bytes(serialization.msgpack_serialize(state))

    found = flatten(convert.load_variables(name, file))

    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(found[path], array)


@pytest.mark.parametrize(
    ("naming", "query"),
    [
        ("transformers", "vivit.layers.1.attention.q_proj.weight"),
        (
            "transformers, version 4",
            "vivit.encoder.layer.1.attention.attention.query.weight",
        ),
        (
            "transformers, version 4 without classifier",
            "encoder.layer.1.attention.attention.query.weight",
        ),
    ],
)
def test_names_of_transformers_4_and_5_are_read_and_written(naming, query):
    wanted = _variables("vivit_tiny")
    headless = {p: a for p, a in wanted.items() if not p.startswith("params/logits")}
    wanted = headless if naming.endswith("classifier") else wanted
    classes = 10 if len(wanted) > len(headless) else 0
    arrays = to_arrays("vivit_tiny", unflatten(wanted), naming)
    kernel = wanted["params/blocks_1/attn/qkv/kernel"]
    np.testing.assert_array_equal(arrays[query], kernel[:, :48].T)
    prefix = "vivit." if query.startswith("vivit.") else ""
    extra = {f"{prefix}pooler.dense.weight": np.ones((48, 48))}

    found = convert.from_arrays("vivit_tiny", arrays | extra, num_classes=classes)

    assert flatten(found).keys() == wanted.keys()
    for path, array in flatten(found).items():
        np.testing.assert_array_equal(array, wanted[path])


def test_a_key_that_is_missing_is_said():
    arrays = to_arrays(
        "vivit_tiny", unflatten(_variables("vivit_tiny")), "transformers"
    )
    del arrays["vivit.layers.0.attention.k_proj.bias"]
    with pytest.raises(ValueError, match=r"blocks_0/attn/qkv/bias: nothing"):
        convert.from_arrays("vivit_tiny", arrays)


def test_tables_of_a_factorised_encoder_say_for_which_clips_they_are():
    name = "vivit_factorised_encoder_tiny"
    shape = (12, 40, 40, 3)
    places = abstract_variables(create_model(name), shape)
    arrays = {path: np.ones(place.shape, np.float32) for path, place in places.items()}
    found = flatten(convert.from_arrays(name, arrays))
    assert found["params/pos_embed"].shape == (1, 26, 48)
    assert found["params/time_embed"].shape == (1, 7, 48)


def test_tables_are_resized_to_the_clip_that_is_asked_for():
    name = "vivit_factorised_encoder_tiny"
    wanted = _variables(name)
    found = flatten(convert.from_arrays(name, wanted, clip_shape=(14, 32, 48, 3)))
    assert found["params/pos_embed"].shape == (1, 1 + 4 * 6, 48)
    table, old = found["params/time_embed"], wanted["params/time_embed"]
    np.testing.assert_array_equal(table[:, :2], old[:, :2])  # Class token, first step.
    np.testing.assert_allclose(table[0, 2], (old[0, 1] + old[0, 2]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(table[:, -1], old[:, -1])
