"""A process that is killed at any moment, and started again, loses nothing."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from vidjax.tasks.workdir import load_workdir

CONFIG = """
from vidjax.config import *

def get_config():
    return Config(
        model="frame_average_resnet_tiny",
        model_args={"dropout_rate": 0.3},
        data=DataConfig(
            batch_size=8, num_frames=1, size=8,
            synthetic=SyntheticConfig(num_train=40, num_eval=8),
        ),
        optim=OptimConfig(name="adamw", learning_rate=0.01, warmup_steps=4),
        steps=40,
        eval_every=10,
        save_every=5,
        log=LogConfig(every=1),
    )
"""


@pytest.fixture(scope="module")
def config_path(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("config") / "small.py"
    path.write_text(CONFIG)
    return path


PROGRAM = "import sys, vidjax; vidjax.fit(vidjax.load_config(sys.argv[1]), sys.argv[2])"


def _start(config_path, workdir):
    """A process of its own, on two simulated devices."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(config_path), str(workdir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONWARNINGS": "ignore"},
    )


def _finish(config_path, workdir):
    process = _start(config_path, workdir)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def _stop_when(process, number, condition):
    """Sends a signal as soon as a condition holds; gives output and exit code."""
    while process.poll() is None and not condition():
        time.sleep(0.0005)
    process.send_signal(number)
    output, _ = process.communicate(timeout=240)
    return output, process.returncode


def _steps(workdir):
    """Updates that the log of a run has reached."""
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return 0
    lines = path.read_text().split("\n")[:-1]
    return max((json.loads(line)["step"] for line in lines), default=0)


def _leaves(workdir, *, best):
    trained = load_workdir(workdir, best=best)
    return [np.asarray(x) for x in jax.tree.leaves(trained.variables)]


def _log(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "clips_per_sec"}
        for line in lines
    ]


@pytest.fixture(scope="module")
def whole(config_path, tmp_path_factory) -> pathlib.Path:
    """An uninterrupted run."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    _finish(config_path, workdir)
    return workdir


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
    config_path, whole, tmp_path
):
    def saving(folder):
        return lambda: any((tmp_path / folder).glob("*tmp*"))

    def at(step):
        return lambda: _steps(tmp_path) >= step

    draw = random.Random()
    kills = [
        (signal.SIGKILL, saving("best")),  # At step 10, the first evaluation.
        (signal.SIGKILL, saving("checkpoints")),
        (signal.SIGKILL, at(draw.randint(12, 18))),
        (signal.SIGTERM, at(draw.randint(20, 26))),
        (signal.SIGKILL, at(draw.randint(28, 38))),
    ]

    for number, condition in kills:
        process = _start(config_path, tmp_path)
        output, code = _stop_when(process, number, condition)
        assert code != 0, "the run was over before it was stopped"
        assert not (tmp_path / "result.json").exists()
        if number == signal.SIGTERM:
            stopped = _steps(tmp_path)
            newest = max(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
            assert newest == stopped
            assert f"Stopped by SIGTERM after step {stopped} of 40" in output
            assert f"checkpoints/{stopped}. The same command goes on" in output
    _finish(config_path, tmp_path)

    starts = json.loads((tmp_path / "run.json").read_text())["starts"]
    assert len(starts) == 6
    assert starts[4]["step"] == stopped
    for best in (False, True):
        for a, b in zip(
            _leaves(tmp_path, best=best), _leaves(whole, best=best), strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert _log(tmp_path) == _log(whole)
    results = [json.loads((w / "result.json").read_text()) for w in (tmp_path, whole)]
    assert results[0] == results[1]
