import numpy as np

from vidjax import convert
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model, model_card

NAME = "videoprism_tiny"
D, H, d = 48, 4, 12


def _stack(kind):
    """Published names and shapes of a stack of one layer."""
    layer = f"{kind}_encoder/transformers_stack/x_layers"
    shapes = {
        f"{layer}/self_attention/{part}/{leaf}": shape
        for part in ("query", "key", "value")
        for leaf, shape in (("w", (1, D, H, d)), ("b", (1, H, d)))
    }
    for norm in ("layer_norm", "ff_layer/layer_norm"):
        shapes |= {f"{layer}/{norm}/{leaf}": (1, D) for leaf in ("scale", "bias")}
    return shapes | {
        f"{layer}/self_attention/post/w": (1, D, H, d),
        f"{layer}/self_attention/post/b": (1, D),
        f"{layer}/ff_layer/ffn_layer1/linear/kernel": (1, D, 96),
        f"{layer}/ff_layer/ffn_layer1/linear/bias": (1, 96),
        f"{layer}/ff_layer/ffn_layer2/linear/kernel": (1, 96, D),
        f"{layer}/ff_layer/ffn_layer2/linear/bias": (1, D),
    }


def _arrays(prefix="", **shapes):
    shapes |= _stack("spatial") | _stack("temporal")
    shapes |= {
        "patch_projection/linear/kernel": (8 * 8 * 3, D),
        "patch_projection/linear/bias": (D,),
        "spatial_pos_emb/emb_var": (16, D),
        "temporal_pos_emb/emb_var": (4, D),
    }
    for norm in ("spatial_ln", "temporal_ln"):
        shapes |= {f"{norm}/{leaf}": (D,) for leaf in ("scale", "bias")}
    random = np.random.default_rng(0)
    return {
        prefix + name: random.standard_normal(shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def _paths(**arguments):
    model = create_model(NAME, **arguments)
    return abstract_variables(model, model_card(NAME).clip.shape).keys()


def test_published_files_are_read(tmp_path):
    arrays = _arrays("params/")
    np.savez(tmp_path / "encoder.npz", **arrays)
    variables = convert.load_variables(NAME, tmp_path / "encoder.npz", num_classes=0)

    found = flatten(variables)

    assert found.keys() == _paths(num_classes=0)
    stack = "params/spatial_encoder/transformers_stack/x_layers"
    np.testing.assert_array_equal(
        found["params/blocks_0/norm2/scale"],
        1 + arrays[f"{stack}/ff_layer/layer_norm/scale"][0],
    )
    qkv = found["params/blocks_0/attn/qkv/kernel"].reshape(D, 3, H, d)
    for i, part in enumerate(("query", "key", "value")):
        weights = arrays[f"{stack}/self_attention/{part}/w"][0]
        np.testing.assert_array_equal(qkv[:, i], weights)
    np.testing.assert_array_equal(
        found["params/blocks_0/attn/proj/kernel"].reshape(H, d, D),
        arrays[f"{stack}/self_attention/post/w"][0].transpose(1, 2, 0),
    )
    # Pixels of a patch come by rows, columns and channels.
    np.testing.assert_array_equal(
        found["params/patch_embed/kernel"][0, 2, 5, 1],
        arrays["params/patch_projection/linear/kernel"][(2 * 8 + 5) * 3 + 1],
    )


def test_the_classifier_of_the_published_code_has_a_place():
    pooling = "pooling_attention"
    head = {f"{pooling}_query": (1, D), f"{pooling}/post/w": (D, H, d)}
    head |= {f"{pooling}/post/b": (D,), f"{pooling}/per_dim_scale/per_dim_scale": (d,)}
    for part in ("query", "key", "value"):
        head |= {f"{pooling}/{part}/w": (D, H, d), f"{pooling}/{part}/b": (H, d)}
    head |= {f"{pooling}_layer_norm/{leaf}": (D,) for leaf in ("scale", "bias")}
    arrays = _arrays("encoder/")
    random = np.random.default_rng(1)
    for name, shape in head.items():
        arrays[f"atten_pooler/{name}"] = random.standard_normal(shape)
    arrays["projection/linear/kernel"] = random.standard_normal((D, 10))
    arrays["projection/linear/bias"] = random.standard_normal(10)

    found = flatten(convert.from_arrays(NAME, arrays))

    assert found.keys() == _paths()
    kv = found["params/pooler/kv/kernel"].reshape(D, 2, H, d)
    weights = arrays[f"atten_pooler/{pooling}/value/w"]
    np.testing.assert_array_equal(kv[:, 1], weights.astype(np.float32))


def test_an_encoder_alone_gets_a_fresh_pooler_and_classifier():
    found = convert.from_arrays(NAME, _arrays(), num_classes=3, head="reset")
    assert flatten(found).keys() == _paths()
