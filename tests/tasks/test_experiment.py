"""What the config says holds, and otherwise the model's card."""

import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.config import Config, DataConfig, EvalConfig, override
from vidjax.models import model_card
from vidjax.tasks.experiment import (
    make_model,
    make_prepare,
    make_sources,
    make_spec,
    make_views,
)


def test_the_clip_is_that_of_the_card():
    assert make_spec(Config(model="tsm_resnet50")) == model_card("tsm_resnet50").clip


def test_the_config_changes_the_clip_and_nothing_else_of_it():
    data = DataConfig(
        num_frames=4, frame_stride=3, sampling="dense", size=64, interpolation="area"
    )

    spec = make_spec(Config(model="tsm_resnet50", data=data))

    assert spec.shape == (4, 64, 64, 3)
    assert (spec.frame_stride, spec.sampling, spec.interpolation) == (
        3,
        "dense",
        "area",
    )
    assert spec.mean == model_card("tsm_resnet50").clip.mean


def test_views_are_those_of_the_card_unless_the_config_says_otherwise():
    config = Config(model="i3d_rgb", eval=EvalConfig(num_clips=7, num_crops=3))

    views = make_views(config)

    assert (views.num_clips, views.num_crops) == (7, 3)
    assert views.average == model_card("i3d_rgb").views.average


def test_models_on_flow_see_flow_and_read_frames():
    spec = make_spec(Config(model="i3d_flow"))
    assert spec.shape == (64, 224, 224, 2)
    assert spec.pixels_shape == (128, 224, 224, 3)


def test_a_network_for_colours_can_be_given_flow():
    data = DataConfig(modality="flow", flow_length=3, flow_stack="centred")
    spec = make_spec(Config(model="tsn_resnet50", data=data))
    assert spec.shape == (8, 224, 224, 6)
    assert list(spec.window) == [-1, 0, 1, 2]
    both = make_spec(Config(model="i3d_rgb", data=DataConfig(modality="rgb+flow")))
    assert both.channels == 3 + 2 * 5


def test_a_network_for_flow_keeps_its_modality():
    with pytest.raises(ValueError, match=r"i3d_flow takes 'flow' with 1 .*'rgb'"):
        make_spec(Config(model="i3d_flow", data=DataConfig(modality="rgb")))
    with pytest.raises(ValueError, match=r"i3d_two_stream .*data\.flow_length 5"):
        make_spec(Config(model="i3d_two_stream", data=DataConfig(flow_length=5)))


@pytest.mark.parametrize("field", ["num_frames", "frame_stride", "size"])
def test_a_clip_that_cannot_be_is_refused(field):
    config = override(Config(model="c3d_tiny"), {f"data.{field}": 0})

    with pytest.raises(ValueError, match="must be positive"):
        make_spec(config)


@pytest.mark.parametrize(("clips", "crops"), [(0, 1), (1, 2), (1, 0)])
def test_views_that_cannot_be_are_refused(clips, crops):
    config = Config(model="c3d_tiny", eval=EvalConfig(clips, crops))

    with pytest.raises(ValueError, match="num_clips must be positive and"):
        make_views(config)


def test_the_model_has_the_classes_of_the_data_and_the_dtype_of_the_config():
    config = Config(model="c3d_tiny", dtype="bfloat16", model_args={"num_classes": 7})

    model = make_model(config, 7)

    assert (model.num_classes, model.dtype) == (7, "bfloat16")


def test_another_number_of_classes_is_refused():
    config = Config(model="c3d_tiny", model_args={"num_classes": 400})

    with pytest.raises(ValueError, match=r"is 400, and the data has 7 classes"):
        make_model(config, 7)


def test_a_dtype_among_the_arguments_is_refused():
    config = Config(model="c3d_tiny", model_args={"dtype": "bfloat16"})

    with pytest.raises(ValueError, match="`dtype` of the config"):
        make_model(config, 7)


def test_an_unknown_argument_of_the_model_is_refused_with_the_near_name():
    config = Config(model="c3d_tiny", model_args={"dropout": 0.5})

    with pytest.raises(TypeError, match="did you mean 'dropout_rate'"):
        make_model(config, 7)


def test_pixels_are_prepared_as_the_card_says():
    spec = model_card("tsm_resnet50").clip
    clip = np.full((1, 1, 1, 1, 3), 255, np.uint8)

    got = make_prepare(spec, "bfloat16")(jnp.asarray(clip))

    expected = (1.0 - np.array(spec.mean)) / np.array(spec.std)
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(got[0, 0, 0, 0]), expected, rtol=1e-2)


def test_splits_with_other_classes_are_refused(make_config, tmp_path, monkeypatch):
    from vidjax.tasks import experiment

    real = experiment.make_source

    class OneMore:
        label_names = ("only here",)

    def make_source(data, spec, split):
        return OneMore() if split == "eval" else real(data, spec, split=split)

    monkeypatch.setattr(experiment, "make_source", make_source)

    with pytest.raises(ValueError, match=r"only here.* in one only"):
        make_sources(make_config())
