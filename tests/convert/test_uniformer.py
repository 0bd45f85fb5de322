import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.export import to_arrays
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models.registry import create_model, model_card

NAME = "uniformer_tiny"


@pytest.mark.parametrize(
    ("naming", "prefix", "head"),
    [("MMAction2", "backbone.", "cls_head.fc_cls"), ("Sense-X/UniFormer", "", "head")],
)
def test_published_names_are_read_and_written(naming, prefix, head):
    places = abstract_variables(create_model(NAME), model_card(NAME).clip.shape)
    random = np.random.default_rng(0)
    wanted = {
        path: random.standard_normal(place.shape).astype(np.float32)
        for path, place in places.items()
    }
    arrays = to_arrays(NAME, unflatten(wanted), naming)
    # Shapes by the modules of MMAction2's uniformer.py.
    shapes = {
        "patch_embed1.proj.weight": (16, 3, 3, 4, 4),
        "patch_embed1.norm.bias": (16,),
        "blocks1.0.pos_embed.weight": (16, 1, 3, 3, 3),
        "blocks1.0.norm1.running_var": (16,),
        "blocks2.0.attn.weight": (16, 1, 5, 5, 5),
        "blocks2.0.mlp.fc1.weight": (64, 16, 1, 1, 1),
        "patch_embed3.proj.weight": (32, 16, 1, 2, 2),
        "blocks3.0.attn.qkv.weight": (96, 32),
        "blocks4.0.norm2.weight": (32,),
        "blocks4.0.mlp.fc2.weight": (32, 128),
        "norm.running_mean": (32,),
    }
    for name, shape in shapes.items():
        assert arrays[prefix + name].shape == shape
    assert arrays[f"{head}.weight"].shape == (10, 32)

    found = flatten(convert.from_arrays(NAME, arrays))

    assert found.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(found[path], array)
