"""Multiply-adds of operations, whatever calls, loops and branches they stand in."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from vidjax.analysis.program import depending_on, layer_finder, multiply_adds


@pytest.fixture
def macs_of(program_of):
    def count(function, *shapes):
        return sum(map(multiply_adds, program_of(function, *shapes).operations))

    return count


def test_groups_divide_a_convolution(macs_of):
    def convolve(groups):
        return lambda x, kernel: jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    whole = macs_of(convolve(1), (1, 5, 5, 8), (3, 3, 8, 8))
    assert whole == 25 * 8 * 9 * 8
    assert macs_of(convolve(8), (1, 5, 5, 8), (3, 3, 1, 8)) == whole // 8


def test_a_transposed_convolution_costs_what_its_inputs_spread(macs_of):
    def spread(x, kernel):
        return jax.lax.conv_transpose(x, kernel, (2, 2), "SAME")

    # Every input position meets every element of the kernel once.
    assert macs_of(spread, (1, 4, 4, 3), (2, 2, 3, 5)) == 16 * 2 * 2 * 3 * 5


def test_products_count_batches_and_sums(macs_of):
    def attend(q, k):
        return jnp.einsum("bqhd,bkhd->bhqk", q, k)

    assert macs_of(attend, (2, 5, 3, 7), (2, 11, 3, 7)) == 2 * 3 * 5 * 11 * 7


def test_a_loop_counts_as_often_as_it_runs(macs_of):
    def loop(x, kernel):
        return jax.lax.scan(lambda carry, _: (carry @ kernel, None), x, length=6)[0]

    def nested(x, kernel):
        return jax.lax.fori_loop(0, 5, lambda _, carry: loop(carry, kernel), x)

    assert macs_of(loop, (2, 4), (4, 4)) == 6 * 2 * 4 * 4
    assert macs_of(jax.jit(nested), (2, 4), (4, 4)) == 5 * 6 * 2 * 4 * 4


def test_a_loop_counts_what_only_its_next_turn_reads(macs_of):
    def turn(carry, kernel):
        return carry @ kernel, jnp.sum(carry)

    def sums(x, kernels):
        return jax.lax.scan(turn, x, kernels)[1]

    assert macs_of(sums, (2, 4), (3, 4, 4)) == 3 * 2 * 4 * 4


def test_what_no_result_needs_does_not_count(macs_of):
    def half(x, kernel):
        unused = x @ kernel @ kernel
        return jnp.where(True, x @ kernel, x), [unused][1:]

    assert macs_of(half, (2, 4), (4, 4)) == 2 * 4 * 4


def test_what_depends_on_other_inputs_alone_is_left_out(program_of):
    def apply(x, kernel):
        return x @ (kernel @ kernel)

    program = program_of(apply, (2, 4), (4, 4))
    assert sum(map(multiply_adds, program.operations)) == 4 * 4 * 4 + 2 * 4 * 4
    varying = depending_on(program, program.inputs[:1])
    assert sum(map(multiply_adds, varying.operations)) == 2 * 4 * 4


def test_the_costliest_branch_counts(macs_of):
    def choose(x, kernel):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ kernel @ kernel, lambda: x)

    assert macs_of(choose, (2, 4), (4, 4)) == 2 * 2 * 4 * 4


def test_custom_derivatives_and_checkpoints_are_looked_into(macs_of):
    @jax.custom_vjp
    def product(x, kernel):
        return x @ kernel

    @jax.custom_jvp
    def other(x, kernel):
        return x @ kernel

    product.defvjp(lambda x, kernel: (x @ kernel, None), lambda _, grad: (grad, grad))
    other.defjvp(lambda primals, tangents: (other(*primals), tangents[0]))
    for function in (product, jax.checkpoint(product), other):
        assert macs_of(function, (2, 4), (4, 4)) == 2 * 4 * 4


def test_vmapped_modules_count_every_copy(macs_of):
    dense = nn.Dense(3, use_bias=False)

    def apply(kernel, x):
        return jax.vmap(lambda row: dense.apply({"params": {"kernel": kernel}}, row))(x)

    assert macs_of(apply, (4, 3), (5, 2, 4)) == 5 * 2 * 4 * 3


def test_a_loop_of_unknown_length_is_an_error(macs_of):
    def forever(x, kernel):
        return jax.lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c @ kernel, x)

    def harmless(x, kernel):
        return jax.lax.while_loop(lambda c: c[0, 0] > 0, lambda c: c - 1, x) @ kernel

    with pytest.raises(ValueError, match="unknown length"):
        macs_of(forever, (2, 4), (4, 4))
    assert macs_of(harmless, (2, 4), (4, 4)) == 2 * 4 * 4


def test_scopes_lead_to_the_layers_that_have_parameters():
    find = layer_finder(["backbone/conv1", "backbone/layer1_0/bn1", "logits"])
    assert find("jvp(TSM)/backbone/conv1/conv1.pad") == "backbone/conv1"
    assert find("TSM/backbone/layer1_0/checkpoint/bn1") == "backbone/layer1_0/bn1"
    assert find("vmap(TSM)/backbone/pool") == "backbone"
    assert find("TSM") == find("") == ""
