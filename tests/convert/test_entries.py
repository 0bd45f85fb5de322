import numpy as np
import pytest

from vidjax.convert.entries import clean

A, B = np.arange(3.0, dtype=np.float32), np.arange(6.0).reshape(2, 3)
NETWORK = {"fc.bias": A, "conv.weight": B}
NAMES = NETWORK.keys()


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state", "model", "module"])
def test_what_training_code_keeps_beside_the_weights_is_left_out(wrapper):
    tree = {
        "epoch": 3,
        "best_acc1": np.float64(76.1),
        "arch": "resnet50",
        "optimizer": {"state": {0: {"momentum_buffer": B}}, "param_groups": []},
        "optimizer_states": [{"state": {0: A}}],
        "lr_scheduler": {"base_lrs": A},
        "amp_scaler": {"scale": A},
        "message_hub": {"log": A},
        "cfg": "a text",
        wrapper: NETWORK,
    }
    assert clean(tree).keys() == NAMES


def test_optimizer_state_beside_bare_weights_is_left_out():
    assert clean(NETWORK | {"optimizer": {"m": A}, "meta": {"a": A}}).keys() == NAMES


def test_wrappers_inside_wrappers_are_taken_off():
    tree = {
        "model": {
            "state_dict": {f"module._orig_mod.{n}": a for n, a in NETWORK.items()}
        }
    }
    assert clean(tree).keys() == NAMES


def test_a_scalar_beside_a_wrapper_is_not_taken_for_weights():
    assert clean({"model": NETWORK, "best": np.array(0.5)}).keys() == NAMES


@pytest.mark.parametrize("average", ["state_dict_ema", "model_ema", "ema_state"])
def test_a_moving_average_is_never_taken_nor_dropped_in_silence(average):
    tree = {"model": {"a": A}, average: {"a": 2 * A}, "optimizer": {"m": A}}
    with pytest.raises(ValueError, match=rf'model, {average}.*entry="model" takes one'):
        clean(tree)
    np.testing.assert_array_equal(clean(tree, average)["a"], 2 * A)
    np.testing.assert_array_equal(clean(tree, "model")["a"], A)
    np.testing.assert_array_equal(clean({average: {"a": 2 * A}})["a"], 2 * A)


def test_the_count_of_an_averaged_model_is_left_out():
    averaged = {"n_averaged": np.array(9)} | {
        f"module.{name}": array for name, array in NETWORK.items()
    }
    assert clean({"model_ema": averaged}).keys() == NAMES


def test_one_of_several_networks_is_taken_by_name():
    def wrapped(scale):
        return {f"module.backbone.{name}": scale * a for name, a in NETWORK.items()}

    tree = {
        "encoder": wrapped(1),
        "predictor": {"module.backbone.mask_token": A},
        "target_encoder": wrapped(2),
        "opt": {"state": {0: {"exp_avg": B}}},
        "scaler": {},
        "epoch": 9,
    }
    with pytest.raises(ValueError, match="encoder, predictor, target_encoder"):
        clean(tree)
    found = clean(tree, "target_encoder")
    assert found.keys() == NAMES
    np.testing.assert_array_equal(found["fc.bias"], 2 * A)
    assert clean({"target_encoder": wrapped(1)}).keys() == NAMES
    assert len(clean(tree, "/")) == 6  # Even the optimizer's.


def test_entries_can_be_nested_and_lie_in_lists():
    probes = {"classifiers": [{"module.linear.bias": A}, {"module.linear.bias": B}]}
    np.testing.assert_array_equal(clean(probes, "classifiers/1")["linear.bias"], B)
    one = {"classifiers": probes["classifiers"][:1], "opt": {"m": A}}
    assert clean(one).keys() == {"linear.bias"}


def test_an_unknown_entry_lists_the_entries_and_the_near_one():
    with pytest.raises(ValueError, match=r"'target_encodr'.*mean 'target_encoder'"):
        clean({"target_encoder": NETWORK, "encoder": NETWORK}, "target_encodr")
    with pytest.raises(ValueError, match="Entries: none"):
        clean({"a": A}, "a")


def test_modules_that_are_called_like_networks_stay_together():
    tree = {"encoder": {"kernel": B}, "logits": {"bias": A}}
    assert clean(tree).keys() == {"encoder/kernel", "logits/bias"}


def test_train_states_of_flax_give_their_collections():
    params, stats = {"Dense_0": {"kernel": B}}, {"batch_stats": {"bn": {"mean": A}}}
    names = {"params/Dense_0/kernel", "batch_stats/bn/mean"}
    noise = {"global_step": np.array(3), "rng": np.arange(2), "metadata": None}
    new = {"params": params, "model_state": stats, "opt_state": [{"mu": params}]}
    assert clean(new | noise).keys() == names
    old = {"optimizer": {"target": params, "state": {"step": 3, "m": params}}}
    assert clean(old | noise | {"model_state": stats}).keys() == names
    assert clean(old | noise | {"model_state": {}}).keys() == {"params/Dense_0/kernel"}
    deeper = {"optimizer": {"target": {"params": params}}, "model_state": stats}
    assert clean(deeper).keys() == names


def test_averaged_parameters_of_flax_are_not_chosen_in_silence():
    state = {"params": {"a": A}, "ema_params": {"a": 2 * A}, "opt_state": {"mu": A}}
    with pytest.raises(ValueError, match="params, ema_params"):
        clean(state)
    np.testing.assert_array_equal(clean(state, "ema_params")["a"], 2 * A)


def test_momenta_and_rates_are_left_out_of_caffe2():
    blobs = {"conv1_w": B, "conv1_w_momentum": B, "lr": A, "model_iter": np.array([3])}
    assert clean({"blobs": blobs}).keys() == {"conv1_w"}


def test_two_arrays_of_one_name_are_an_error():
    with pytest.raises(ValueError, match="Two arrays are called 'a/b'"):
        clean({"a/b": A, "a": {"b": B}})


def test_bfloat16_becomes_float32():
    import ml_dtypes

    found = clean({"a": A.astype(ml_dtypes.bfloat16), "b": A.astype(np.float16)})
    assert found["a"].dtype == np.float32
    assert found["b"].dtype == np.float16
    np.testing.assert_array_equal(found["a"], A)
