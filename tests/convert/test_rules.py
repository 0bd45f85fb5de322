import numpy as np
import pytest

from vidjax.convert.rules import (
    Naming,
    check_fit,
    conv_rules,
    dense_rules,
    kernel_from_torch,
    matrix_from_pointwise,
    norm_rules,
    recognise,
    same,
    translate,
)

FAMILY_A = Naming(
    "a",
    conv_rules(r"layer(\d)\.conv", r"layer_\1")
    | norm_rules(r"layer(\d)\.bn", r"norm_\1")
    | dense_rules("fc", "logits"),
)
FAMILY_B = Naming("b", {r"body/(\w+)": (r"params/\1/kernel", same)})


def test_names_and_layouts_are_translated():
    conv = np.arange(2 * 3 * 5 * 5).reshape(2, 3, 5, 5)
    arrays = {
        "layer1.conv.weight": conv,
        "layer1.bn.weight": np.ones(2),
        "layer1.bn.bias": np.zeros(2),
        "layer1.bn.running_mean": np.full(2, 0.5),
        "layer1.bn.running_var": np.full(2, 2.0),
        "layer1.bn.num_batches_tracked": np.array(7),
        "fc.weight": np.arange(6).reshape(2, 3),
        "fc.bias": np.arange(2),
    }
    got, problems = translate(arrays, FAMILY_A)
    assert problems == []
    assert got.keys() == {
        "params/layer_1/kernel",
        "params/norm_1/scale",
        "params/norm_1/bias",
        "batch_stats/norm_1/mean",
        "batch_stats/norm_1/var",
        "params/logits/kernel",
        "params/logits/bias",
    }
    assert got["params/layer_1/kernel"][4, 2, 1, 0] == conv[0, 1, 4, 2]
    np.testing.assert_array_equal(got["params/logits/kernel"], [[0, 3], [1, 4], [2, 5]])


def test_kernels_of_any_rank_get_their_channels_last():
    cube = np.arange(2 * 3 * 4 * 5 * 6).reshape(2, 3, 4, 5, 6)
    assert kernel_from_torch(cube)[3, 4, 5, 2, 1] == cube[1, 2, 3, 4, 5]
    assert matrix_from_pointwise(cube[..., :1, :1, :1]).shape == (3, 2)


def test_what_has_no_rule_or_no_free_place_is_a_problem():
    arrays = {"fc.weight": np.zeros((2, 3)), "fc.gamma": np.zeros(2)}
    _, problems = translate(arrays, FAMILY_A)
    assert problems == ["fc.gamma: matches 0 rules of a"]

    twice = Naming("twice", {r"\w+": ("params/x", same)})
    _, problems = translate({"a": np.zeros(1), "b": np.zeros(1)}, twice)
    assert problems == ["b: params/x has been filled already"]

    double = Naming("double", {r"\w+": ("params/x", same), "a": ("params/y", same)})
    _, problems = translate({"a": np.zeros(1)}, double)
    assert problems == ["a: matches 2 rules of double"]


def test_an_array_of_unexpected_rank_is_a_problem():
    naming = Naming("n", {"a": ("params/a", matrix_from_pointwise)})
    _, problems = translate({"a": np.zeros((2, 3, 4, 1, 1))}, naming)
    assert len(problems) == 1
    assert "shape (2, 3, 4, 1, 1) is unexpected" in problems[0]


def test_both_sides_are_checked():
    got = {"params/a": np.zeros((2, 3)), "params/b": np.zeros(1)}
    want = {"params/a": np.zeros((3, 2)), "params/c": np.zeros(1)}
    assert check_fit(got, want) == [
        "params/a: got (2, 3), expected (3, 2)",
        "params/b: the model has no such place",
        "params/c: nothing was converted to it",
    ]


def test_the_naming_that_explains_most_is_taken():
    arrays = {"body/a": np.zeros(1), "body/b": np.zeros(1), "fc.bias": np.zeros(1)}
    assert recognise(arrays, (FAMILY_A, FAMILY_B)) is FAMILY_B


def test_an_unknown_naming_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'x', 'y', 'z' and 2 more.*namings of a, b"):
        recognise(dict.fromkeys("xyzvw", np.zeros(1)), (FAMILY_A, FAMILY_B))


def test_an_array_that_is_there_twice_must_be_the_same_twice():
    naming = Naming(
        "n",
        {r"pool_(\w)\.weight": (r"params/\1/kernel", same)},
        aliases={r"_attention_pool_(\w)\.pool\.weight": r"pool_\1.weight"},
    )
    original, copy = "pool_k.weight", "_attention_pool_k.pool.weight"
    got, problems = translate({original: np.ones(3), copy: np.ones(3)}, naming)
    assert got.keys() == {"params/k/kernel"}
    assert problems == []
    problem = f"{copy}: {original}, which it repeats, is another"
    assert translate({original: np.ones(3), copy: np.zeros(3)}, naming)[1] == [problem]
    assert translate({copy: np.ones(3)}, naming)[1] == [problem]
