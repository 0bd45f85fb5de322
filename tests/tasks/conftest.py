"""An experiment that is small enough to be run many times."""

from collections.abc import Callable

import pytest

from vidjax.config import (
    Config,
    DataConfig,
    LogConfig,
    OptimConfig,
    SyntheticConfig,
    override,
)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., Config]:
    """Six steps of a network with batch norm and dropout; overrides by field."""

    def make(**values) -> Config:
        config = Config(
            model="frame_average_resnet_tiny",
            model_args={"dropout_rate": 0.3},
            data=DataConfig(
                batch_size=8,
                eval_batch_size=16,
                num_frames=1,
                size=8,
                synthetic=SyntheticConfig(num_train=40, num_eval=20),
            ),
            optim=OptimConfig(learning_rate=0.05, warmup_steps=2, schedule="constant"),
            steps=6,
            eval_every=3,
            save_every=2,
            log=LogConfig(every=1),
        )
        return override(config, {k.replace("__", "."): v for k, v in values.items()})

    return make
