import jax
import numpy as np

from vidjax import convert
from vidjax.convert.variables import flatten
from vidjax.models.inception_v1 import STAGES
from vidjax.models.registry import create_model

# As in research/slim/nets/inception_v1.py, one slip in Mixed_5b among them.
_MIXED = (
    ("Branch_0/Conv2d_0a_1x1", 1, "b0"),
    ("Branch_1/Conv2d_0a_1x1", 1, "b1_reduce"),
    ("Branch_1/Conv2d_0b_3x3", 3, "b1"),
    ("Branch_2/Conv2d_0a_1x1", 1, "b2_reduce"),
    ("Branch_2/Conv2d_0b_3x3", 3, "b2"),
    ("Branch_3/Conv2d_0b_1x1", 1, "b3"),
)


def _published():
    """Names and shapes of the published checkpoint, filled with their own numbers."""
    arrays, channels = {}, 3

    def add(name, extent, inputs, outputs):
        shapes = {
            "weights": (extent, extent, inputs, outputs),
            "BatchNorm/beta": (outputs,),
            "BatchNorm/moving_mean": (outputs,),
            "BatchNorm/moving_variance": (outputs,),
        }
        for suffix, shape in shapes.items():
            value = len(arrays) + 1
            name_ = f"InceptionV1/InceptionV1/{name}/{suffix}"
            arrays[name_] = np.full(shape, value, np.float32)

    for stage, kind, *spec in STAGES:
        if kind == "conv":
            add(stage, spec[1][0], channels, spec[0])
            channels = spec[0]
        elif kind == "mixed":
            one, reduce_a, a, reduce_b, b, project = spec
            widths = (one, reduce_a, a, reduce_b, b, project)
            inputs = (channels, channels, reduce_a, channels, reduce_b, channels)
            for (name, extent, _), i, o in zip(_MIXED, inputs, widths, strict=True):
                slip = stage == "Mixed_5b" and name == "Branch_2/Conv2d_0b_3x3"
                name = name.replace("0b", "0a") if slip else name
                add(f"{stage}/{name}", extent, i, o)
            channels = one + a + b + project
    head = "InceptionV1/Logits/Conv2d_0c_1x1"
    arrays[f"{head}/weights"] = np.ones((1, 1, channels, 1001), np.float32)
    arrays[f"{head}/biases"] = np.ones(1001, np.float32)
    arrays["global_step"] = np.int64(1)
    return arrays


def test_the_published_names_fill_every_place_once():
    arrays = _published()
    found = flatten(convert.from_arrays("inception_v1", arrays))
    assert len(found) == len(arrays) - 1
    for stage in ("Mixed_3b", "Mixed_5b"):
        for theirs, _, ours in _MIXED:
            names = [n for n in arrays if f"{stage}/{theirs[:9]}" in n]
            names = [n for n in names if n.endswith(f"{theirs[-3:]}/weights")]
            place = found[f"params/{stage}/{ours}/conv/kernel"]
            assert place.flat[0] == arrays[names[0]].flat[0]


def test_a_blank_image_runs_through_the_whole_network():
    model = create_model("inception_v1")
    images = jax.ShapeDtypeStruct((2, 299, 299, 3), "float32")
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    logits, endpoints = jax.eval_shape(model.apply, variables, images)
    assert logits.shape == (2, 1001)
    assert endpoints["Mixed_5c"].shape == (2, 1, 10, 10, 1024)
