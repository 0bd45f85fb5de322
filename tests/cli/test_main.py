"""The command line: exit codes, sentences, help."""

import subprocess
import sys

import pytest

import vidjax
from vidjax.cli.arguments import split_model_args
from vidjax.cli.main import COMMANDS, main

QUICK = [
    *("--data.synthetic.num-train", "16", "--data.synthetic.num-eval", "16"),
    *("--data.batch-size", "8", "--data.eval-batch-size", "8"),
    *("--steps", "2", "--eval-every", "2", "--save-every", "2"),
    *("--optim.warmup-steps", "0"),
]


def test_without_a_command_the_usage_is_printed_and_the_code_is_2(capsys):
    assert main([]) == 2
    assert "usage: vidjax COMMAND" in capsys.readouterr().out


def test_help_names_every_command_and_one_example(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    assert "example: vidjax train quickstart" in out


def test_an_unknown_command_suggests_the_near_one(capsys):
    assert main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == vidjax.__version__


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"example: vidjax {command}" in " ".join(capsys.readouterr().out.split())


def test_models_lists_names_that_match(capsys):
    assert main(["models", "i3d_*"]) == 0
    out = capsys.readouterr().out
    assert "i3d_rgb" in out
    assert "c3d " not in out


def test_a_pattern_without_a_match_is_one_sentence_and_code_1(capsys):
    assert main(["models", "nothing*"]) == 1
    err = capsys.readouterr().err
    assert err == "vidjax models: No model's name matches 'nothing*'.\n"


def test_configs_lists_the_shipped_ones(capsys):
    assert main(["configs"]) == 0
    assert "quickstart" in capsys.readouterr().out


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="nothing"):
        main(["models", "nothing*", "--debug"])


def test_python_dash_m_is_the_same_program():
    done = subprocess.run(
        [sys.executable, "-m", "vidjax", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == vidjax.__version__


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_an_unknown_field_names_the_near_one_and_the_code_is_2(command, capsys):
    flags = ["--workdir", "w", "--optim.learning-rat", "1"]
    assert main([command, "quickstart", *flags]) == 2
    streams = capsys.readouterr()
    assert "--optim.learning-rate" in streams.err + streams.out


def test_a_value_of_the_wrong_type_has_code_2(capsys):
    assert main(["train", "quickstart", "--workdir", "w", "--steps", "many"]) == 2
    streams = capsys.readouterr()
    assert "steps" in streams.err + streams.out


def test_an_unknown_config_is_one_sentence_with_the_near_name(capsys):
    assert main(["train", "quikstart", "--workdir", "w"]) == 1
    assert "Did you mean 'quickstart'?" in capsys.readouterr().err


def test_flags_without_a_config_are_wrong_usage(capsys):
    assert main(["train", "--workdir", "w"]) == 2
    assert "CONFIG" in capsys.readouterr().out


def test_model_args_are_taken_out_of_the_flags():
    flags = ["--steps", "3", "--model-args.dropout-rate", "0.5", "--model-args.a=b"]
    assert split_model_args(flags) == (
        ["--steps", "3"],
        {"model_args.dropout_rate": 0.5, "model_args.a": "b"},
    )


@pytest.mark.parametrize("flags", [["--model-args.x"], ["--model-args.x="]])
def test_a_model_arg_needs_a_value(flags):
    with pytest.raises(ValueError, match=r"--model-args\.x needs a value"):
        split_model_args(flags)


def test_an_unknown_model_arg_names_the_near_one(tmp_path, capsys):
    flags = ["--workdir", str(tmp_path), "--model-args.dropuot-rate", "0.5"]
    assert main(["train", "quickstart", *flags]) == 1
    assert "did you mean 'dropout_rate'?" in capsys.readouterr().err
