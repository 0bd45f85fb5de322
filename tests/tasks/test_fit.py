"""A run from its first start to its result, and every way to start it again."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from vidjax.config import Config, Contender, from_dict, to_dict
from vidjax.convert import save_variables
from vidjax.tasks import events
from vidjax.tasks.fit import fit
from vidjax.tasks.workdir import load_workdir


def _leaves(variables):
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }


def _assert_equal(a, b):
    a, b = _leaves(a), _leaves(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def _lines(workdir):
    """The lines of the log but for what no two runs share."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "clips_per_sec"}
        for line in lines
    ]


def _compare(config: Config, *others: Contender) -> Config:
    return dataclasses.replace(config, compare=others)


class CrashError(Exception):
    pass


def _crash_at(step, kind=events.Progress):
    def on_event(event):
        if isinstance(event, kind) and event.step == step:
            raise CrashError

    return on_event


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_config):
    """An uninterrupted run, its config and its events; made once."""
    workdir, seen = tmp_path_factory.mktemp("whole") / "run", []
    config = make_config()
    return fit(config, workdir, on_event=seen.append), config, seen


def test_a_run_leaves_what_its_folder_says(whole):
    result, config, _ = whole
    workdir = result.workdir

    visible = {p.name for p in workdir.iterdir() if not p.name.startswith(".")}
    assert visible == {
        "config.json",
        "labels.json",
        "run.json",
        "metrics.jsonl",
        "evaluation.json",
        "result.json",
        "checkpoints",
        "best",
    }
    assert from_dict(json.loads((workdir / "config.json").read_text())) == config
    assert result.checkpoint == workdir / "checkpoints" / "6"
    assert result.checkpoint.is_dir()
    (start,) = json.loads((workdir / "run.json").read_text())["starts"]
    assert start["step"] == 0
    assert start["devices"]["count"] == 8


def test_the_result_is_that_of_the_last_evaluation(whole):
    result, _, _ = whole
    evals = [line for line in result.history if line["group"] == "eval"]

    assert [line["step"] for line in evals] == [3, 6]
    assert result.metrics == {
        k: v for k, v in evals[-1].items() if k not in ("step", "group")
    }
    best = max(evals, key=lambda line: line["top1"])
    assert (result.best_step, result.best_metrics["top1"]) == (
        best["step"],
        best["top1"],
    )
    assert result.metrics["examples"] == 20
    assert (result.start_step, result.already) == (0, False)


def test_events_tell_the_run_in_order(whole):
    result, _, seen = whole

    kinds = [type(e) for e in seen if not isinstance(e, events.Scored)]
    assert kinds[0] is events.Started
    assert kinds[-1] is events.Finished
    assert kinds.count(events.Progress) == 6
    steps = {
        kind: [e.step for e in seen if isinstance(e, kind)]
        for kind in (events.Progress, events.Evaluated, events.Saved)
    }
    assert steps[events.Progress] == [1, 2, 3, 4, 5, 6]
    assert steps[events.Evaluated] == [3, 6]
    assert steps[events.Saved] == [2, 4, 6]
    started = seen[0]
    assert (started.num_train, started.num_eval, started.num_classes) == (40, 20, 10)
    assert started.parameters == sum(
        p.size for p in jax.tree.leaves(result.variables["params"])
    )
    rates = [e.learning_rate for e in seen if isinstance(e, events.Progress)]
    np.testing.assert_allclose(rates[:4], [0.0, 0.025, 0.05, 0.05])
    scored = [(e.done, e.total) for e in seen if isinstance(e, events.Scored)]
    assert scored == [(16, 20), (20, 20)] * 2


def test_the_folder_gives_back_the_trained_model(whole):
    result, config, _ = whole

    last = load_workdir(result.workdir, best=False)
    best = load_workdir(result.workdir)

    _assert_equal(last.variables, result.variables)
    assert last.label_names == best.label_names
    assert len(last.label_names) == 10
    assert last.spec.shape == (1, 8, 8, 3)
    assert last.model.dropout_rate == config.model_args["dropout_rate"]
    clip = jnp.zeros((1, *last.spec.shape))
    logits, _ = best.model.apply(best.variables, clip)
    assert logits.shape == (1, 10)


def test_a_finished_run_is_read_and_not_trained_again(whole):
    result, config, _ = whole
    before = {
        p: p.stat().st_mtime_ns for p in (result.workdir / "checkpoints").iterdir()
    }
    seen = []

    again = fit(config, result.workdir, on_event=seen.append)

    _assert_equal(again.variables, result.variables)
    assert again.metrics == result.metrics
    assert again.best_step == result.best_step
    assert again.history == result.history
    assert again.already
    assert [type(e) for e in seen] == [events.Finished]
    assert seen[0].already
    after = {
        p: p.stat().st_mtime_ns for p in (result.workdir / "checkpoints").iterdir()
    }
    assert after == before


def test_a_finished_run_does_not_need_its_data(whole, tmp_path, monkeypatch):
    from vidjax.tasks import run

    result, config, _ = whole
    monkeypatch.setattr(run, "make_sources", None)

    assert fit(config, result.workdir).already


@pytest.mark.parametrize(
    ("kind", "step", "resumes_at"),
    [
        (events.Progress, 1, 0),
        (events.Evaluated, 3, 2),
        (events.Progress, 5, 4),
        (events.Evaluated, 6, 4),
        (events.Saved, 6, 6),
    ],
)
def test_a_run_that_fell_and_goes_on_equals_one_that_did_not(
    whole, tmp_path, kind, step, resumes_at
):
    result, config, _ = whole

    with pytest.raises(CrashError):
        fit(config, tmp_path, on_event=_crash_at(step, kind))
    resumed = fit(config, tmp_path)

    assert resumed.start_step == resumes_at
    _assert_equal(resumed.variables, result.variables)
    assert resumed.metrics == result.metrics
    assert resumed.best_step == result.best_step
    _assert_equal(
        load_workdir(tmp_path).variables, load_workdir(result.workdir).variables
    )
    assert _lines(tmp_path) == _lines(result.workdir)


def test_a_changed_config_is_refused_and_touches_nothing(whole):
    result, config, _ = whole
    other = from_dict({**to_dict(config), "seed": 1})

    with pytest.raises(ValueError, match="seed: 0 there, 1 here"):
        fit(other, result.workdir)

    assert fit(config, result.workdir).already


def test_the_seed_draws_the_first_parameters(tmp_path, make_config):
    # The rate of the first step of a warm-up is zero: it changes no parameter.
    one, two = (
        _leaves(fit(make_config(seed=n, steps=1), tmp_path / str(n)).variables)
        for n in (0, 1)
    )

    kernels = [name for name in one if name.endswith("kernel")]
    assert all(np.all(one[k] != two[k]) for k in kernels)


def test_compared_models_are_trained_side_by_side(tmp_path, make_config):
    config = _compare(
        make_config(steps=1),
        Contender("frame_average_resnet_tiny"),
    )

    result = fit(config, tmp_path)

    names = ["frame_average_resnet_tiny", "frame_average_resnet_tiny-2"]
    assert list(result.compared) == names
    assert result.metrics == result.compared[names[0]].metrics
    for name in names:
        assert result.compared[name].workdir == tmp_path / name
    written = json.loads((tmp_path / "result.json").read_text())["compared"]
    assert written == {n: r.metrics for n, r in result.compared.items()}
    own = load_workdir(tmp_path)
    _assert_equal(own.variables, load_workdir(tmp_path / names[0]).variables)
    assert own.model.dropout_rate == 0.3  # The twin has none.

    seen = []
    again = fit(config, tmp_path, on_event=seen.append)
    assert [e.already for e in seen] == [True, True]
    assert again.metrics == result.metrics


def test_what_is_wrong_with_a_contender_is_said_before_anything_is_trained(
    tmp_path, make_config
):
    config = _compare(make_config(), Contender("c3d_tiny", {"droput": 1}))
    seen = []

    with pytest.raises(TypeError, match="dropout_rate"):
        fit(config, tmp_path, on_event=seen.append)

    assert seen == []


def test_training_starts_from_given_weights_with_a_new_head(
    whole, tmp_path, make_config
):
    result, _, _ = whole
    weights = dict(jax.tree.map(np.asarray, result.variables))
    params = dict(weights["params"])
    params["logits"] = {
        "kernel": np.ones((params["logits"]["kernel"].shape[0], 3), np.float32),
        "bias": np.zeros(3, np.float32),
    }
    path = tmp_path / "three_classes.safetensors"
    save_variables(path, {**weights, "params": params}, {})
    # A rate of zero changes no parameter: what was loaded is what is saved.
    config = make_config(
        init=str(path), steps=1, optim__learning_rate=0.0, optim__warmup_steps=0
    )

    trained = _leaves(fit(config, tmp_path / "run").variables["params"])

    given = _leaves(params)
    assert trained["logits/kernel"].shape[1] == 10
    for name in trained:
        if not name.startswith("logits"):
            np.testing.assert_array_equal(trained[name], given[name], err_msg=name)


def test_weights_of_another_shape_are_refused(whole, tmp_path, make_config):
    result, _, _ = whole
    weights = jax.tree.map(np.asarray, result.variables)
    weights["params"]["backbone"].pop("conv1")
    save_variables(tmp_path / "w.safetensors", weights, {})

    with pytest.raises(ValueError, match="conv1"):
        fit(make_config(init=str(tmp_path / "w.safetensors")), tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_with_its_step_and_the_last_checkpoint(
    tmp_path, make_config
):
    config = make_config(
        optim__learning_rate=1e30, optim__warmup_steps=5, optim__schedule="constant"
    )

    with pytest.raises(ValueError, match=r"Step \d+: the loss is .*checkpoint"):
        fit(config, tmp_path)

    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"eval_every": 0, "save_every": -1}, "eval_every is 0, save_every is -1"),
        ({"log__every": 0}, r"log\.every is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"data__batch_size": 12}, r"data\.batch_size must be a multiple"),
        ({"optim__accumulate": 2}, r"multiple of optim\.accumulate .* 8, 2 and 8"),
        ({"optim__accumulate": 0}, r"optim\.accumulate is 0"),
        ({"data__eval_batch_size": 12}, r"data\.eval_batch_size must be a multiple"),
        ({"sharding__fsdp": 3}, "fsdp=3 and 8 devices"),
        ({"optim__momentum": 1.0}, "momentum is in"),
        ({"data__source": "synthetic_moton"}, "synthetic_motion"),
        ({"eval__num_clips": 0}, r"eval\.num_clips must be positive"),
        ({"model": "frame_average_resnet_tin"}, "frame_average_resnet_tiny"),
        ({"init": "kinetics401"}, "kinetics401"),
    ],
)
def test_a_config_that_is_wrong_is_refused_and_leaves_the_folder_free(
    tmp_path, make_config, values, words
):
    with pytest.raises(ValueError, match=words):
        fit(make_config(**values), tmp_path)

    with pytest.raises(ValueError, match="seed is -1"):  # Not: another experiment.
        fit(make_config(seed=-1), tmp_path)


def test_more_than_one_process_is_refused(tmp_path, make_config, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)

    with pytest.raises(ValueError, match="one process so far, got 2"):
        fit(make_config(), tmp_path)


def _write_video(path, shade):
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for _ in range(6):
            picture = np.full((24, 32, 3), shade, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_training_on_a_folder_of_videos_uses_its_class_names(tmp_path, make_config):
    for name, shade in (("jump", 30), ("wave", 220)):
        for i in range(4):
            _write_video(tmp_path / "videos" / name / f"{i}.mp4", shade)
    (tmp_path / "videos" / "wave" / "4.mp4").write_bytes(b"no video")
    config = make_config(
        data__source=f"folder:{tmp_path / 'videos'}", data__eval_fraction=0.5, steps=2
    )

    result = fit(config, tmp_path / "run")

    trained = load_workdir(tmp_path / "run")
    assert trained.label_names == ("jump", "wave")
    assert trained.variables["params"]["logits"]["kernel"].shape[1] == 2
    held_out = result.metrics["examples"] + result.metrics["failed"]
    assert 3 <= held_out <= 6

    # The data of a run that has begun must stay: a new video makes it another run.
    _write_video(tmp_path / "videos" / "jump" / "new.mp4", 30)
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(ValueError, match="began with other data"):
        fit(config, tmp_path / "run")


def test_training_and_testing_are_traced_under_the_mesh(tmp_path, make_config):
    meshes = {True: [], False: []}

    def look(call, args, kwargs, context):
        if not context.module.is_initializing() and "train" in kwargs:
            mesh = jax.sharding.get_abstract_mesh()
            meshes[kwargs["train"]].append(dict(mesh.shape))
        return call(*args, **kwargs)

    with nn.intercept_methods(look):
        fit(make_config(sharding__fsdp=2, steps=2, eval_every=2), tmp_path)
    for seen in meshes.values():  # Without, no kernel runs on several TPUs.
        assert {"data": 4, "fsdp": 2} in seen
        assert all(seen)
