"""Published implementations, their weights converted, give their own numbers here."""

import functools

import jax
import numpy as np
import pytest

from vidjax import convert
from vidjax.models.registry import create_model

TOLERANCE = 1e-4  # Relative; float32 against float64 differs by 1e-6.

# Of two cases that differ only in the size of their tables of positions, the one with
# the larger: it says all that the other does.
CASES = [
    ("torchvision__resnet18", "resnet18"),
    ("torchvision__resnet50", "resnet50"),
    ("tsm__tsn_r50_8seg_k400", "tsn_resnet50"),
    ("tsm__tsm_r50_8seg_k400", "tsm_resnet50"),
    ("tsm__tsm_r50_8seg_flow_k400", "tsm_resnet50"),
    ("mmaction2__tsm_r50_k400", "tsm_resnet50"),
    ("mmaction2__c3d_ucf101", "c3d"),
    ("i3d__deepmind_rgb", "i3d_rgb"),
    ("i3d__piergiaj_rgb", "i3d_rgb"),
    ("i3d__hassony2_rgb", "i3d_rgb"),
    ("i3d__piergiaj_flow", "i3d_flow"),
    ("pytorchvideo__i3d_r50", "i3d_resnet50"),
    ("slowfast__I3D_8x8_R50", "i3d_resnet50"),
    ("pytorchvideo__slow_r50", "slow_8x8_resnet50"),
    ("slowfast__SLOW_8x8_R50", "slow_8x8_resnet50"),
    ("pytorchvideo__slowfast_r50", "slowfast_8x8_resnet50"),
    ("slowfast__SLOWFAST_8x8_R50", "slowfast_8x8_resnet50"),
    ("mmaction2__slowfast_r50_8x8", "slowfast_8x8_resnet50_mmaction2"),
    ("torchvision__r3d_18", "r3d_18"),
    ("torchvision__r2plus1d_18", "r2plus1d_18"),
    ("pytorchvideo__r2plus1d_r50", "r2plus1d_resnet50"),
    ("pytorchvideo__csn_r101", "csn_resnet101"),
    ("torchvision__s3d", "s3d"),
    ("torchvision__mobilenet_v2", "mobilenet_v2"),
    ("tsm__tsm_mobilenetv2_8seg_k400", "tsm_mobilenet_v2"),
    ("pytorchvideo__x3d_s", "x3d_s"),
    ("pytorchvideo__x3d_m", "x3d_m"),
    ("slowfast__X3D_M", "x3d_m"),
    ("torchvision__vit_b_16_posemb", "vit_b_16"),
    ("timesformer__divST_8x32_224_K400_posemb", "timesformer_base"),
    ("timesformer__spaceOnly_8x32_224_K400", "timesformer_base_space"),
    ("transformers__timesformer-base-finetuned-k400_posemb", "timesformer_base"),
    ("videomae__vit_base_patch16_224_k400", "videomae_base"),
    ("transformers__videomae-base-finetuned-kinetics", "videomae_base"),
    ("torchvision__swin3d_t", "swin3d_t"),
    ("video_swin__tiny_patch244_window877_k400_1k", "swin3d_t"),
    ("video_swin__tiny_T8_clipped_window", "swin3d_t"),
    ("mmaction2__swin_tiny", "swin3d_t"),
    ("torchvision__mvit_v2_s", "mvit_v2_s"),
    ("mmaction2__mvit_small", "mvit_v2_s"),
    ("pytorchvideo__mvit_base_16x4", "mvit_v1_b"),
    ("slowfast__MVIT_B_16x4_posemb", "mvit_v1_b"),
    ("vivit__base_factorised_encoder_k400", "vivit_base_factorised_encoder"),
    ("transformers__vivit-b-16x2-kinetics400", "vivit_base"),
    ("transformers__vjepa2-vitl-fpc16-256-ssv2", "vjepa2_large"),
]


@functools.cache
def _network(name):
    """Compiled once for all cases of a model."""
    return jax.jit(create_model(name).apply)


def _relative_error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize(("case", "name"), CASES, indirect=["case"])
def test_converted_weights_give_the_published_logits(case, name):
    variables = convert.from_arrays(name, case.weights())

    logits, endpoints = _network(name)(variables, case.clip())

    assert _relative_error(logits, case.outputs["logits"]) < TOLERANCE
    if "logits_per_step" in case.outputs:
        per_step = case.outputs["logits_per_step"].transpose(0, 2, 1)
        assert _relative_error(endpoints["logits_per_step"], per_step) < TOLERANCE


@pytest.mark.parametrize("case", ["tsm__online_mobilenetv2_jester27"], indirect=True)
def test_a_stream_gives_the_published_logits_and_buffers_of_every_frame(case):
    name = "tsm_online_mobilenet_v2"
    model = create_model(name)
    variables = convert.from_arrays(name, case.weights())
    step, state, logits = jax.jit(model.step), model.init_state(1, 224), []

    for frame in case.clip()[0]:
        scores, state = step(variables, frame[None], state)
        logits.append(scores[0])

    assert _relative_error(logits, case.outputs["logits_per_frame"][0]) < TOLERANCE
    blocks = sorted(state)  # In the order of the network.
    for i in (0, 5, 9):
        theirs = case.outputs[f"last_buffer_{i}"].transpose(0, 2, 3, 1)
        assert _relative_error(state[blocks[i]], theirs) < TOLERANCE


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("torchvision__raft_large", "raft_large"),
        ("torchvision__raft_small", "raft_small"),
    ],
    indirect=["case"],
)
def test_converted_weights_give_the_published_flow(case, name):
    variables = convert.from_arrays(name, case.weights())
    images = case.clip()

    flow, _ = _network(name)(variables, *images)
    apply = functools.partial(create_model(name, lookup="matmul").apply, iterations=1)
    first, _ = jax.jit(apply)(variables, *images)

    # In pixels, of flows of up to 11; 1e-5 is usual.
    for ours, theirs in ((flow, "flow"), (first, "flow_first")):
        expected = case.outputs[theirs].transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours, expected, atol=1e-4)
