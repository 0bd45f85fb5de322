"""Masked autoencoders through `fit`, and what starts from their weights, or images'."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vidjax
from vidjax.config import InflationConfig, MixingConfig, override
from vidjax.convert import save_variables
from vidjax.convert.variables import flatten
from vidjax.data.sources import make_source
from vidjax.ops.masked_modeling import (
    normalised_pixels,
    pixel_targets,
    reconstruction_error,
)
from vidjax.tasks import events
from vidjax.tasks.evaluate import evaluate
from vidjax.tasks.fit import fit
from vidjax.tasks.objective import make_losses
from vidjax.tasks.predict import load_trained_recognizer
from vidjax.tasks.report import report
from vidjax.tasks.run import prepare_run
from vidjax.tasks.workdir import load_workdir


@pytest.fixture(scope="module")
def tiny(make_config):
    """A config of the smallest VideoMAE; overrides by field."""

    def make(**values):
        config = override(make_config(), {"model_args": {}, "model": "videomae_tiny"})
        config = override(config, {"data.num_frames": 4, "data.size": 16})
        return override(config, {k.replace("__", "."): v for k, v in values.items()})

    return make


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, tiny):
    """Six steps of a masked autoencoder, and the events."""
    seen, workdir = [], tmp_path_factory.mktemp("pretrained") / "run"
    config = tiny(model="videomae_pretrain_tiny", objective="masked_pixels")
    return fit(config, workdir, on_event=seen.append), config, seen


def test_a_masked_autoencoder_is_trained_and_tested_by_its_loss(pretrained):
    result, _, seen = pretrained

    assert set(result.metrics) == {"loss", "examples", "failed"}
    evals = [line for line in result.history if line["group"] == "eval"]
    assert result.best_metrics["loss"] == min(line["loss"] for line in evals)
    train = [line for line in result.history if line["group"] == "train"]
    assert train[-1]["loss"] < train[0]["loss"]
    assert "top1" not in train[0]
    assert {e.top1 for e in seen if isinstance(e, events.Progress)} == {None}
    written = json.loads((result.workdir / "evaluation.json").read_text())
    losses = [row["loss"] for row in written["reconstructions"]]
    assert len(losses) == 20
    assert np.mean(losses) == pytest.approx(result.metrics["loss"], abs=1e-5)


def test_the_loss_is_that_of_the_normalised_pixels_that_are_hidden(pretrained):
    result, config, _ = pretrained
    trained = load_workdir(result.workdir, best=False)
    source = make_source(config.data, trained.spec, split="eval")
    pixels = jnp.stack([source.clip(i) for i in range(16)])
    mean, std = (
        jnp.array(x).reshape(1, 1, 1, 1, 3)
        for x in (trained.spec.mean, trained.spec.std)
    )
    clip = (pixels / 255 - mean) / std

    _, endpoints = jax.jit(trained.model.apply)(trained.variables, clip)

    targets = normalised_pixels(pixels / 255, trained.model.layout.patch)
    expected = reconstruction_error(
        endpoints["logits_per_step"], targets, endpoints["mask"]
    )
    written = json.loads((result.workdir / "evaluation.json").read_text())
    found = [row["loss"] for row in written["reconstructions"][:16]]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("targets", ["pixels", "normalised"])
def test_a_run_learns_what_its_model_predicts(tiny, tmp_path, targets):
    config = tiny(
        model="videomae_pretrain_tiny",
        model_args={"targets": targets},
        objective="masked_pixels",
    )
    run = prepare_run(config.model, config, tmp_path)
    clip = jax.random.randint(jax.random.key(0), (2, 4, 16, 16, 3), 0, 256)
    mask = jnp.arange(8)[None] < jnp.array([[6], [6]])
    wanted = pixel_targets(clip / 255, run.model.layout.patch, targets)[:, :6]
    endpoints = {"logits_per_step": wanted, "mask": mask}

    loss, _ = make_losses(run)((wanted, endpoints), {"clip": clip})

    np.testing.assert_allclose(loss, 0.0, atol=1e-6)


def test_a_batch_in_parts_trains_the_same_model(tiny, tmp_path):
    config = tiny(steps=2, data__batch_size=16, optim__name="adamw")
    config = override(config, {"optim.learning_rate": 1e-3})

    whole = fit(config, tmp_path / "whole")
    parts = fit(override(config, {"optim.accumulate": 2}), tmp_path / "parts")

    found, expected = flatten(parts.variables), flatten(whole.variables)
    for path in expected:
        # Adam divides by the size of a gradient, so that noise in a tiny one shows.
        np.testing.assert_allclose(found[path], expected[path], atol=1e-4, err_msg=path)
    (step_2,) = (x for x in parts.history if x["group"] == "train" and x["step"] == 2)
    (same,) = (x for x in whole.history if x["group"] == "train" and x["step"] == 2)
    assert step_2["loss"] == pytest.approx(same["loss"], rel=1e-4)


def test_its_report_has_losses_and_no_labels(pretrained):
    result, _, _ = pretrained

    found = report(result.workdir)

    (row,) = found.rows
    assert (row.top1, row.loss) == (None, result.metrics["loss"])
    assert found.chance is None
    assert found.page is not None
    page = found.page.read_text()
    assert "held-out loss" in page
    assert "Confusion" not in page


def test_it_labels_nothing(pretrained):
    result, config, _ = pretrained

    with pytest.raises(ValueError, match="learned no labels"):
        load_trained_recognizer(result.workdir)
    with pytest.raises(ValueError, match="gives no labels to test"):
        evaluate(config, result.workdir)


def test_fine_tuning_starts_from_its_encoder(pretrained, tiny, tmp_path):
    result, _, _ = pretrained
    config = tiny(init=str(result.workdir), steps=1, optim__learning_rate=0.0)
    config = override(config, {"optim.warmup_steps": 0, "model_args.head_std": 0.0})

    tuned = flatten(fit(config, tmp_path).variables)

    encoder = flatten(load_workdir(result.workdir).variables)
    taken = [path for path in tuned if "blocks_" in path or "patch_embed" in path]
    assert len(taken) > 30
    for path in taken:
        np.testing.assert_array_equal(tuned[path], encoder[path], err_msg=path)
    assert set(tuned) - set(taken) == {
        *("params/fc_norm/scale", "params/fc_norm/bias"),
        *("params/logits/kernel", "params/logits/bias"),
    }
    assert not tuned[
        "params/logits/kernel"
    ].any()  # head_std of the experiment's model.


def test_an_image_transformer_is_inflated_when_the_config_says_so(tiny, tmp_path):
    image = vidjax.create_model("vit_tiny")
    variables = jax.jit(image.init)(jax.random.key(3), jnp.zeros((1, 32, 32, 3)))
    save_variables(tmp_path / "vit.safetensors", variables)
    config = tiny(
        model="timesformer_tiny",
        init=str(tmp_path / "vit.safetensors"),
        steps=1,
        optim__learning_rate=0.0,
        optim__warmup_steps=0,
    )
    config = dataclasses.replace(
        config, inflation=InflationConfig("vit_tiny", time_attention="zero")
    )

    found = flatten(fit(config, tmp_path / "run").variables)

    source = flatten(variables)
    for path in ("params/blocks_1/attn/qkv/kernel", "params/cls_token"):
        np.testing.assert_array_equal(found[path], source[path])
    # From 4 x 4 places to 2 x 2: the corners, as the image network's code resizes.
    corners = source["params/pos_embed"][:, [0, 1, 4, 13, 16]]
    np.testing.assert_allclose(found["params/pos_embed"], corners, rtol=1e-5)
    assert not found["params/blocks_0/temporal_fc/kernel"].any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "masked_pixels"}, "only for them: videomae_tiny is none"),
        ({"model": "videomae_pretrain_tiny"}, "only for them: .*_pretrain_tiny is one"),
        (
            {
                "objective": "masked_pixels",
                "mixing": MixingConfig(mixup_alpha=0.8),
            },
            "no labels are learned: leave out mixing",
        ),
        ({"mixing": MixingConfig(rate=-1.0)}, "rate is in"),
        ({"inflation": InflationConfig("vit_tiny")}, "needs init"),
        ({"inflation": InflationConfig(temporal="center")}, "needs inflation.source"),
        (
            {"inflation": InflationConfig("c3d_tiny"), "init": "x"},
            "inflation starts from an image network",
        ),
    ],
)
def test_what_does_not_go_together_is_said_at_once(tiny, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        fit(dataclasses.replace(tiny(), **changes), tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_rates_by_layer_need_blocks_before_anything_is_trained(make_config, tmp_path):
    with pytest.raises(ValueError, match="layer_decay is for transformers"):
        fit(make_config(optim__layer_decay=0.75), tmp_path)
