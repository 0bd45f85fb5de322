"""Names of C2D, I3D-ResNet, Slow and SlowFast: whole networks, and each trap."""

import functools

import numpy as np
import pytest

from vidjax.convert import from_arrays
from vidjax.convert.variables import abstract_variables, flatten
from vidjax.models.registry import create_model, model_card

_TORCH = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_CAFFE2 = {"kernel": "w", "scale": "s", "bias": "b", "mean": "rm", "var": "riv"}
_LETTER = {"1": "a", "2": "b", "3": "c"}


@functools.cache
def _places(name):
    model, shape = create_model(name), model_card(name).clip.shape
    return abstract_variables(model, shape)


def _block(layer):
    """("layer2_1", ...) as stage 2, block 1."""
    stage, block = layer.removeprefix("layer").split("_")[:2]
    return int(stage), int(block)


def _depth(name, trunk, stage):
    """Blocks of a stage."""
    start = f"params/{trunk}/layer{stage}_"
    return len({p.split("/")[2] for p in _places(name) if p.startswith(start)})


def _as_pytorchvideo(name, path, *, pooled):
    *layers, leaf = path.split("/")[1:]
    if layers == ["logits"]:
        head = 6 if pooled or name.startswith("slowfast") else 5
        return f"blocks.{head}.proj.{_TORCH[leaf]}"
    if layers[0].startswith("fuse"):
        stage = layers[0][-1] if "layer" in layers[0] else "0"
        part = {"conv": "conv_fast_to_slow", "bn": "norm"}[layers[1]]
        return f"blocks.{stage}.multipathway_fusion.{part}.{_TORCH[leaf]}"
    pathway = {"backbone": "", "slow": ".multipathway_blocks.0"}.get(
        layers[0], ".multipathway_blocks.1"
    )
    if not layers[1].startswith("layer"):
        part = {"conv1": "conv", "bn1": "norm"}[layers[1]]
        return f"blocks.0{pathway}.{part}.{_TORCH[leaf]}"
    stage, block = _block(layers[1])
    stage += pooled and stage > 1
    kind, number = layers[2][:-1], layers[2][-1]
    if layers[2].startswith("downsample"):
        part = {"conv": "branch1_conv", "bn": "branch1_norm"}[layers[2][11:]]
    else:
        kind = {"conv": "conv", "bn": "norm"}[kind]
        part = f"branch2.{kind}_{_LETTER[number]}"
    return f"blocks.{stage}{pathway}.res_blocks.{block}.{part}.{_TORCH[leaf]}"


def _as_pyslowfast(name, path):
    *layers, leaf = path.split("/")[1:]
    if layers == ["logits"]:
        return f"head.projection.{_TORCH[leaf]}"
    if layers[0].startswith("fuse"):
        stage = int(layers[0][-1]) + 1 if "layer" in layers[0] else 1
        part = {"conv": "conv_f2s", "bn": "bn"}[layers[1]]
        return f"s{stage}_fuse.{part}.{_TORCH[leaf]}"
    pathway = f"pathway{int(layers[0] == 'fast')}"
    if not layers[1].startswith("layer"):
        part = {"conv1": "conv", "bn1": "bn"}[layers[1]]
        return f"s1.{pathway}_stem.{part}.{_TORCH[leaf]}"
    stage, block = _block(layers[1])
    if layers[1].endswith("_non_local"):
        part = "bn" if layers[2] == "bn" else f"conv_{layers[2]}"
        return f"s{stage + 1}.{pathway}_nonlocal{block}.{part}.{_TORCH[leaf]}"
    bn = "_bn" if layers[2].startswith("bn") or layers[2].endswith("_bn") else ""
    downsample = layers[2].startswith("downsample")
    part = "branch1" if downsample else f"branch2.{_LETTER[layers[2][-1]]}"
    return f"s{stage + 1}.{pathway}_res{block}.{part}{bn}.{_TORCH[leaf]}"


def _as_caffe2(name, path):
    """The names from which slowfast/utils/c2_model_loading.py makes those above."""
    *layers, leaf = path.split("/")[1:]
    if layers == ["logits"]:
        return f"pred_{_CAFFE2[leaf]}"
    if layers[0].startswith("fuse"):
        bn = "_bn" if layers[1] == "bn" else ""
        if layers[0] == "fuse_conv1":
            return f"t_pool1_subsample{bn}_{_CAFFE2[leaf]}"
        stage = int(layers[0][-1])
        last = _depth(name, "fast", stage) - 1
        block = f"t_res{stage + 1}_{last}_branch2c_bn"
        return f"{block}_subsample{bn}_{_CAFFE2[leaf]}"
    t = "t_" if layers[0] == "fast" else ""
    if not layers[1].startswith("layer"):
        part = {"conv1": "conv1", "bn1": "res_conv1_bn"}[layers[1]]
        return f"{t}{part}_{_CAFFE2[leaf]}"
    stage, block = _block(layers[1])
    if layers[1].endswith("_non_local"):
        return f"{t}nonlocal_conv{stage + 1}_{block}_{layers[2]}_{_CAFFE2[leaf]}"
    bn = "_bn" if layers[2].startswith("bn") or layers[2].endswith("_bn") else ""
    downsample = layers[2].startswith("downsample")
    part = "branch1" if downsample else f"branch2{_LETTER[layers[2][-1]]}"
    return f"{t}res{stage + 1}_{block}_{part}{bn}_{_CAFFE2[leaf]}"


def _as_mmaction2(name, path):
    *layers, leaf = path.split("/")[1:]
    if layers == ["logits"]:
        return f"cls_head.fc_cls.{_TORCH[leaf]}"
    if layers[0].startswith("fuse"):
        lateral = layers[0].replace("fuse_", "") + "_lateral"
        return f"backbone.slow_path.{lateral}.conv.{_TORCH[leaf]}"
    trunk = {"backbone": "backbone"}.get(layers[0], f"backbone.{layers[0]}_path")
    if layers[1].endswith("_non_local"):
        stage, block = _block(layers[1])
        part = {"theta": "theta.conv", "phi": "phi.0.conv", "g": "g.0.conv"}.get(
            layers[2], {"out": "conv_out.conv", "bn": "conv_out.bn"}.get(layers[2])
        )
        start = f"{trunk}.layer{stage}.{block}.non_local_block"
        return f"{start}.{part}.{_TORCH[leaf]}"
    layer = layers[-1].replace("downsample_", "downsample.")
    if not layer.startswith("downsample"):
        kind = "conv" if layer.startswith("conv") else "bn"
        layer = f"conv{layer[-1]}.{kind}"
    if layers[1].startswith("layer"):
        stage, block = _block(layers[1])
        layer = f"layer{stage}.{block}.{layer}"
    return f"{trunk}.{layer}.{_TORCH[leaf]}"


_NAMINGS = {
    "pytorchvideo": functools.partial(_as_pytorchvideo, pooled=False),
    "pytorchvideo_pooled": functools.partial(_as_pytorchvideo, pooled=True),
    "pyslowfast": _as_pyslowfast,
    "caffe2": _as_caffe2,
    "mmaction2": _as_mmaction2,
}


def _checkpoint(name, naming, *, flat=False):
    """What a published file would hold, every array a number of its own."""
    arrays = {}
    for number, (path, place) in enumerate(_places(name).items()):
        shape = place.shape
        if path.endswith("/kernel"):
            shape = (*shape[:-3:-1], *shape[:-2])
            shape = (*shape[:2], *shape[3:]) if flat and len(shape) == 5 else shape
        value = np.float32(number + 1)
        arrays[_NAMINGS[naming](name, path)] = np.broadcast_to(value, shape)
    assert len(arrays) == len(_places(name))  # No two share a name.
    return arrays


# Those that no reference case covers, of PyTorchVideo's docs/source/model_zoo.md,
# PySlowFast's MODEL_ZOO.md (Caffe2, and what its training writes), MMAction2's README.
PUBLISHED = [
    ("c2d_resnet50", "pytorchvideo_pooled"),
    ("c2d_nopool_resnet50", "caffe2"),
    ("i3d_resnet50_nonlocal", "caffe2"),
    ("i3d_resnet50_nonlocal", "pyslowfast"),
    ("i3d_resnet50_nonlocal_mmaction2", "mmaction2"),
    ("i3d_resnet50_nonlocal_gaussian_mmaction2", "mmaction2"),
    ("slow_8x8_resnet101_mmaction2", "mmaction2"),
    ("slowfast_4x16_resnet50", "caffe2"),
]


@pytest.mark.parametrize(("name", "naming"), PUBLISHED)
def test_every_array_of_a_published_file_finds_its_place(name, naming):
    got = flatten(from_arrays(name, _checkpoint(name, naming)))
    for number, path in enumerate(_places(name)):
        assert got[path].flat[0] == number + 1, path


def test_kernels_of_mmaction2_s_c2d_have_no_axis_of_time():
    name = "c2d_resnet50_mmaction2"
    got = flatten(from_arrays(name, _checkpoint(name, "mmaction2", flat=True)))
    assert got["params/backbone/conv1/kernel"].shape == (1, 7, 7, 3, 64)
    for number, path in enumerate(_places(name)):
        assert got[path].flat[0] == number + 1, path


@pytest.mark.parametrize(
    ("source", "path"),
    # The examples that slowfast/utils/c2_model_loading.py gives in its comments.
    [
        ("t_pool1_subsample_bn_rm", "batch_stats/fuse_conv1/bn/mean"),
        ("t_pool1_subsample_w", "params/fuse_conv1/conv/kernel"),
        ("t_res4_5_branch2c_bn_subsample_bn_riv", "batch_stats/fuse_layer3/bn/var"),
        ("res4_4_branch2c_bn_b", "params/slow/layer3_4/bn3/bias"),
        ("res_conv1_bn_s", "params/slow/bn1/scale"),
        ("conv1_w", "params/slow/conv1/kernel"),
        ("t_res4_0_branch1_w", "params/fast/layer3_0/downsample_conv/kernel"),
        ("pred_b", "params/logits/bias"),
    ],
)
def test_names_in_caffe2_files_are_these(source, path):
    assert _as_caffe2("slowfast_8x8_resnet50", path) == source


def test_the_optimiser_in_caffe2_files_is_left_out():
    name = "slow_4x16_resnet50"
    arrays = _checkpoint(name, "caffe2")
    more = {f"{key}_momentum": array for key, array in arrays.items()}
    more |= {"lr": np.ones(1, np.float32), "model_iter": np.ones(1, np.float32)}
    from_arrays(name, {**arrays, **more})


@pytest.mark.parametrize(
    ("name", "source", "naming", "message"),
    [
        # The lateral kernels of 4x16 and of ResNet-101 have 5 frames, of 8x8 7.
        (
            "slowfast_4x16_resnet50",
            "slowfast_8x8_resnet50",
            "pyslowfast",
            r"fuse_conv1/conv/kernel: got \(7, .*expected \(5, ",
        ),
        # MMAction2's laterals have no batch norm.
        (
            "slowfast_8x8_resnet50",
            "slowfast_8x8_resnet50_mmaction2",
            "mmaction2",
            "fuse_layer1/bn/scale: nothing was converted",
        ),
        (
            "slowfast_8x8_resnet50_mmaction2",
            "slowfast_8x8_resnet50",
            "pytorchvideo",
            "fuse_layer1/bn/scale: the model has no such place",
        ),
        # PyTorchVideo counts the pool as a block.
        ("c2d_nopool_resnet50", "c2d_resnet50", "pytorchvideo_pooled", "blocks.6.proj"),
        ("c2d_resnet50", "c2d_nopool_resnet50", "pytorchvideo", "matches 0 rules"),
        # Kernels of Slow and C2D differ in time alone.
        ("slow_8x8_resnet50", "c2d_nopool_resnet50", "pyslowfast", "layer3_0/conv1"),
        (
            "i3d_resnet50",
            "i3d_resnet50_nonlocal",
            "caffe2",
            "layer2_1_non_local/theta/kernel: the model has no such place",
        ),
        # mmcv's last convolution has no bias, PySlowFast's has one.
        (
            "i3d_resnet50_nonlocal_mmaction2",
            "i3d_resnet50_nonlocal",
            "pyslowfast",
            "layer2_1_non_local/out/bias: the model has no such place",
        ),
    ],
)
def test_a_network_does_not_pass_for_its_like(name, source, naming, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(name, _checkpoint(source, naming))


def test_slow_takes_weights_for_flow():
    name = "slow_4x16_resnet50_mmaction2"
    arrays = _checkpoint(name, "mmaction2")
    stem = "backbone.conv1.conv.weight"
    arrays[stem] = arrays[stem][:, :2]
    got = from_arrays(name, arrays)
    kernel = got["params"]["backbone"]["conv1"]["kernel"]
    assert kernel.shape == (1, 7, 7, 2, 64)
