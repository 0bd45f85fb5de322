import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.layers.conv import Conv, ConvBlock
from vidjax.layers.norm import BatchNorm
from vidjax.ops.platform import compile_for


def _slow_conv(x, kernel, strides, pads):
    """A convolution by its definition, in numpy: [B, *space, C]."""
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    window = kernel.shape[:-2]
    space = [
        (n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], window, strides, strict=True)
    ]
    out = np.zeros((x.shape[0], *space, kernel.shape[-1]))
    for at in itertools.product(*map(range, space)):
        places = tuple(
            slice(i * s, i * s + k) for i, s, k in zip(at, strides, window, strict=True)
        )
        patch = x[(slice(None), *places)].reshape(x.shape[0], -1)
        out[(slice(None), *at)] = patch @ kernel.reshape(-1, kernel.shape[-1])
    return out


@pytest.mark.parametrize(
    ("size", "kernel", "strides", "padding", "pads"),
    [
        ((6, 5), (3, 3), 1, "SAME", [(1, 1), (1, 1)]),
        # TensorFlow pads an even size before a stride of two at the end only.
        ((6, 5), (3, 3), 2, "SAME", [(0, 1), (1, 1)]),
        ((6, 5), (3, 3), 2, "torch", [(1, 1), (1, 1)]),
        ((4, 6, 6), (3, 3, 3), (1, 2, 2), "torch", [(1, 1)] * 3),
        ((8, 8, 8), (7, 7, 7), (2, 2, 2), "SAME", [(2, 3)] * 3),
        ((4, 6, 6), (1, 3, 3), 1, "VALID", [(0, 0)] * 3),
        ((4, 6, 6), (3, 2, 2), 2, ((2, 0), (0, 1), (1, 1)), [(2, 0), (0, 1), (1, 1)]),
    ],
)
def test_a_convolution_is_what_its_definition_says(
    size, kernel, strides, padding, pads
):
    conv = Conv(4, kernel, strides, padding)
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)

    y, variables = conv.init_with_output(jax.random.key(0), jnp.asarray(x))

    steps = (strides,) * len(kernel) if isinstance(strides, int) else strides
    want = _slow_conv(x, np.asarray(variables["params"]["kernel"]), steps, pads)
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "primitive"),
    [
        ((3, 5, 3), 1, "SAME", "concatenate"),
        ((3, 5, 3), (2, 2, 2), "torch", "concatenate"),
        ((3, 5, 3), (2, 1, 2), "VALID", "concatenate"),
        ((1, 1, 1), (1, 2, 2), "SAME", "dot_general"),
        ((1, 1), 2, "torch", "dot_general"),
    ],
)
def test_forms_of_platforms_are_equal_with_their_gradients(
    kernel, strides, padding, primitive
):
    conv = Conv(4, kernel, strides, padding)
    x = jax.random.normal(jax.random.key(0), (2, 5, 7, 6, 3))
    variables = conv.init(jax.random.key(1), x)

    def results(platform):
        with compile_for(platform):
            y, pull = jax.vjp(conv.apply, variables, x)
            text = str(jax.make_jaxpr(conv.apply)(variables, x))
        return primitive in text, [y, *jax.tree.leaves(pull(jnp.cos(y)))]

    (chosen, cpu), (other, tpu) = results("cpu"), results("tpu")
    assert (chosen, other) == (True, False)
    for a, b in zip(cpu, tpu, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_leading_axes_are_a_batch():
    conv = Conv(4, (3, 3))
    clip = jax.random.normal(jax.random.key(0), (2, 3, 6, 6, 3))
    variables = conv.init(jax.random.key(1), clip)

    y = conv.apply(variables, clip)

    assert y.shape == (2, 3, 6, 6, 4)
    np.testing.assert_allclose(
        y[1, 2], conv.apply(variables, clip[1, 2][None])[0], 1e-5
    )


def test_a_bias_is_added_to_every_position():
    conv = Conv(2, (1, 1), use_bias=True)
    x = jnp.zeros((1, 2, 2, 3))
    variables = conv.init(jax.random.key(0), x)
    variables["params"]["bias"] = jnp.array([1.0, 2.0])
    assert conv.apply(variables, x)[0, 1, 1].tolist() == [1.0, 2.0]


def test_computation_takes_the_dtype_and_parameters_stay_float32():
    y, variables = Conv(2, (3, 3), use_bias=True, dtype="bfloat16").init_with_output(
        jax.random.key(0), jnp.ones((1, 4, 4, 3))
    )
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_another_number_of_channels_is_refused_by_name():
    conv = ConvBlock(2, (3, 3))
    variables = conv.init(jax.random.key(0), jnp.ones((1, 4, 4, 3)))
    with pytest.raises(ValueError, match=r"Expected 3 channels.*of conv .*got 2"):
        conv.apply(variables, jnp.ones((1, 4, 4, 2)))


def test_a_block_without_norm_has_a_bias_and_ends_in_its_activation():
    y, variables = ConvBlock(2, (3, 3)).init_with_output(
        jax.random.key(0), jax.random.normal(jax.random.key(1), (1, 4, 4, 3))
    )
    assert set(variables["params"]["conv"]) == {"kernel", "bias"}
    assert float(y.min()) == 0.0


def test_a_block_with_norm_has_no_bias_of_its_own():
    def norm(**kwargs):
        return BatchNorm(train=True, **kwargs)

    x = jax.random.normal(jax.random.key(1), (4, 4, 4, 3))
    block = ConvBlock(2, (3, 3), norm=norm, activation=None)
    y, variables = block.init_with_output(jax.random.key(0), x)
    assert set(variables["params"]["conv"]) == {"kernel"}
    assert set(variables["params"]["bn"]) == {"scale", "bias"}
    np.testing.assert_allclose(jnp.mean(y, (0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(y, (0, 1, 2)), 1, rtol=1e-3)


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize(
    ("size", "kernel", "strides", "padding", "channels", "features", "groups"),
    [
        ((7, 6), (3, 3), 1, "SAME", 6, 6, 6),
        ((8, 6), (3, 3), 2, "SAME", 6, 6, 6),
        ((8, 6), (3, 3), 2, "torch", 6, 6, 6),
        ((8, 7), (5, 5), 2, ((0, 1), (2, 2)), 6, 6, 6),
        ((5, 6, 7), (3, 3, 3), (1, 2, 2), "torch", 4, 4, 4),
        ((5, 6, 7), (3, 5, 5), (2, 2, 1), "SAME", 4, 4, 4),
        ((5, 6, 7), (5, 1, 1), 1, "torch", 4, 4, 4),
        ((6, 6), (3, 3), 1, "VALID", 4, 8, 4),  # Two features of each channel.
        ((6, 6), (3, 3), 2, "torch", 6, 4, 2),  # Groups of several channels.
        ((6, 6), (1, 1), 2, "torch", 6, 4, 2),
    ],
)
def test_groups_see_only_their_own_channels(
    platform, size, kernel, strides, padding, channels, features, groups
):
    """Each group is a convolution by itself, with its part of the kernel."""
    conv = Conv(features, kernel, strides, padding, groups=groups)
    x = np.random.default_rng(0).standard_normal((2, *size, channels), np.float32)
    steps = (strides,) * len(kernel) if isinstance(strides, int) else strides
    pads = _pads(size, kernel, steps, padding)

    with compile_for(platform):
        y, variables = conv.init_with_output(jax.random.key(0), jnp.asarray(x))

    weights = np.asarray(variables["params"]["kernel"])
    assert weights.shape == (*kernel, channels // groups, features)
    want = [
        _slow_conv(part, own, steps, pads)
        for part, own in zip(
            np.split(x, groups, -1), np.split(weights, groups, -1), strict=True
        )
    ]
    np.testing.assert_allclose(y, np.concatenate(want, -1), rtol=1e-4, atol=1e-4)


def _pads(size, kernel, strides, padding):
    if padding == "torch":
        return [(k // 2, k // 2) for k in kernel]
    if not isinstance(padding, str):
        return padding
    return jax.lax.padtype_to_pads(size, kernel, strides, padding)


@pytest.mark.parametrize(
    ("kernel", "strides", "padding"),
    [((3, 3), 2, "SAME"), ((3, 3, 3), (1, 2, 2), "torch"), ((5, 1, 1), 1, "SAME")],
)
def test_both_forms_of_a_depthwise_convolution_have_the_same_gradients(
    kernel, strides, padding
):
    conv = Conv(4, kernel, strides, padding, groups=4)
    x = jax.random.normal(jax.random.key(0), (2, 6, 7, 6, 4))
    variables = conv.init(jax.random.key(1), x)

    def results(platform):
        with compile_for(platform):
            y, pull = jax.vjp(conv.apply, variables, x)
            text = str(jax.make_jaxpr(conv.apply)(variables, x))
        return text, [y, *jax.tree.leaves(pull(jnp.cos(y)))]

    (on_cpu, cpu), (on_tpu, tpu) = results("cpu"), results("tpu")
    assert "conv_general_dilated" not in on_cpu
    assert "feature_group_count=4" in on_tpu
    for a, b in zip(cpu, tpu, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("features", "groups"), [(4, 3), (6, 4)])
def test_groups_that_do_not_divide_the_channels_are_refused(features, groups):
    conv = Conv(features, (3, 3), groups=groups)
    with pytest.raises(ValueError, match=f"{groups} groups do not divide the 4 input"):
        conv.init(jax.random.key(0), jnp.ones((1, 4, 4, 4)))


def test_a_depthwise_kernel_for_other_channels_is_refused():
    conv = Conv(4, (3, 3), groups=4)
    variables = conv.init(jax.random.key(0), jnp.ones((1, 4, 4, 4)))
    with pytest.raises(ValueError, match=r"Expected 4 channels.*got 8"):
        conv.apply(variables, jnp.ones((1, 4, 4, 8)))


@pytest.mark.parametrize("groups", [1, 4])
def test_the_frames_at_the_edges_can_be_repeated(groups):
    conv = Conv(4, (5, 3, 3), 1, "SAME", groups=groups, time_padding="edge")
    x = jax.random.normal(jax.random.key(0), (1, 3, 5, 5, 4))
    y, variables = conv.init_with_output(jax.random.key(1), x)
    longer = jnp.concatenate([x[:, :1], x[:, :1], x, x[:, -1:], x[:, -1:]], axis=1)
    inside = Conv(4, (5, 3, 3), 1, ((0, 0), (1, 1), (1, 1)), groups=groups)
    np.testing.assert_allclose(y, inside.apply(variables, longer), atol=1e-5)
