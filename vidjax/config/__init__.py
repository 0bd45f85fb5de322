"""Experiments: what they are, the files that describe them, their fields by name."""

from vidjax.config.experiment import (
    AugmentConfig,
    Config,
    Contender,
    DataConfig,
    EvalConfig,
    FeaturesConfig,
    InflationConfig,
    LogConfig,
    MixingConfig,
    OptimConfig,
    ShardingConfig,
    SyntheticConfig,
)
from vidjax.config.fields import from_dict, override, to_dict
from vidjax.config.files import find_config, list_configs, load_config

__all__ = [
    "AugmentConfig",
    "Config",
    "Contender",
    "DataConfig",
    "EvalConfig",
    "FeaturesConfig",
    "InflationConfig",
    "LogConfig",
    "MixingConfig",
    "OptimConfig",
    "ShardingConfig",
    "SyntheticConfig",
    "find_config",
    "from_dict",
    "list_configs",
    "load_config",
    "override",
    "to_dict",
]
