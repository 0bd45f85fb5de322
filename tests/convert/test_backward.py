import json
import pathlib
import re

import numpy as np
import pytest
from hypothesis import given, strategies

from vidjax import convert
from vidjax.convert import backward
from vidjax.convert.entries import clean
from vidjax.convert.families import FAMILIES
from vidjax.convert.rules import (
    Naming,
    conv_rules,
    dense_rules,
    kernel_from_torch,
    matrix_from_pointwise,
    norm_rules,
    same,
    translate,
)

CASES = pathlib.Path(__file__).parent.parent / "parity" / "cases"
BLOCKS = Naming(
    "blocks",
    conv_rules(r"layer(\d)\.(\d+)\.conv([23])", r"layer\1_\2/conv\3")
    | norm_rules(r"layer(\d)\.(\d+)\.bn([23])", r"layer\1_\2/bn\3")
    | dense_rules("fc", "logits"),
)


def _same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name])


@given(
    stage=strategies.integers(0, 9),
    block=strategies.integers(0, 10**6),
    part=strategies.sampled_from("23"),
)
def test_names_come_back(stage, block, part):
    arrays = {
        f"layer{stage}.{block}.conv{part}.weight": np.arange(24.0).reshape(2, 3, 2, 2),
        f"layer{stage}.{block}.bn{part}.running_var": np.arange(2.0),
        "fc.bias": np.arange(4.0),
    }
    variables, problems = translate(arrays, BLOCKS)
    assert problems == []
    _same(backward.restore(variables, BLOCKS), arrays)


def test_a_path_that_no_name_leads_to_is_a_problem():
    with pytest.raises(ValueError, match=r"layer1_0/conv4/kernel: blocks has no name"):
        backward.restore({"params/layer1_0/conv4/kernel": np.zeros(1)}, BLOCKS)


def test_a_path_with_two_names_is_a_problem():
    naming = Naming("n", {"a": ("params/x", same), "b": ("params/x", same)})
    with pytest.raises(ValueError, match=r"params/x: n has a, b for it"):
        backward.restore({"params/x": np.zeros(1)}, naming)


def test_a_group_that_stands_twice_must_agree():
    naming = Naming("n", {r"(\d)\.w": (r"params/a\1/b\1", same)})
    found = backward.restore({"params/a3/b3": np.zeros(1)}, naming)
    assert found.keys() == {"3.w"}
    with pytest.raises(ValueError, match="no name"):
        backward.restore({"params/a3/b4": np.zeros(1)}, naming)


@pytest.mark.parametrize(
    "pattern", [r"a\.(?:b|c)", r"a\.b?", r"a.b", r"a\.(?:\.b)?", r"a[12]", r"a(\d)"]
)
def test_a_rule_that_stands_for_several_names_cannot_be_turned_round(pattern):
    assert not backward.can_restore(Naming("n", {pattern: ("params/a", same)}))


def test_a_layout_that_nothing_undoes_cannot_be_turned_round():
    def flip(array):
        return array[::-1]

    rules = {"a": ("params/a", flip)}
    assert not backward.can_restore(Naming("n", rules))
    undone = Naming("n", rules, back={flip: flip})
    array = np.arange(3.0)
    variables, _ = translate({"a": array}, undone)
    _same(backward.restore(variables, undone), {"a": array})


def test_arrays_that_were_joined_need_what_parts_them():
    def join(arrays):
        return {"qk": np.concatenate([arrays["q"], arrays["k"]])}

    def part(arrays):
        return dict(zip("qk", np.split(arrays["qk"], 2), strict=True))

    rules = {"qk": ("params/qk", same)}
    assert not backward.can_restore(Naming("n", rules, prepare=join))
    naming = Naming("n", rules, prepare=join, restore=part)
    arrays = {"q": np.arange(3.0), "k": np.arange(3.0) + 7}
    variables, _ = translate(arrays, naming)
    _same(backward.restore(variables, naming), arrays)


def test_a_wrong_way_back_is_an_error_and_no_file():
    def double(array):
        return 2 * array

    naming = Naming("n", {"a": ("params/a", double)}, back={double: same})
    with pytest.raises(ValueError, match="params/a: the way back changes it"):
        backward.restore({"params/a": np.ones(2)}, naming)


@given(strategies.lists(strategies.integers(1, 3), min_size=2, max_size=5))
def test_layouts_come_back_at_any_rank(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    naming = Naming("n", {"a": ("params/a", kernel_from_torch)})
    _same(backward.restore(translate({"a": array}, naming)[0], naming), {"a": array})


def test_pointwise_convolutions_get_their_ones_back():
    array = np.arange(6.0).reshape(2, 3, 1, 1, 1)
    naming = Naming("n", {"a": ("params/a", matrix_from_pointwise)})
    _same(backward.restore(translate({"a": array}, naming)[0], naming), {"a": array})
    _, problems = translate({"a": array[..., 0]}, naming)
    assert "unexpected" in problems[0]


def _spec(case):
    """Names and shapes of a published checkpoint."""
    with np.load(CASES / f"{case}.npz") as file:
        tensors = json.loads(file["spec"].tobytes())["tensors"]
    return {name: shape for name, shape, *_ in tensors}


def _published(shapes):
    return {
        name: np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for name, shape in shapes.items()
    }


def _explains(naming, arrays):
    """Whether a naming has rules for all names, or for what it makes of them."""
    forms = arrays, naming.prepare(dict(arrays))
    named = any(all(naming.hits(name) for name in form) for form in forms)
    return named and not translate(arrays, naming)[1]


def _needed(arrays, naming):
    """What of a checkpoint has a place."""
    ignored = [re.compile(pattern) for pattern in naming.ignore]
    return {
        name: array
        for name, array in arrays.items()
        if not any(pattern.fullmatch(name) for pattern in ignored)
    }


def _fitting(arrays):
    """Namings that explain arrays: as they are, unwrapped, or without what is ignored.

    Two output channels are enough for names and layouts, where the first axis has them.
    """
    tables = {table for family in FAMILIES.values() for table in family.namings}
    small = {n: a[:2] if a.ndim else a for n, a in arrays.items()}
    forms = (
        lambda _: small,
        lambda _: clean(small),
        lambda table: _needed(small, table),
        lambda _: arrays,
    )
    for form in forms:
        found = [(t, form(t)) for t in tables if _explains(t, form(t))]
        if found:
            return found
    return []


@pytest.mark.parametrize("case", sorted(path.stem for path in CASES.glob("*.npz")))
def test_every_published_naming_that_can_be_written_comes_back(case):
    fitting = _fitting(_published(_spec(case)))
    assert fitting
    for naming, arrays in fitting:
        if backward.can_restore(naming):
            variables, _ = translate(arrays, naming)
            _same(backward.restore(variables, naming), arrays)


def test_torchvision_can_always_be_written():
    tables = {table for family in FAMILIES.values() for table in family.namings}
    torchvision = [t for t in tables if re.match("torchvision", t.name)]
    assert torchvision
    assert all(map(backward.can_restore, torchvision))


def test_a_whole_model_comes_back_bit_for_bit():
    arrays = _published(_spec("torchvision__resnet18"))
    variables = convert.from_arrays("resnet18", arrays)
    _same(convert.to_arrays("resnet18", variables), arrays)


def test_flow_comes_back_with_its_channels():
    arrays = _published(_spec("torchvision__resnet50"))
    arrays["conv1.weight"] = np.ones((64, 10, 7, 7), np.float32)
    variables = convert.from_arrays("tsm_resnet50", arrays, num_classes=1000)
    _same(convert.to_arrays("tsm_resnet50", variables), arrays)


def test_variables_of_another_model_are_refused():
    arrays = _published(_spec("torchvision__resnet18"))
    variables = convert.from_arrays("resnet18", arrays)
    with pytest.raises(ValueError, match="variables are not of resnet34"):
        convert.to_arrays("resnet34", variables)


def test_a_naming_that_cannot_be_written_says_which_can():
    with pytest.raises(ValueError, match=r"and not written.*in: torchvision, vidjax"):
        convert.to_arrays("tsm_resnet50", {}, "mit-han-lab/temporal-shift-module")
    with pytest.raises(ValueError, match=r"no naming 'torchvison'.*mean 'torchvision'"):
        convert.to_arrays("tsm_resnet50", {}, "torchvison")
