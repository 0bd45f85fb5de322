"""`vidjax protocol`: the list, a plan, its JSON, a comparison, errors."""

import json

from vidjax.cli.main import main
from vidjax.models.registry import list_models, model_card
from vidjax.protocols import PROTOCOLS


def test_every_card_names_a_protocol():
    """The name stands for all of it: no card changes a protocol in silence."""
    for name in list_models():
        views = model_card(name).views
        assert PROTOCOLS[views.name] == views


def test_without_a_name_all_are_listed(capsys):
    assert main(["protocol"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in PROTOCOLS)


def test_a_protocol_is_spelled_out(capsys):
    flags = ["--frames", "300", "--fps", "30", "--size", "320x240", "--clip", "3x8"]
    assert main(["protocol", "mmaction-10x3", *flags]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("mmaction-10x3: 30 views")
    assert "clip 1: 31 39 47" in out
    assert "average: softmax" in out


def test_a_model_alone_shows_the_protocol_of_its_card(capsys):
    assert main(["protocol", "--model", "x3d_s", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["protocol"] == "pyslowfast-30"
    assert plan["views"] == 30
    assert len(plan["frames"][0]) == 13
    assert plan["crops"][0][0] == {"top": 0, "left": 0, "height": 182, "width": 182}


def test_a_comparison_says_what_differs(capsys):
    assert main(["protocol", "videomae-5x3", "--against", "swin-4x3"]) == 1
    assert "frames: 5, 4 of them" in capsys.readouterr().out
    assert main(["protocol", "swin-4x3", "--against", "swin-4x3"]) == 0
    assert capsys.readouterr().out == "no difference\n"


def test_what_is_wrong_is_one_sentence(capsys):
    assert main(["protocol", "swim-4x3"]) == 1
    assert "Did you mean 'swin-4x3'" in capsys.readouterr().err
    assert main(["protocol", "swin-4x3", "--size", "large"]) == 1
    assert "--size is two numbers such as 16x4, got 'large'" in capsys.readouterr().err
