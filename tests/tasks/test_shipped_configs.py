"""Every shipped config trains: its recipe on a small model of its family."""

import dataclasses
import difflib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vidjax.config import DataConfig, SyntheticConfig, list_configs, load_config
from vidjax.convert import save_variables
from vidjax.models import create_model, list_models, model_card
from vidjax.tasks.fit import fit


def _small(name):
    """The tiny model of a family whose name is nearest."""
    family = model_card(name).family
    tiny = [n for n in list_models("*_tiny") if model_card(n).family == family]
    return difflib.get_close_matches(name, tiny, n=1, cutoff=0)[0]


def _weights(name, folder):
    """A file of random weights of the tiny image network for an inflated one."""
    model, clip = create_model(name), model_card(name).clip
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, *clip.shape)))
    path = folder / f"{name}.safetensors"
    save_variables(path, variables)
    return str(path)


def _shrink(config, folder):
    """The same recipe for two steps of a small model on drawn clips."""
    flow = config.objective == "flow"
    data = DataConfig(
        source="scenes" if flow else "synthetic_motion",
        batch_size=8,
        num_frames=None if flow else 4,
        size=64 if flow else 16,
        flow_method="farneback",
        synthetic=SyntheticConfig(num_train=16, num_eval=8),
    )
    small = _small(config.model)
    inflation, init = config.inflation, None
    if inflation.source is not None:
        source = _small(inflation.source)
        inflation = dataclasses.replace(inflation, source=source)
        init = _weights(source, folder)
    return dataclasses.replace(
        config,
        model=small,
        model_args={"iterations": 1} if flow else config.model_args,
        compare=(),
        init=init,
        inflation=inflation,
        data=data,
        steps=2,
        eval_every=2,
        save_every=2,
    )


def _on_clips(name):
    """Detectors train on features: `test_detection`."""
    return load_config(name).objective != "localization"


@pytest.mark.parametrize("name", [*filter(_on_clips, list_configs())])
def test_a_shipped_recipe_trains(name, tmp_path):
    config = load_config(name)

    result = fit(_shrink(config, tmp_path), tmp_path / "run")

    train = [line for line in result.history if line["group"] == "train"]
    assert result.metrics["examples"] == 8
    assert np.isfinite([line["loss"] for line in train]).all()
    assert np.isfinite([line["grad_norm"] for line in train]).all()
    assert result.model.endswith("_tiny")
