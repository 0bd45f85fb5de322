"""What the four conventions add to the multiply-adds, and what they leave out."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from vidjax.analysis.conventions import CONVENTIONS, count
from vidjax.analysis.cost import cost, module_cost, trace
from vidjax.analysis.program import layer_finder
from vidjax.layers.conv import Conv
from vidjax.layers.norm import BatchNorm
from vidjax.models.registry import create_model
from vidjax.ops.platform import compile_for

CLIP = (2, 8, 8, 3)
ELEMENTS = 2 * 8 * 8 * 5


class Net(nn.Module):
    """A convolution of 5 channels, norms, a classifier of 7 classes."""

    remat: bool = False
    turns: int = 0

    @nn.compact
    def __call__(self, clip, *, train=False):
        x = Conv(5, (1, 1, 1), name="conv")(clip)
        norm = nn.remat(BatchNorm) if self.remat else BatchNorm
        x = norm(train, name="bn")(x)
        if self.turns:
            loop = nn.scan(
                Turn,
                variable_broadcast="params",
                split_rngs={"params": False},
                length=self.turns,
            )
            x, _ = loop(name="loop")(x, None)
        return nn.Dense(7, name="logits")(jnp.mean(x, (1, 2, 3)))


class Turn(nn.Module):
    """A layer norm, as the body of a loop."""

    @nn.compact
    def __call__(self, x, _):
        return nn.LayerNorm(name="norm")(x), None


def _count(convention, **arguments):
    return module_cost(Net(**arguments), CLIP, convention=convention, activations=False)


@pytest.mark.parametrize("remat", [False, True])
def test_norms_count_by_the_elements_that_enter_them(remat):
    products, classifier = ELEMENTS * 3, 5 * 7
    assert _count("macs", remat=remat).macs == products + classifier
    ptv = _count("pytorchvideo", remat=remat)
    assert ptv.macs == products + classifier + 5 * ELEMENTS
    assert {row.path: row.macs for row in ptv.layers}["bn"] == 5 * ELEMENTS


def test_mmaction2_leaves_the_classifier_out():
    found = _count("mmaction2")
    assert found.macs == ELEMENTS * 3 + 2 * ELEMENTS
    assert {row.path: row.macs for row in found.layers}["logits"] == 0


def test_a_layer_norm_in_a_loop_counts_every_turn():
    with_loop, without = _count("mmaction2", turns=4).macs, _count("mmaction2").macs
    assert with_loop == without + 4 * 5 * ELEMENTS


def test_a_norm_inside_a_norm_counts_once():
    class OuterNorm(nn.Module):
        @nn.compact
        def __call__(self, clip, *, train=False):
            return nn.LayerNorm(name="inner")(clip)

    found = module_cost(OuterNorm(), CLIP, convention="pytorchvideo", activations=False)
    assert found.macs == 5 * 2 * 8 * 8 * 3


def test_xla_counts_what_it_counts_of_the_whole_program():
    model = create_model("tsm_resnet_tiny")
    shape = (8, 32, 32, 3)
    traced = trace(model, shape)
    with compile_for("tpu"):
        whole = jax.jit(lambda v, c: model.apply(v, c)[0]).lower(
            traced.variables, traced.clip
        )
    found = count(traced.forward, "xla", layer_finder(traced.params))
    half = whole.cost_analysis()["flops"] / 2
    # XLA also counts the few operations on parameters alone.
    assert sum(found.values()) == pytest.approx(half, rel=5e-4)
    # Zeros of the padding do not count; elementwise operations do.
    assert sum(found.values()) < cost("tsm_resnet_tiny", activations=False).macs


def test_xla_counts_every_turn_of_a_loop():
    one, four = (_count("xla", turns=turns).macs for turns in (1, 4))
    without = _count("xla").macs
    assert four - without == pytest.approx(4 * (one - without), rel=1e-3)
    assert one > without


def test_an_unknown_convention_is_an_error(unchecked):
    with pytest.raises(ValueError, match="macs, pytorchvideo, mmaction2, xla"):
        cost("resnet_tiny", convention="flops")
    assert list(CONVENTIONS) == ["macs", "pytorchvideo", "mmaction2", "xla"]
