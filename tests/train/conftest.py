"""A small network with everything that a step must handle: batch norm and dropout."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

CLIP_SHAPE = (2, 4, 4, 3)
NUM_CLASSES = 4


class SmallNet(nn.Module):
    dropout_rate: float = 0.0
    dtype: str = "float32"

    @nn.compact
    def __call__(self, clip, *, train=False):
        x = nn.Conv(8, (3, 3), use_bias=False, dtype=self.dtype)(clip)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.relu(x)
        pooled = jnp.mean(x, axis=(1, 2, 3))
        pooled = nn.Dropout(self.dropout_rate, deterministic=not train)(pooled)
        logits = nn.Dense(NUM_CLASSES, name="logits", dtype=self.dtype)(pooled)
        return logits.astype(jnp.float32), {"features": x, "pooled": pooled}


def prepare(clip: jax.Array) -> jax.Array:
    return clip.astype(jnp.float32) / 127.5 - 1.0


@pytest.fixture
def make_batch() -> Callable[..., dict[str, np.ndarray]]:
    """Batches whose content is a function of their step; the label is in the clip."""

    def make(step: int = 0, size: int = 16) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((7, step))
        label = rng.integers(0, NUM_CLASSES, size).astype(np.int32)
        clip = rng.integers(0, 100, (size, *CLIP_SHAPE)).astype(np.uint8)
        clip[..., 0] += (40 * label[:, None, None, None]).astype(np.uint8)
        return {"clip": clip, "label": label, "mask": np.ones(size, bool)}

    return make


@pytest.fixture
def batches(make_batch) -> Callable[..., Iterator[dict[str, np.ndarray]]]:
    def iterate(start_step: int = 0, size: int = 16):
        step = start_step
        while True:
            yield make_batch(step, size)
            step += 1

    return iterate


@pytest.fixture
def net() -> type[SmallNet]:
    return SmallNet


@pytest.fixture
def pixels() -> Callable[[jax.Array], jax.Array]:
    return prepare


@pytest.fixture
def clip_shape() -> tuple[int, ...]:
    return CLIP_SHAPE
