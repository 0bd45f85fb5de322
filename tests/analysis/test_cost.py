"""What registered models cost: equal to the originals and to their cards."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.analysis.conventions import count
from vidjax.analysis.cost import cost
from vidjax.analysis.program import flatten, layer_finder
from vidjax.models.registry import list_models, model_card
from vidjax.ops.platform import compile_for

# Counted on the original implementations (convolutions, linear layers and products of
# attention; one multiply-add counts once): model, clip, parameters, 1e9 multiply-adds.
ORIGINALS = [
    ("resnet18", (1, 224, 224, 3), 11_689_512, 1.814073344),
    ("resnet50", (1, 224, 224, 3), 25_557_032, 4.089184256),
    ("mobilenet_v2", (1, 224, 224, 3), 3_504_872, 0.300774272),
    ("tsn_resnet50", (8, 224, 224, 3), 24_327_632, 32.703643648),
    ("tsm_resnet50", (8, 224, 224, 3), 24_327_632, 32.703643648),
    ("tsm_resnet50", (8, 224, 224, 10), 24_349_584, 34.906570752),
    ("tsm_mobilenet_v2", (8, 224, 224, 3), 2_736_272, 2.400050176),
    # Six frames, one at a time, and 27 classes.
    ("tsm_online_mobilenet_v2", (6, 224, 224, 3), 2_258_459, 1.797172992),
    ("c3d", (16, 112, 112, 3), 78_409_573, 38.547378176),
    # The ports to PyTorch have a scale in each of their norms, 7280 in all.
    ("i3d_rgb", (32, 224, 224, 3), 12_697_264 - 7280, 55.576367104),
    ("i3d_flow", (32, 224, 224, 2), 12_675_312 - 7280, 51.170512896),
    ("i3d_resnet50", (8, 224, 224, 3), 28_043_472, 28.407660544),
    ("r3d_18", (16, 112, 112, 3), 33_371_472, 40.696553472),
    ("r2plus1d_18", (16, 112, 112, 3), 31_505_325, 40.51908096),
    ("r2plus1d_resnet50", (16, 224, 224, 3), 28_107_600, 57.533825024),
    ("s3d", (16, 224, 224, 3), 8_320_048, 17.978771456),
    ("csn_resnet101", (32, 224, 224, 3), 22_213_776, 56.468187136),
    ("slow_8x8_resnet50", (8, 224, 224, 3), 32_454_096, 41.740828672),
    ("slowfast_8x8_resnet50", (32, 224, 224, 3), 34_566_488, 50.308583424),
    ("slowfast_8x8_resnet50_mmaction2", (32, 224, 224, 3), 34_565_560, 50.308583424),
    # PyTorchVideo's has a norm of 24 channels less; published.csv counts it.
    ("x3d_s", (13, 182, 182, 3), 3_794_322, 2.727045164),
    ("x3d_m", (16, 224, 224, 3), 3_794_322, 4.732468736),
    # Of two images.
    ("vit_b_16", (1, 224, 224, 3), 86_567_656, 35.127656448 / 2),
    ("timesformer_base", (8, 224, 224, 3), 121_566_352, 195.830280192),
    ("timesformer_base_joint", (8, 224, 224, 3), 86_112_400, 179.56),
    ("timesformer_base_space", (8, 224, 224, 3), 86_106_256, 140.51),
    ("timesformer_base_hr", (16, 448, 448, 3), 122_024_080, 1_702.69),
    ("timesformer_large", (96, 224, 224, 3), 121_633_936, 2_379.86),
    ("videomae_small", (16, 224, 224, 3), 22_033_936, 56.88),
    ("videomae_base", (16, 224, 224, 3), 86_534_800, 180.34489344),
    ("videomae_large", (16, 224, 224, 3), 304_270_736, 596.83),
    ("videomae_huge", (16, 224, 224, 3), 632_119_440, 1_190.99),
    ("swin3d_t", (16, 224, 224, 3), 28_158_070, 43.88222976),
    ("swin3d_t", (32, 224, 224, 3), 28_158_070, 87.76415232),
    ("swin3d_s", (32, 224, 224, 3), 49_816_678, 165.682),
    ("swin3d_b", (32, 224, 224, 3), 88_048_984, 281.333),
    ("mvit_v1_b", (16, 224, 224, 3), 36_610_672, 70.599407808),
    ("mvit_v1_b_32x3", (32, 224, 224, 3), 36_611_440, 169.958),
    ("mvit_v1_b_32x3_slowfast", (32, 224, 224, 3), 53_115_280, 235.78),
    ("mvit_v2_s", (16, 224, 224, 3), 34_537_744, 64.223826024),
    ("mvit_v2_b", (32, 224, 224, 3), 51_230_128, 224.47),
    ("mvit_v2_l", (40, 312, 312, 3), 213_390_112, 2_823.4),
]


@pytest.mark.parametrize(("name", "clip_shape", "params", "gmacs"), ORIGINALS)
def test_costs_are_those_of_the_originals(name, clip_shape, params, gmacs, traced):
    model = traced(name, clip_shape)
    found = count(model.forward, "macs", layer_finder(model.params))
    assert sum(model.params.values()) == params
    assert sum(found.values()) / 1e9 == pytest.approx(gmacs, rel=1e-4)


def test_a_masked_autoencoder_costs_what_the_original_does_under_its_mask():
    model = vidjax.create_model("videomae_base_pretrain")
    mask = (np.random.RandomState(7).permutation(1568) < 1411)[None]
    clip = jax.ShapeDtypeStruct((1, 16, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)

    def forward(variables, clip):
        return model.apply(variables, clip, mask)

    with compile_for("any"):
        program = flatten(jax.make_jaxpr(forward)(variables, clip), results=1)
    assert sum(count(program, "macs", str).values()) == 35_168_323_584


@pytest.mark.parametrize("name", [*vidjax.list_models()])
def test_cards_say_what_models_cost(name, traced):
    card = model_card(name)
    model = traced(name, card.clip.shape)
    found = count(model.forward, "macs", layer_finder(model.params))
    assert sum(model.params.values()) == card.params
    assert sum(found.values()) / 1e9 == pytest.approx(card.gmacs, rel=1e-3)


def test_layers_add_up_and_have_the_paths_of_their_parameters():
    found = cost("tsm_resnet_tiny")
    layers = {row.path: row for row in found.layers}
    assert sum(row.params for row in found.layers) == found.params
    assert sum(row.macs for row in found.layers) == found.macs
    # 8 frames of 16 x 16 outputs, 16 channels from windows of 3 x 3 x 3.
    conv1, bn1 = layers["backbone/conv1"], layers["backbone/bn1"]
    assert (conv1.params, conv1.macs) == (432, 8 * 16 * 16 * 16 * 27)
    assert (bn1.params, bn1.macs) == (32, 0)


def test_layers_come_in_the_order_of_computation():
    names = [row.path for row in cost("tsm_resnet_tiny").layers if row.params]
    stem = ["backbone/conv1", "backbone/bn1"]
    assert names[:4] == [*stem, "backbone/layer2_0/conv1", "backbone/layer2_0/bn1"]
    assert names[-1] == "logits"


def test_joined_layers_cost_what_their_parts_do():
    found = cost("tsm_resnet_tiny")
    blocks = found.by_depth(2)
    assert [row.path for row in blocks][-3:] == ["backbone/layer3_0", "", "logits"]
    assert sum(row.macs for row in blocks) == found.macs
    assert sum(row.training_bytes for row in blocks) == found.training_bytes
    assert max(row.forward_bytes for row in blocks) == found.forward_bytes
    assert len(found.by_depth(1)) == 3
    assert found.by_depth() == found.layers
    with pytest.raises(ValueError, match="at least 1"):
        found.by_depth(0)


def test_a_long_table_is_joined_until_it_is_short():
    found = cost("tsm_resnet50", (1, 32, 32, 3), activations=False)
    assert len(found.layers) > 100
    assert len(found.by_depth()) <= 50
    assert "backbone/layer3_5" in {row.path for row in found.by_depth()}
    assert found.by_depth()[0].forward_bytes is None


def test_blocks_that_are_computed_again_cost_the_same_forward():
    plain, again = cost("tsm_resnet_tiny"), cost("tsm_resnet_tiny", remat=True)
    assert again.forward_bytes == plain.forward_bytes
    assert again.training_bytes < plain.training_bytes
    assert [(r.path, r.params, r.macs) for r in again.layers if r.macs] == [
        (r.path, r.params, r.macs) for r in plain.layers if r.macs
    ]


def test_more_classes_cost_more():
    assert cost("resnet_tiny", num_classes=11).params == cost("resnet_tiny").params + 65


def test_a_wrong_clip_shape_or_argument_is_an_error():
    with pytest.raises(ValueError, match=r"\(T, H, W, C\)"):
        cost("resnet_tiny", (1, 1, 32, 32, 3))
    with pytest.raises(ValueError, match=r"\(0, 32, 32, 3\)"):
        cost("resnet_tiny", (0, 32, 32, 3))
    with pytest.raises(ValueError, match="one frame"):
        cost("resnet_tiny", (2, 32, 32, 3))
    with pytest.raises(ValueError, match="batch must be at least 1"):
        cost("resnet_tiny", batch=0)
    with pytest.raises(TypeError, match="num_classes"):
        cost("resnet_tiny", num_clases=3)
    with pytest.raises(ValueError, match="resnet_tiny"):
        cost("resnet_tyni")
    assert len(list_models()) >= 20
