"""The weights that a run starts from."""

import pathlib
from typing import Any

from flax import linen as nn

from vidjax.config import Config, InflationConfig
from vidjax.convert import from_arrays, inflate, load_variables
from vidjax.tasks.inflation import load_image_network
from vidjax.tasks.workdir import CONFIG, load_workdir
from vidjax.typing import ClipSpec


def check_initial(config: Config) -> None:
    """Checks that nothing is said of inflation where nothing is inflated.

    Args:
        config: The experiment.

    Raises:
        ValueError: If `inflation` is set without `inflation.source`, or that without
            `init`.
    """
    how = config.inflation
    if how.source is not None and config.init is None:
        raise ValueError(
            f"inflation.source={how.source!r} needs init: a tag or a file of its "
            "weights."
        )
    if how.source is None and how != InflationConfig():
        raise ValueError(
            f"{how} needs inflation.source, the name of the image network whose "
            "weights init names."
        )


def read_initial(config: Config, model: nn.Module, spec: ClipSpec) -> dict[str, Any]:
    """Reads the weights that a run starts from, fitted to its model.

    Those of a run are of its best evaluation. A masked autoencoder gives its encoder to
    a classifier.

    Args:
        config: The experiment; `init` is set.
        model: Its model.
        spec: The clip that the model wants.

    Returns:
        {"params": ..., "batch_stats": ...}: nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If the weights are not there or do not fit.
    """
    init, how = str(config.init), config.inflation
    if how.source is not None:
        return inflate(
            load_image_network(how.source, init, spec.size),
            model,
            spec.shape,
            how.temporal,
            head="match",
            time_attention=how.time_attention,
        )
    arguments = dict(config.model_args)
    arguments.pop("num_classes", None)
    fit: dict[str, Any] = {
        "num_classes": getattr(model, "num_classes", None),
        "head": "match",
        "clip_shape": spec.shape,
        "model_args": arguments,
    }
    if (pathlib.Path(init).expanduser() / CONFIG).is_file():
        variables = load_workdir(pathlib.Path(init).expanduser()).variables
        return from_arrays(config.model, variables, **fit)
    return load_variables(config.model, init, **fit)
