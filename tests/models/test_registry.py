import pytest

from vidjax import models
from vidjax.models import registry

CARD = {
    "clip": models.model_card("c3d").clip,
    "family": "new",
    "fusion": "late",
    "paper": "",
    "reference": "",
    "params": 1,
    "gmacs": 1.0,
}


def test_unknown_name_suggests_a_near_one():
    with pytest.raises(ValueError, match=r"'i3d_rbg'.*i3d_rgb"):
        models.create_model("i3d_rbg")
    with pytest.raises(ValueError, match="i3d_rgb"):
        models.model_card("i3d_rbg")


def test_unknown_argument_suggests_a_near_one():
    with pytest.raises(TypeError, match=r"'dropout' .did you mean 'dropout_rate'"):
        models.create_model("i3d_rgb", dropout=0.5)


def test_a_name_is_registered_once():
    def c3d():
        pass

    with pytest.raises(ValueError, match="'c3d' is registered already"):
        registry.register(**CARD)(c3d)


def test_a_card_with_an_unknown_field_is_refused():
    def new():
        pass

    with pytest.raises(TypeError, match="flops"):
        registry.register(**CARD, flops=1)(new)
    assert "new" not in models.list_models()


def test_names_are_listed_by_pattern_and_sorted():
    names = models.list_models("frame_average_resnet*")
    assert names == sorted(names)
    assert {"frame_average_resnet18", "frame_average_resnet_tiny"} <= set(names)
    assert models.list_models("nothing*") == []
