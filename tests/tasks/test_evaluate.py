"""Every held-out example counts once, whatever the batches, and under its own name."""

import jax
import numpy as np
import pytest

from vidjax.config import SyntheticConfig
from vidjax.convert import save_variables
from vidjax.data.sources import SyntheticSource
from vidjax.eval.stored import StoredScores
from vidjax.eval.views import ViewScores
from vidjax.tasks import evaluate as module
from vidjax.tasks import events
from vidjax.tasks.evaluate import evaluate
from vidjax.tasks.fit import fit
from vidjax.tasks.judgement import join_scores, judge
from vidjax.tasks.workdir import load_workdir
from vidjax.typing import ClipSpec, Views


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_config):
    workdir = tmp_path_factory.mktemp("run")
    config = make_config(steps=1)
    return fit(config, workdir), config


def test_evaluation_repeats_the_metrics_of_training(trained):
    fitted, config = trained

    result = evaluate(config, fitted.workdir)

    assert result.metrics == fitted.metrics
    assert result.confusion.sum() == 20
    assert result.label_names == load_workdir(fitted.workdir).label_names


@pytest.mark.parametrize("batch_size", [8, 24, 32])
def test_every_example_counts_once_whatever_the_batch_size(
    trained, make_config, batch_size
):
    fitted, config = trained
    expected = evaluate(config, fitted.workdir)

    result = evaluate(
        make_config(steps=1, data__eval_batch_size=batch_size), fitted.workdir
    )

    np.testing.assert_allclose(
        result.probabilities, expected.probabilities, rtol=1e-5, atol=1e-7
    )
    np.testing.assert_array_equal(result.confusion, expected.confusion)
    assert result.metrics["examples"] == 20


def test_probabilities_are_those_of_the_model_on_each_clip_alone(trained):
    fitted, config = trained
    best = load_workdir(fitted.workdir)

    result = evaluate(config, fitted.workdir)

    source = SyntheticSource(best.spec, config.data.synthetic, "eval")
    apply = jax.jit(best.model.apply)
    for i in (0, 7, 19):
        pixels = source.clip(i)[None].astype(np.float32)
        low, high = best.spec.value_range
        clip = low + pixels / 255 * (high - low)
        clip = (clip - np.array(best.spec.mean)) / np.array(best.spec.std)
        logits, _ = apply(best.variables, clip.astype(np.float32))
        np.testing.assert_allclose(
            result.probabilities[i], jax.nn.softmax(logits)[0], rtol=1e-3, atol=1e-6
        )


def test_progress_is_told(trained):
    fitted, config = trained
    seen = []

    evaluate(config, fitted.workdir, on_event=seen.append)

    assert seen == [
        events.Scored(config.model, 16, 20),
        events.Scored(config.model, 20, 20),
    ]


def test_a_file_of_weights_is_tested_by_the_classes_of_the_data(trained, tmp_path):
    fitted, config = trained
    path = tmp_path / "w.safetensors"
    save_variables(path, jax.tree.map(np.asarray, fitted.variables), {})

    result = evaluate(config, weights=str(path))

    assert result.metrics == evaluate(config, fitted.workdir, best=False).metrics


def test_a_video_that_cannot_be_read_is_reported_and_not_counted(trained, monkeypatch):
    fitted, config = trained
    whole = evaluate(config, fitted.workdir)
    real = module.eval_batches

    def eval_batches(*args, **kwargs):
        for batch in real(*args, **kwargs):
            bad = np.isin(batch["index"], (3, 4))
            yield {**batch, "mask": batch["mask"] & ~bad}

    monkeypatch.setattr(module, "eval_batches", eval_batches)
    result = evaluate(config, fitted.workdir)

    assert (result.metrics["examples"], result.metrics["failed"]) == (18, 2)
    assert np.flatnonzero(~result.present).tolist() == [3, 4]
    right = [i for i in range(20) if i not in (3, 4)]
    expected = whole.probabilities[right].argmax(1) == whole.labels[right]
    assert result.metrics["top1"] == pytest.approx(expected.mean())
    rows = result.to_dict()["predictions"]
    assert [i for i, row in enumerate(rows) if "error" in row] == [3, 4]


def test_no_video_that_can_be_read_raises(trained, monkeypatch):
    fitted, config = trained
    real = module.eval_batches

    def eval_batches(*args, **kwargs):
        for batch in real(*args, **kwargs):
            yield {**batch, "mask": batch["mask"] & False}

    monkeypatch.setattr(module, "eval_batches", eval_batches)

    with pytest.raises(ValueError, match="None of the 20 held-out videos"):
        evaluate(config, fitted.workdir)


def _with_names(monkeypatch, names):
    def make_source(data, spec, split):
        return SyntheticSource(spec, data.synthetic, split, label_names=names)

    monkeypatch.setattr(module, "make_source", make_source)


def test_classes_are_matched_by_name(trained, monkeypatch):
    fitted, config = trained
    names = load_workdir(fitted.workdir).label_names
    plain = evaluate(config, fitted.workdir)

    _with_names(monkeypatch, tuple(reversed(names)))
    result = evaluate(config, fitted.workdir)

    # The same clips in the same order, under names that stand in another order.
    assert [result.label_names[i] for i in result.labels] == [
        names[::-1][i] for i in plain.labels
    ]
    np.testing.assert_array_equal(result.probabilities, plain.probabilities)


def test_classes_that_the_model_does_not_know_raise(trained, monkeypatch):
    fitted, config = trained
    names = load_workdir(fitted.workdir).label_names
    _with_names(monkeypatch, (*names[:-1], "juggling"))

    with pytest.raises(ValueError, match=r"does not know 1 of the 10 .*juggling"):
        evaluate(config, fitted.workdir)


def test_a_run_of_another_model_is_refused(trained, make_config):
    fitted, _ = trained
    other = make_config(model_args__dropout_rate=0.0)

    with pytest.raises(ValueError, match=r"the config says .*'dropout_rate': 0.0"):
        evaluate(other, fitted.workdir)


def test_exactly_one_of_workdir_and_weights_is_wanted(make_config, tmp_path):
    for given in ({}, {"workdir": tmp_path, "weights": "kinetics400"}):
        with pytest.raises(ValueError, match="either workdir or weights"):
            evaluate(make_config(), **given)


def test_a_batch_that_does_not_fit_the_devices_is_refused(trained, make_config):
    fitted, _ = trained
    config = make_config(steps=1, data__eval_batch_size=12)

    with pytest.raises(ValueError, match=r"data.eval_batch_size must be a multiple"):
        evaluate(config, fitted.workdir)


def test_source_of_the_test_draws_what_the_data_set_does():
    config = SyntheticConfig(num_eval=4)
    spec = ClipSpec(num_frames=1, size=8)

    one, two = (SyntheticSource(spec, config, "eval").clip(2) for _ in range(2))

    np.testing.assert_array_equal(one, two)


def test_scores_of_a_run_are_kept_and_joined_again(trained):
    fitted, config = trained
    result = evaluate(config, fitted.workdir)

    again = join_scores(fitted.workdir / "scores.npz")

    assert again.to_dict() == result.to_dict()
    assert again.protocol == "center"
    low, high = again.intervals["top1"]
    assert low <= again.metrics["top1"] <= high
    logits = join_scores(fitted.workdir / "scores.npz", average="logits")
    assert logits.protocol == "center, logits"
    np.testing.assert_allclose(logits.probabilities, result.probabilities, atol=1e-6)


def test_the_digest_is_of_the_videos_that_were_there():
    def digest(seen, folder="a"):
        scores = ViewScores(2, 1, 2, average="softmax")
        scores.add(
            np.eye(2, dtype=np.float32)[seen],
            index=np.array(seen),
            view=np.zeros(len(seen), int),
            mask=np.ones(len(seen), bool),
        )
        paths = (f"{folder}/x.mp4", f"{folder}/y.mp4")
        labels = np.array([0, 1], np.int32)
        return judge(
            StoredScores(scores, labels, ("p", "q"), paths, Views(), "m")
        ).videos

    assert digest([0, 1]) == digest([1, 0], folder="elsewhere")
    assert len({digest([0, 1]), digest([0]), digest([1])}) == 3
