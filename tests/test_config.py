"""Configs: strict fields, typed overrides, files that load."""

import ast
import dataclasses
import json
import pathlib

import pytest

from vidjax import config as config_module
from vidjax.config import (
    Config,
    Contender,
    DataConfig,
    OptimConfig,
    find_config,
    from_dict,
    list_configs,
    load_config,
    override,
    to_dict,
)

ALL = pytest.mark.parametrize("name", list_configs())


@ALL
def test_a_shipped_config_loads_and_survives_json(name):
    config = load_config(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@ALL
def test_a_shipped_config_says_paper_recipe_expectation_and_command(name):
    text = find_config(name).read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    starts = [line.split(":")[0] for line in lines]
    for field in ("Paper", "Recipe", "Expect", "Run"):
        assert field in starts, f"{name} has no line {field}"


def test_an_override_changes_one_field_and_not_the_original():
    before = Config(model="c3d")
    after = override(before, {"optim.learning_rate": 3, "model_args.dropout_rate": 0.5})
    assert after.optim.learning_rate == 3.0
    assert isinstance(after.optim.learning_rate, float)
    assert after.model_args == {"dropout_rate": 0.5}
    assert before == Config(model="c3d")


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"optim.learning_rat": 1.0}, ValueError, "Did you mean 'learning_rate'"),
        ({"optm.learning_rate": 1.0}, ValueError, "Did you mean 'optim'"),
        ({"steps.more": 1}, ValueError, "'steps' has no fields"),
        ({"optim.name": "adamww"}, ValueError, "Did you mean 'adamw'"),
        ({"steps": "many"}, TypeError, r"'steps' must be int, got 'many' \(str\)"),
        ({"steps": True}, TypeError, "must be int"),
        ({"steps": 1.5}, TypeError, "must be int"),
        ({"optim.drops": ["a"]}, TypeError, r"optim.drops\[0\]"),
        ({"data.short_side": [1, 2, 3]}, TypeError, "short_side"),
        ({"data": 3}, TypeError, "DataConfig"),
        ({"model_args": 3}, TypeError, "model_args"),
    ],
)
def test_a_wrong_override_is_an_error_that_helps(values, kind, message):
    with pytest.raises(kind, match=message):
        override(Config(model="c3d"), values)


def test_all_wrong_overrides_are_in_one_message():
    with pytest.raises(ValueError, match=r"stepz[\s\S]*sed[\s\S]*must be float"):
        override(
            Config(model="c3d"),
            {"stepz": 1, "sed": 2, "optim.learning_rate": "x"},
        )


def test_optional_and_nested_values_are_read():
    config = override(
        Config(model="c3d", compare=(Contender("i3d_rgb"),)),
        {"optim.clip_norm": 1, "data.short_side": [256, 320], "init": None},
    )
    assert config.optim.clip_norm == 1.0
    assert config.data.short_side == (256, 320)
    assert from_dict(to_dict(config)) == config


def test_from_dict_refuses_an_unknown_field():
    with pytest.raises(TypeError, match="momentun"):
        from_dict({"model": "c3d", "optim": {"momentun": 0.9}})


def _write(folder: pathlib.Path, body: str) -> pathlib.Path:
    path = folder / "mine.py"
    path.write_text("from vidjax.config import Config, OptimConfig\n" + body)
    return path


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            "def get_config():\n return Config('c3d', optim=OptimConfig(momentun=1.))",
            TypeError,
            "Did you mean 'momentum'",
        ),
        ("def get_config():\n return {'model': 'c3d'}", TypeError, "got dict"),
        ("x = 1", ValueError, "get_config"),
        ("import no_such_module", ValueError, "no_such_module"),
        ("def get_config(:", ValueError, "not a config"),
    ],
)
def test_a_broken_config_file_is_an_error_that_names_it(tmp_path, body, kind, message):
    path = _write(tmp_path, body)
    with pytest.raises(kind, match=message) as caught:
        load_config(path)
    assert "mine.py" in str(caught.value)


def test_a_file_of_ones_own_is_loaded_with_overrides(tmp_path):
    path = _write(tmp_path, "def get_config():\n return Config('c3d', steps=7)")
    assert load_config(path).steps == 7
    assert load_config(str(path), {"steps": 9}).steps == 9


def test_an_unknown_config_suggests_the_near_name():
    with pytest.raises(ValueError, match="Did you mean 'quickstart'"):
        load_config("quikstart")


def test_a_config_of_the_checkout_can_be_named_by_its_path_from_elsewhere(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert load_config("configs/quickstart.py") == load_config("quickstart")


def test_every_field_of_every_part_is_documented():
    for name in dir(config_module):
        part = getattr(config_module, name)
        if dataclasses.is_dataclass(part) and isinstance(part, type):
            for field in dataclasses.fields(part):
                assert f"    {field.name}: " in (part.__doc__ or ""), (name, field.name)


def test_parts_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataConfig().source = "x"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        OptimConfig().name = "adamw"  # type: ignore[misc]
