"""2D, (2+1)D and 3D kernels: their costs follow from the arithmetic of kernels."""

import pytest

from vidjax.analysis.kernels import MAP_SHAPE, kernel_costs


@pytest.fixture(scope="module")
def costs():
    return {name.split(":")[0]: found for name, (_, found) in kernel_costs().items()}


def test_a_3d_kernel_costs_as_much_as_it_is_long(costs):
    flat, deep = costs["2D"], costs["3D"]
    norm = 2 * 64
    assert deep.params - norm == 3 * (flat.params - norm) == 27 * 64 * 64
    assert deep.macs == 3 * flat.macs == 16 * 56 * 56 * 27 * 64 * 64
    assert deep.forward_bytes == flat.forward_bytes
    assert deep.training_bytes == flat.training_bytes


def test_a_factorised_kernel_costs_the_same_and_needs_more_memory(costs):
    deep, factorised = costs["3D"], costs["(2+1)D"]
    assert factorised.macs == deep.macs
    assert factorised.params == deep.params + 2 * 144  # The norm between.
    assert factorised.training_bytes > 5 * deep.training_bytes


def test_memory_is_counted_in_maps(costs):
    numbers = 1
    for extent in MAP_SHAPE:
        numbers *= extent
    # In a plain layer, the output of the convolution is alive with that of the relu,
    # and is what batch norm keeps; a few numbers a channel come on top.
    assert costs["2D"].forward_bytes == pytest.approx(2 * 4 * numbers, rel=1e-3)
    assert costs["2D"].training_bytes == pytest.approx(4 * numbers, rel=1e-3)


def test_separating_channels_makes_time_cheap(costs):
    assert costs["channel-separated"].macs < costs["2D"].macs / 5
    assert costs["separable"].macs < costs["3D"].macs / 2
