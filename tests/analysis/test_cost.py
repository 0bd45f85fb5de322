import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

import vidjax
from vidjax.analysis.cost import cost, layer_macs
from vidjax.models.registry import list_models, model_card

# Counted on the original implementations (convolutions, linear layers and products of
# attention; one multiply-add counts once): model, clip, parameters, 1e9 multiply-adds.
ORIGINALS = [
    ("resnet18", (1, 224, 224, 3), 11_689_512, 1.814073344),
    ("resnet50", (1, 224, 224, 3), 25_557_032, 4.089184256),
    ("tsn_resnet50", (8, 224, 224, 3), 24_327_632, 32.703643648),
    ("tsm_resnet50", (8, 224, 224, 3), 24_327_632, 32.703643648),
    ("tsm_resnet50", (8, 224, 224, 10), 24_349_584, 34.906570752),
    ("c3d", (16, 112, 112, 3), 78_409_573, 38.547378176),
    # The ports to PyTorch have a scale in each of their norms, 7280 in all.
    ("i3d_rgb", (32, 224, 224, 3), 12_697_264 - 7280, 55.576367104),
    ("i3d_flow", (32, 224, 224, 2), 12_675_312 - 7280, 51.170512896),
]


def _macs(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return sum(layer_macs(jax.make_jaxpr(function)(*arrays).jaxpr).values())


@pytest.mark.parametrize(("name", "clip_shape", "params", "gmacs"), ORIGINALS)
def test_costs_are_those_of_the_originals(name, clip_shape, params, gmacs):
    found = cost(name, clip_shape)
    assert found.params == params
    assert found.gmacs == pytest.approx(gmacs, rel=1e-4)


@pytest.mark.parametrize("name", [*vidjax.list_models()])
def test_cards_say_what_models_cost(name):
    found, card = cost(name), model_card(name)
    assert found.clip_shape == card.clip.shape
    assert found.params == card.params
    assert found.gmacs == pytest.approx(card.gmacs, rel=1e-3)


def test_layers_add_up_and_have_the_paths_of_their_parameters():
    found = cost("tsm_resnet_tiny")
    layers = {path: (params, macs) for path, params, macs in found.layers}
    assert sum(params for params, _ in layers.values()) == found.params
    assert sum(macs for _, macs in layers.values()) == found.macs
    # 8 frames of 16 x 16 outputs, 16 channels from windows of 3 x 3 x 3.
    assert layers["backbone/conv1"] == (432, 8 * 16 * 16 * 16 * 27)
    assert layers["backbone/bn1"] == (32, 0)


def test_blocks_that_are_computed_again_cost_the_same_forward():
    plain, again = cost("tsm_resnet_tiny"), cost("tsm_resnet_tiny", remat=True)
    assert again.layers == plain.layers


def test_more_classes_cost_more():
    assert cost("resnet_tiny", num_classes=11).params == cost("resnet_tiny").params + 65


def test_groups_divide_a_convolution():
    def convolve(groups):
        return lambda x, kernel: jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    whole = _macs(convolve(1), (1, 5, 5, 8), (3, 3, 8, 8))
    assert whole == 25 * 8 * 9 * 8
    assert _macs(convolve(8), (1, 5, 5, 8), (3, 3, 1, 8)) == whole // 8


def test_a_transposed_convolution_costs_what_its_inputs_spread():
    def spread(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME")

    # Every input position meets every element of the kernel once.
    assert _macs(spread, (1, 4, 4, 3), (2, 2, 3, 5)) == 16 * 2 * 2 * 3 * 5


def test_products_count_batches_and_sums():
    def attend(q, k):
        return jnp.einsum("bqhd,bkhd->bhqk", q, k)

    assert _macs(attend, (2, 5, 3, 7), (2, 11, 3, 7)) == 2 * 3 * 5 * 11 * 7


def test_a_loop_counts_as_often_as_it_runs():
    def loop(x, kernel):
        return jax.lax.scan(lambda carry, _: (carry @ kernel, None), x, length=6)[0]

    def nested(x, kernel):
        return jax.lax.fori_loop(0, 5, lambda _, carry: loop(carry, kernel), x)

    assert _macs(loop, (2, 4), (4, 4)) == 6 * 2 * 4 * 4
    assert _macs(jax.jit(nested), (2, 4), (4, 4)) == 5 * 6 * 2 * 4 * 4


def test_the_costliest_branch_counts():
    def choose(x, kernel):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ kernel @ kernel, lambda: x)

    assert _macs(choose, (2, 4), (4, 4)) == 2 * 2 * 4 * 4


def test_custom_derivatives_and_checkpoints_are_looked_into():
    @jax.custom_vjp
    def product(x, kernel):
        return x @ kernel

    @jax.custom_jvp
    def other(x, kernel):
        return x @ kernel

    product.defvjp(lambda x, kernel: (x @ kernel, None), lambda _, grad: (grad, grad))
    other.defjvp(lambda primals, tangents: (other(*primals), tangents[0]))
    for function in (product, jax.checkpoint(product), other):
        assert _macs(function, (2, 4), (4, 4)) == 2 * 4 * 4


def test_vmapped_modules_count_every_copy():
    dense = nn.Dense(3, use_bias=False)

    def apply(kernel, x):
        return jax.vmap(lambda row: dense.apply({"params": {"kernel": kernel}}, row))(x)

    assert _macs(apply, (4, 3), (5, 2, 4)) == 5 * 2 * 4 * 3


def test_a_loop_of_unknown_length_is_an_error():
    def forever(x, kernel):
        return jax.lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c @ kernel, x)

    with pytest.raises(ValueError, match="unknown length"):
        _macs(forever, (2, 4), (4, 4))


def test_a_wrong_clip_shape_or_argument_is_an_error():
    with pytest.raises(ValueError, match=r"\(T, H, W, C\)"):
        cost("resnet_tiny", (1, 1, 32, 32, 3))
    with pytest.raises(ValueError, match="one frame"):
        cost("resnet_tiny", (2, 32, 32, 3))
    with pytest.raises(TypeError, match="num_classes"):
        cost("resnet_tiny", num_clases=3)
    with pytest.raises(ValueError, match="resnet_tiny"):
        cost("resnet_tyni")
    assert len(list_models()) >= 20
