"""A workdir belongs to one experiment, and to one process at a time."""

import json
import os
import subprocess
import sys

import pytest

from vidjax.config import Contender, from_dict
from vidjax.tasks.experiment import make_sources
from vidjax.tasks.workdir import (
    claim_workdir,
    contenders,
    load_workdir,
    read_config,
    read_result,
    record_data,
    record_start,
)


def _claim(workdir, config):
    with claim_workdir(workdir, config):
        pass


def _begin(workdir, config):
    with claim_workdir(workdir, config):
        record_start(workdir, 0, {})


def test_a_new_folder_is_made_and_holds_the_config(tmp_path, make_config):
    workdir, config = tmp_path / "runs" / "x", make_config()

    _claim(workdir, config)

    assert read_config(workdir) == config
    assert from_dict(json.loads((workdir / "config.json").read_text())) == config


def test_the_same_config_claims_it_again(tmp_path, make_config):
    _begin(tmp_path, make_config())
    _begin(tmp_path, make_config())


def test_a_start_that_failed_leaves_the_folder_to_another_config(tmp_path, make_config):
    _claim(tmp_path, make_config(optim__learning_rate=-1.0))

    _claim(tmp_path, make_config())

    assert read_config(tmp_path) == make_config()


def test_a_compared_model_that_has_begun_holds_the_folder_of_all(tmp_path, make_config):
    _claim(tmp_path, make_config())
    _begin(tmp_path / "frame_average_resnet_tiny", make_config())

    with pytest.raises(ValueError, match="another experiment"):
        _claim(tmp_path, make_config(seed=1))


def test_another_config_is_refused_with_every_differing_field(tmp_path, make_config):
    _begin(tmp_path, make_config())
    other = make_config(
        optim__learning_rate=0.5, steps=99, model_args__dropout_rate=0.1
    )

    with pytest.raises(ValueError, match="belongs to another experiment") as caught:
        _claim(tmp_path, other)

    text = str(caught.value)
    assert "optim.learning_rate: 0.05 there, 0.5 here" in text
    assert "steps: 6 there, 99 here" in text
    assert "model_args.dropout_rate: 0.3 there, 0.1 here" in text
    assert "seed" not in text


def test_what_changes_no_result_may_differ(tmp_path, make_config):
    _begin(tmp_path, make_config())

    _claim(tmp_path, make_config(log__every=5, data__workers=1))

    assert read_config(tmp_path).log.every == 5


def test_a_model_that_is_compared_besides_is_another_experiment(tmp_path, make_config):
    _begin(tmp_path, make_config())
    config = make_config()
    more = from_dict({**_dict(config), "compare": [{"model": "c3d_tiny"}]})

    with pytest.raises(ValueError, match="compare"):
        _claim(tmp_path, more)


def _dict(config):
    from vidjax.config import to_dict

    return to_dict(config)


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(
    tmp_path, make_config
):
    (tmp_path / "thesis.tex").write_text("x")

    with pytest.raises(ValueError, match=r"not a run of vidjax \(thesis.tex\)"):
        _claim(tmp_path, make_config())

    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_hidden_files_and_what_a_killed_start_left_are_not_something_else(
    tmp_path, make_config
):
    (tmp_path / ".gitkeep").write_text("")
    (tmp_path / ".config.json.1234").write_text('{"model": ')

    _claim(tmp_path, make_config())

    assert read_config(tmp_path) == make_config()


def test_a_file_is_no_workdir(tmp_path, make_config):
    (tmp_path / "x").write_text("")

    with pytest.raises(ValueError, match="is a file"):
        _claim(tmp_path / "x", make_config())


def test_two_processes_cannot_hold_one_workdir(tmp_path, make_config):
    hold = (
        "import time; from vidjax.tasks.workdir import claim_workdir, read_config\n"
        f"with claim_workdir({str(tmp_path)!r}, read_config({str(tmp_path)!r})):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    _claim(tmp_path, make_config())
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True, env=env
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="Another process"):
            _claim(tmp_path, make_config())
        other.kill()

    _claim(tmp_path, make_config())  # The claim of a killed process ends with it.


def test_changed_data_is_refused(tmp_path, make_config):
    config = make_config()
    _begin(tmp_path, config)
    record_data(tmp_path, config, make_sources(config))
    record_data(tmp_path, config, make_sources(config))  # The same again is fine.
    grown = make_sources(make_config(data__synthetic__num_train=41))

    with pytest.raises(ValueError, match=r"train: 40 examples.*now") as caught:
        record_data(tmp_path, config, grown)

    assert "eval" not in str(caught.value)


def test_starts_are_added(tmp_path):
    record_start(tmp_path, 0, {"date": "a"})
    record_start(tmp_path, 7, {"date": "b"})

    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert starts == [{"step": 0, "date": "a"}, {"step": 7, "date": "b"}]


def test_compared_models_have_names_of_their_own(make_config):
    config = from_dict(
        {
            **_dict(make_config()),
            "compare": [
                {"model": "c3d_tiny"},
                {"model": "frame_average_resnet_tiny"},
                {"model": "c3d_tiny", "model_args": {"dropout_rate": 0.5}},
            ],
        }
    )

    runs = contenders(config)

    assert list(runs) == [
        "frame_average_resnet_tiny",
        "c3d_tiny",
        "frame_average_resnet_tiny-2",
        "c3d_tiny-2",
    ]
    assert all(run.compare == () for run in runs.values())
    assert runs["frame_average_resnet_tiny"].model_args == {"dropout_rate": 0.3}
    assert runs["c3d_tiny-2"].model_args == {"dropout_rate": 0.5}
    assert runs["c3d_tiny"].optim == config.optim
    assert Contender("c3d_tiny").model_args == runs["c3d_tiny"].model_args


def test_a_folder_that_is_no_workdir_cannot_be_loaded(tmp_path):
    with pytest.raises(ValueError, match=r"not the folder of a run: it has no config"):
        load_workdir(tmp_path)


def test_a_workdir_without_a_trained_model_cannot_be_loaded(tmp_path, make_config):
    config = make_config()
    _claim(tmp_path, config)
    with pytest.raises(ValueError, match="Nothing is trained"):
        load_workdir(tmp_path)

    record_data(tmp_path, config, make_sources(config))
    with pytest.raises(ValueError, match="No checkpoint"):
        load_workdir(tmp_path)


def test_an_unfinished_run_has_no_result(tmp_path):
    assert read_result(tmp_path) is None
