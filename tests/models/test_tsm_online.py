import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.models.mobilenet_v2 import Layout
from vidjax.models.registry import create_model
from vidjax.models.tsm_online import TSMOnline

SMALL = Layout(((1, 3, 8, 1, 1), (2, 3, 8, 2, 1), (2, 3, 16, 2, 2)), stem=8, head=16)


@pytest.fixture(scope="module")
def model():
    return TSMOnline(5, SMALL, shift_fraction=0.25)


@pytest.fixture(scope="module")
def clip():
    return jax.random.normal(jax.random.key(1), (2, 5, 16, 16, 3))


@pytest.fixture(scope="module")
def variables(model, clip):
    leaves, tree = jax.tree.flatten(jax.jit(model.init)(jax.random.key(0), clip))
    rng = np.random.default_rng(0)
    noise = [a + rng.uniform(0.0, 0.2, a.shape).astype(np.float32) for a in leaves]
    return jax.tree.unflatten(tree, noise)


def test_frames_one_by_one_give_what_the_clip_gives(model, variables, clip):
    logits, endpoints = jax.jit(model.apply)(variables, clip)
    step, state, scores = jax.jit(model.step), model.init_state(2, 16), []
    for t in range(clip.shape[1]):
        score, state = step(variables, clip[:, t], state)
        scores.append(score)
    per_step = np.stack(scores, axis=1)
    np.testing.assert_allclose(per_step, endpoints["logits_per_step"], rtol=1e-4)
    np.testing.assert_allclose(per_step.mean(1), logits, rtol=1e-4)
    assert step._cache_size() == 1


def test_a_stream_may_come_in_pieces_of_any_length(model, variables, clip):
    def advance(piece, state):
        return model.apply(variables, piece, state, method="advance")

    whole, _, end = advance(clip, None)
    _, first, state = advance(clip[:, :3], None)
    _, second, last = advance(clip[:, 3:], state)
    steps = [*first["logits_per_step"][0], *second["logits_per_step"][0]]
    np.testing.assert_allclose(np.mean(steps, axis=0), whole[0], rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), last, end)


def test_a_frame_sees_the_past_and_none_of_the_future(model, variables, clip):
    steps = jax.jit(lambda x: model.apply(variables, x)[1]["logits_per_step"][0])
    touched = (steps(clip) != steps(clip.at[0, 2].add(1.0))).any(-1)
    assert touched.tolist() == [False, False, True, True, True]


def test_streams_of_a_batch_do_not_see_each_other(model, variables, clip):
    step, state = jax.jit(model.step), model.init_state(2, 16)
    _, state = step(variables, clip[:, 0], state)
    other = jax.tree.map(lambda buffer: buffer.at[1].set(7.0), state)
    first, _ = step(variables, clip[:, 1], state)
    second, _ = step(variables, clip[:, 1], other)
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.allclose(first[1], second[1])


def test_the_state_holds_an_eighth_of_the_channels_of_the_published_blocks():
    state = jax.eval_shape(
        lambda: create_model("tsm_online_mobilenet_v2").init_state(3, 224)
    )
    # features.N+1 for N of 2, 4, 5, 7, 8, 9, 11, 12, 14, 15 in the authors' demo.
    assert [(name, *state[name].shape) for name in sorted(state)] == [
        ("layer2_1", 3, 56, 56, 3),
        ("layer3_1", 3, 28, 28, 4),
        ("layer3_2", 3, 28, 28, 4),
        ("layer4_1", 3, 14, 14, 8),
        ("layer4_2", 3, 14, 14, 8),
        ("layer4_3", 3, 14, 14, 8),
        ("layer5_1", 3, 14, 14, 12),
        ("layer5_2", 3, 14, 14, 12),
        ("layer6_1", 3, 7, 7, 20),
        ("layer6_2", 3, 7, 7, 20),
    ]


def test_variables_hold_no_state(variables):
    assert set(variables) == {"params", "batch_stats"}


def test_a_state_has_the_dtype_of_the_computation():
    state = TSMOnline(5, SMALL, dtype="bfloat16").init_state(1, 16)
    assert {buffer.dtype for buffer in state.values()} == {jnp.dtype("bfloat16")}


@pytest.mark.usefixtures("unchecked")
def test_a_clip_is_no_frame(model, variables, clip):
    with pytest.raises(ValueError, match=r"one frame.*\(2, 5, 16, 16, 3\)"):
        model.step(variables, clip, model.init_state(2, 16))


@pytest.mark.usefixtures("unchecked")
def test_a_state_for_other_frames_is_refused(model, variables, clip):
    with pytest.raises(ValueError, match="Expected channels of one frame"):
        model.step(variables, clip[:, 0], model.init_state(2, 32))


def test_a_share_of_channels_outside_its_range_is_refused(clip):
    with pytest.raises(ValueError, match="shift_fraction"):
        TSMOnline(5, SMALL, shift_fraction=1.5).init(jax.random.key(0), clip)
