"""Activation bytes, counted by hand on networks of a few layers."""

import jax.numpy as jnp
import pytest
from flax import linen as nn

from vidjax.analysis.cost import cost, module_cost
from vidjax.layers.conv import Conv
from vidjax.layers.norm import BatchNorm

CLIP = (1, 8, 8, 4)
MAP = 8 * 8 * 4 * 4  # Bytes of a map of 4 channels in float32.


class Chain(nn.Module):
    """Convolutions of 4 channels with what may stand between them."""

    depth: int = 3
    norm: bool = False
    act: bool = False
    remat: bool = False
    dropout_rate: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clip, *, train=False):
        x = clip.astype(self.dtype)
        link = nn.remat(Link, static_argnums=(2,)) if self.remat else Link
        for i in range(self.depth):
            x = link(self.norm, self.act, self.dtype, name=f"link{i}")(x, train)
            x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
        return jnp.mean(x, (1, 2, 3)).astype(jnp.float32)


class Link(nn.Module):
    norm: bool
    act: bool
    dtype: str

    @nn.compact
    def __call__(self, x, train):
        x = Conv(4, (1, 1, 1), dtype=self.dtype, name="conv")(x)
        if self.norm:
            x = BatchNorm(train, dtype=self.dtype, name="bn")(x)
        return nn.relu(x) if self.act else x


def _bytes(**arguments):
    found = module_cost(Chain(**arguments), CLIP)
    return found.forward_bytes, found.training_bytes


def test_a_chain_of_convolutions_holds_two_maps_and_keeps_its_inputs():
    # Each convolution but the first keeps its input; the clip is no activation.
    assert _bytes(depth=3) == (2 * MAP, 2 * MAP)
    assert _bytes(depth=5) == (2 * MAP, 4 * MAP)


def test_a_norm_keeps_its_input_and_an_activation_the_next_input():
    forward, kept = _bytes(depth=3, norm=True, act=True)
    assert kept // MAP == 3 + 2
    assert 0 < kept % MAP <= 3 * 16 * 4  # Statistics of 4 channels.
    assert forward == 2 * MAP


def test_an_activation_without_norm_adds_its_signs():
    signs = MAP // 4  # A byte each.
    assert _bytes(depth=3, act=True) == (2 * MAP, 2 * MAP + 3 * signs)


def test_half_the_precision_is_half_the_bytes():
    forward, kept = _bytes(depth=4, act=True, dtype="bfloat16")
    assert forward == MAP
    # The clip in bfloat16 and three inputs, and the signs of four activations.
    assert kept == 4 * MAP // 2 + 4 * MAP // 4


def test_what_is_computed_again_is_not_kept():
    plain = _bytes(depth=4, norm=True, act=True)[1]
    again = _bytes(depth=4, norm=True, act=True, remat=True)[1]
    assert again == 3 * MAP  # The inputs of all links but the first.
    assert again < plain


def test_dropout_keeps_its_mask():
    none, some = (_bytes(depth=2, dropout_rate=rate)[1] for rate in (0.0, 0.5))
    assert some == none + 2 * MAP // 4


def test_a_shortcut_lives_until_it_is_added():
    class Residual(nn.Module):
        @nn.compact
        def __call__(self, clip, *, train=False):
            x = Conv(4, (1, 1, 1), name="conv0")(clip)
            y = Conv(4, (1, 1, 1), name="conv1")(x)
            y = Conv(4, (1, 1, 1), name="conv2")(y)
            return jnp.mean(x + y, (1, 2, 3))

    found = module_cost(Residual(), CLIP)
    assert found.forward_bytes == 3 * MAP
    assert found.training_bytes == 2 * MAP
    alive = {row.path: row.forward_bytes for row in found.layers}
    assert (alive["conv0"], alive["conv1"], alive["conv2"]) == (MAP, 2 * MAP, 3 * MAP)


def test_a_loop_keeps_its_input_of_every_turn():
    class Looped(nn.Module):
        @nn.compact
        def __call__(self, clip, *, train=False):
            loop = nn.scan(
                Body,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                length=5,
            )
            x, _ = loop(name="loop")(clip, None)
            return jnp.mean(x, (1, 2, 3))

    class Body(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return Conv(4, (1, 1, 1), name="conv")(x), None

    assert module_cost(Looped(), CLIP).training_bytes == 5 * MAP


@pytest.mark.parametrize("name", ["tsm_resnet_tiny", "c3d_tiny", "i3d_tiny"])
def test_layers_add_up_and_batches_multiply(name):
    one, three = cost(name), cost(name, batch=3)
    assert sum(row.training_bytes for row in one.layers) == one.training_bytes
    assert max(row.forward_bytes for row in one.layers) == one.forward_bytes
    assert three.macs == 3 * one.macs
    assert three.params == one.params
    assert three.forward_bytes == 3 * one.forward_bytes
    # Statistics of batch norm do not grow.
    assert 2.9 * one.training_bytes < three.training_bytes <= 3 * one.training_bytes
