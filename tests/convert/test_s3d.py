import numpy as np
import pytest

from vidjax import convert
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model, model_card

_MODEL = "audio_text_video_model/visual_module/~/S3D"
_BRANCHES = {
    "b0": "Branch_0_Conv2d_0a_1x1",
    "b1_reduce": "Branch_1_Conv2d_0a_1x1",
    "b1": "Branch_1_Conv2d_0b_3x3",
    "b2_reduce": "Branch_2_Conv2d_0a_1x1",
    "b2": "Branch_2_Conv2d_0b_3x3",
    "b3": "Branch_3_Conv2d_0b_1x1",
}
_NORM = "__cross_replica_batch_norm"


def _haiku_names(name):
    """What Haiku calls the places of a model, and their paths."""
    shape = model_card(name).clip.shape
    for path, place in abstract_variables(
        create_model(name, num_classes=0), shape
    ).items():
        _, *layers, kind, leaf = path.split("/")
        second = "_1" if layers[-1] == "temporal" else ""
        layers = [layer for layer in layers if layer not in ("spatial", "temporal")]
        gate = kind == "dense"
        layers = [layer.removesuffix("_gate") for layer in layers] if gate else layers
        unit = "/".join(_BRANCHES.get(layer, layer) for layer in layers)
        if gate:
            source = f"params/{_MODEL}/{unit}/self_gating/{leaf[0].replace('k', 'w')}"
        elif leaf == "kernel":
            source = f"params/{_MODEL}/{unit}/~/conv3_d{second}/w"
        else:
            room = "state" if leaf in ("mean", "var") else "params"
            leaf = {"bias": "offset", "scale": "scale"}.get(
                leaf, f"~/{leaf}_ema/average"
            )
            source = f"{room}/{_MODEL}/{unit}/{_NORM}{second}/{leaf}"
        yield source, path, place.shape


def _arrays(name):
    generator = np.random.default_rng(0)
    arrays = {}
    for source, path, shape in _haiku_names(name):
        array = generator.standard_normal(shape).astype(np.float32)
        arrays[source] = array
        if _NORM in source:
            arrays[source] = array.reshape(1, 1, 1, 1, -1)
        if path.endswith("Conv2d_1a_7x7/conv/kernel") and shape[0] == 4:
            arrays[source] = np.zeros((2, 4, 4, 24, 64), np.float32)
    return arrays


@pytest.mark.parametrize("name", ["s3d_g", "s3d_g_mmv"])
def test_haikus_names_fill_every_place_once(name):
    arrays = _arrays(name)
    others = {
        "params/audio_text_video_model/audio_module/~/ResNetV2/conv/w": np.ones(3),
        "params/audio_text_video_model/vis_embd/final_projection/w": np.ones(3),
        f"state/{_MODEL}/Conv2d_2b_1x1/{_NORM}/~/mean_ema/hidden": np.ones(3),
        f"state/{_MODEL}/Conv2d_2b_1x1/{_NORM}/~/mean_ema/counter": np.ones(()),
    }
    nested = {"params": {}, "state": {}}
    for source, array in (arrays | others).items():
        room, *module, leaf = source.split("/")
        nested[room].setdefault("/".join(module), {})[leaf] = array

    found = flatten(convert.from_arrays(name, nested, num_classes=0))

    assert len(found) == len(arrays)
    block = f"params/{_MODEL}/Mixed_4c/Branch_2_Conv2d_0b_3x3"
    np.testing.assert_array_equal(
        found["params/Mixed_4c/b2/temporal/conv/kernel"],
        arrays[f"{block}/~/conv3_d_1/w"],
    )
    np.testing.assert_array_equal(
        found["params/Mixed_4c/b2_gate/dense/kernel"], arrays[f"{block}/self_gating/w"]
    )
    np.testing.assert_array_equal(
        found["params/Mixed_4c/b2/spatial/bn/scale"],
        arrays[f"{block}/{_NORM}/scale"].ravel(),
    )


def test_the_published_stem_does_not_pass_for_one_of_7x7x7():
    arrays = _arrays("s3d_g_mmv")
    with pytest.raises(ValueError, match=r"Conv2d_1a_7x7.*got \(4, 8, 8, 3, 64\)"):
        convert.from_arrays("s3d_g", arrays, num_classes=0)
