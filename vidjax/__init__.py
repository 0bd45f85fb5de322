"""vidjax: video understanding in JAX.

The public names are imported when they are first used, so that `import vidjax` is fast
and needs neither TensorFlow nor torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name: the module that defines it.
_HOMES = {
    "create_model": "vidjax.models.registry",
    "list_models": "vidjax.models.registry",
    "model_card": "vidjax.models.registry",
    "to_nnx": "vidjax.models.nnx_bridge",
    "load_variables": "vidjax.convert",
    "save_variables": "vidjax.convert",
    "from_pretrained": "vidjax.convert",
    "push": "vidjax.convert",
    "cost": "vidjax.analysis.cost",
    "load_config": "vidjax.config",
    "list_configs": "vidjax.config",
    "load_clip": "vidjax.tasks.predict",
    "predict": "vidjax.tasks.predict",
    "localize": "vidjax.tasks.localize",
    "fit": "vidjax.tasks.fit",
    "evaluate": "vidjax.tasks.evaluate",
}
_ROOMS = (
    *("config", "convert", "data", "eval", "flow"),
    *("layers", "models", "ops", "train"),
)

__all__ = ["__version__", *_HOMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"vidjax.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'vidjax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
