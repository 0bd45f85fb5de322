"""Names of published 3D residual networks, written down layer by layer."""

import numpy as np
import pytest

from vidjax import convert
from vidjax.convert import r3d, resnet3d
from vidjax.convert.export import to_arrays
from vidjax.convert.rules import check_fit, translate
from vidjax.convert.variables import abstract_variables, flatten, unflatten
from vidjax.models.registry import create_model, model_card

ZERO = np.float32(0)


class Names(dict):
    """Arrays by name, of no memory."""

    def add(self, name, *shape):
        self[f"{name}.weight"] = np.broadcast_to(ZERO, shape)

    def norm(self, name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            self[f"{name}.{kind}"] = np.broadcast_to(ZERO, (channels,))
        self[f"{name}.num_batches_tracked"] = np.zeros(())

    def dense(self, name, features, inputs):
        self.add(name, features, inputs)
        self[f"{name}.bias"] = np.broadcast_to(ZERO, (features,))


def _blocks(depths, expansion=1, width=64):
    """Stage, block, input channels, inner channels, and whether it is the first."""
    inputs = width
    for stage, depth in enumerate(depths, 1):
        inner = width * 2 ** (stage - 1)
        for block in range(depth):
            yield stage, block, inputs, inner, block == 0
            inputs = inner * expansion


def _middle(i, o, side=3):
    return 3 * i * o * side**2 // (i * side**2 + 3 * o)


def _mc3_18():
    names = Names()
    names.add("stem.0", 64, 3, 3, 7, 7)
    names.norm("stem.1", 64)
    for stage, block, i, o, _ in _blocks((2, 2, 2, 2)):
        name = f"layer{stage}.{block}"
        kernel = (3, 3, 3) if stage == 1 else (1, 3, 3)
        names.add(f"{name}.conv1.0", o, i, *kernel)
        names.norm(f"{name}.conv1.1", o)
        names.add(f"{name}.conv2.0", o, o, *kernel)
        names.norm(f"{name}.conv2.1", o)
        if i != o:
            names.add(f"{name}.downsample.0", o, i, 1, 1, 1)
            names.norm(f"{name}.downsample.1", o)
    names.dense("fc", 400, 512)
    return names


def _r2plus1d_34_vmz():
    names = Names()
    names.add("stem.0", 45, 3, 1, 7, 7)
    names.norm("stem.1", 45)
    names.add("stem.3", 64, 45, 3, 1, 1)
    names.norm("stem.4", 64)
    for stage, block, i, o, _ in _blocks((3, 4, 6, 3)):
        name = f"layer{stage}.{block}"
        for number, inputs in ((1, i), (2, o)):
            middle = _middle(inputs, o)
            names.add(f"{name}.conv{number}.0.0", middle, inputs, 1, 3, 3)
            names.norm(f"{name}.conv{number}.0.1", middle)
            names.add(f"{name}.conv{number}.0.3", o, middle, 3, 1, 1)
            names.norm(f"{name}.conv{number}.1", o)
        if i != o:
            names.add(f"{name}.downsample.0", o, i, 1, 1, 1)
            names.norm(f"{name}.downsample.1", o)
    names.dense("fc", 400, 512)
    return names


def _r2plus1d_34_mmaction2():
    names = Names()

    def factorised(name, i, o, kernel):
        middle = _middle(i, o, kernel[1])
        names.add(f"{name}.conv.conv_s", middle, i, 1, *kernel[1:])
        names.norm(f"{name}.conv.bn_s", middle)
        names.add(f"{name}.conv.conv_t", o, middle, kernel[0], 1, 1)
        names.norm(f"{name}.bn", o)

    factorised("backbone.conv1", 3, 64, (3, 7, 7))
    for stage, block, i, o, _ in _blocks((3, 4, 6, 3)):
        name = f"backbone.layer{stage}.{block}"
        factorised(f"{name}.conv1", i, o, (3, 3, 3))
        factorised(f"{name}.conv2", o, o, (3, 3, 3))
        if i != o:
            factorised(f"{name}.downsample", i, o, (1, 1, 1))
    names.dense("cls_head.fc_cls", 400, 512)
    return names


def _csn_mmaction2(depths, mode):
    names = Names()

    def module(name, o, i, *kernel):
        names.add(f"{name}.conv", o, i, *kernel)
        names.norm(f"{name}.bn", o)

    module("backbone.conv1", 64, 3, 3, 7, 7)
    for stage, block, i, o, first in _blocks(depths, expansion=4):
        name = f"backbone.layer{stage}.{block}"
        module(f"{name}.conv1", o, i, 1, 1, 1)
        if mode == "ip":
            module(f"{name}.conv2.0", o, o, 1, 1, 1)
        module(f"{name}.conv2.{int(mode == 'ip')}", o, 1, 3, 3, 3)
        module(f"{name}.conv3", 4 * o, o, 1, 1, 1)
        if first:
            module(f"{name}.downsample", 4 * o, i, 1, 1, 1)
    names.dense("cls_head.fc_cls", 400, 2048)
    return names


def _csn_vmz(depths, mode):
    names = Names()
    names.add("stem.0", 64, 3, 3, 7, 7)
    names.norm("stem.1", 64)
    for stage, block, i, o, first in _blocks(depths, expansion=4):
        name = f"layer{stage}.{block}"
        names.add(f"{name}.conv1.0", o, i, 1, 1, 1)
        if mode == "ip":
            names.add(f"{name}.conv2.0.0", o, o, 1, 1, 1)
            names.norm(f"{name}.conv2.0.1", o)
            names.add(f"{name}.conv2.0.2", o, 1, 3, 3, 3)
        else:
            names.add(f"{name}.conv2.0", o, 1, 3, 3, 3)
        names.add(f"{name}.conv3.0", 4 * o, o, 1, 1, 1)
        for number, channels in ((1, o), (2, o), (3, 4 * o)):
            names.norm(f"{name}.conv{number}.1", channels)
        if first:
            names.add(f"{name}.downsample.0", 4 * o, i, 1, 1, 1)
            names.norm(f"{name}.downsample.1", 4 * o)
    names.dense("fc", 400, 2048)
    return names


DEEP = (3, 8, 36, 3)


@pytest.mark.parametrize(
    ("model", "arrays", "naming", "parameters"),
    [
        ("mc3_18", _mc3_18(), r3d.TORCHVISION, 11_695_440),
        ("r2plus1d_34_vmz", _r2plus1d_34_vmz(), r3d.TORCHVISION_R2PLUS1D, None),
        # 63.8M, 29.70M and 33.02M: configs/recognition/{r2plus1d,csn} of MMAction2.
        (
            "r2plus1d_34",
            _r2plus1d_34_mmaction2(),
            r3d.MMACTION2_R2PLUS1D,
            63_759_281,
        ),
        (
            "csn_ir_resnet152",
            _csn_mmaction2(DEEP, "ir"),
            r3d.MMACTION2_IR_CSN,
            29_703_568,
        ),
        (
            "csn_ip_resnet152",
            _csn_mmaction2(DEEP, "ip"),
            r3d.MMACTION2_IP_CSN,
            33_016_592,
        ),
        ("csn_ir_resnet50", _csn_vmz((3, 4, 6, 3), "ir"), r3d.VMZ_IR_CSN, 13_131_152),
        ("csn_ip_resnet152", _csn_vmz(DEEP, "ip"), r3d.VMZ_IP_CSN, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_published_names_fill_every_place_once(model, arrays, naming, parameters):
    want = abstract_variables(create_model(model), model_card(model).clip.shape)
    got, problems = translate(arrays, naming)
    assert problems + check_fit(got, want) == []
    learned = [a.size for name, a in arrays.items() if "running" not in name]
    counted = sum(learned) - sum("tracked" in name for name in arrays)
    assert counted == (parameters or model_card(model).params)


def _random(name, **arguments):
    """Variables of a tiny model."""
    places = abstract_variables(
        create_model(name, **arguments), model_card(name).clip.shape
    )
    generator = np.random.default_rng(0)
    return {
        path: generator.standard_normal(place.shape).astype(np.float32)
        for path, place in places.items()
    }


@pytest.mark.parametrize(
    ("name", "naming", "example"),
    [
        ("r3d_tiny", "torchvision", "layer2.0.conv1.0.weight"),
        ("r2plus1d_tiny", "torchvision", "layer2.0.conv1.0.3.weight"),
    ],
)
def test_weights_go_to_torchvisions_names_and_back(name, naming, example):
    variables = _random(name)
    arrays = to_arrays(name, unflatten(variables), naming)
    assert example in arrays
    again = flatten(convert.from_arrays(name, {"state_dict": arrays}))
    for path, array in variables.items():
        np.testing.assert_array_equal(again[path], array)


def test_a_block_of_one_kind_does_not_pass_for_one_of_the_other():
    first = {"backbone.layer1.0.conv2.0.conv.weight": np.zeros((4, 1, 3, 3, 3))}
    (path,) = translate(first, r3d.MMACTION2_IR_CSN)[0]
    assert path.endswith("conv2/kernel")
    second = {"backbone.layer1.0.conv2.1.conv.weight": np.zeros((4, 1, 3, 3, 3))}
    assert len(translate(second, r3d.MMACTION2_IR_CSN)[1]) == 1
    (path,) = translate(second, r3d.MMACTION2_IP_CSN)[0]
    assert path.endswith("conv2/depthwise/kernel")


def test_pytorchvideos_halves_of_a_convolution_are_told_apart():
    conv_b = "blocks.2.res_blocks.3.branch2.conv_b"
    arrays = {
        f"{conv_b}.conv_t.weight": np.zeros((4, 4, 3, 1, 1)),
        f"{conv_b}.conv_xy.weight": np.zeros((4, 4, 1, 3, 3)),
        f"{conv_b}.norm.running_var": np.zeros(4),
        "blocks.2.res_blocks.3.branch2.norm_b.weight": np.ones(4),
    }
    got, problems = translate(arrays, r3d.PYTORCHVIDEO_R2PLUS1D)
    assert problems == []
    place = "backbone/layer2_3/conv2"
    assert got[f"params/{place}/temporal/kernel"].shape == (3, 1, 1, 4, 4)
    assert got[f"params/{place}/spatial/kernel"].shape == (1, 3, 3, 4, 4)
    assert f"batch_stats/{place}/bn/var" in got
    assert "params/backbone/layer2_3/bn2/scale" in got
    # R(2+1)D does not pass for a network whose conv_b is one layer.
    assert len(translate(arrays, resnet3d.PYTORCHVIDEO)[1]) == 3
