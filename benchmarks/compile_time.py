"""How long deep transformers take to compile, block by block and as a scan.

    python benchmarks/compile_time.py

Traces and compiles the training step of VideoMAE's classifiers on two clips of 16
frames, as vidjax has them, one block after another, and with the same blocks as one
`nn.scan` over stacked parameters. Nothing is run: the numbers are those of the compiler
of the machine, in seconds, and the temporary memory that it plans. Prints one line of
JSON for each.
"""

import dataclasses
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax
import tyro
from flax import linen as nn

from vidjax.layers.block import Block
from vidjax.layers.head import Classifier
from vidjax.layers.norm import LayerNorm
from vidjax.models.videomae import BASE, HUGE, LARGE, Layout, VideoMAE, embed
from vidjax.train.state import make_init
from vidjax.train.step import make_train_step

LAYOUTS = {"base": BASE, "large": LARGE, "huge": HUGE}
_CLIP = (16, 224, 224, 3)
_BATCH = 2


@dataclasses.dataclass(frozen=True)
class Survey:
    """What is compiled.

    Attributes:
        sizes: Of VideoMAE: "base" (12 blocks), "large" (24) or "huge" (32).
        ways: "loop", as vidjax has it, or "scan".
    """

    sizes: tuple[str, ...] = tuple(LAYOUTS)
    ways: tuple[str, ...] = ("loop", "scan")


class _Body(nn.Module):
    """One block, as `nn.scan` wants it."""

    layout: Layout

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        width = self.layout.width
        block = Block(self.layout.heads, 4 * width, True, "no key", name="block")
        return block(x), None


class Scanned(nn.Module):
    """VideoMAE with its blocks as a scan; it has no endpoints of single blocks.

    Attributes:
        layout: Depth and width.
    """

    layout: Layout

    @nn.compact
    def __call__(
        self, clip: jax.Array, *, train: bool = False
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Classifies clips [B, T, H, W, C] as 400 classes."""
        x, _ = embed(self, clip, self.layout, jnp.float32)
        stack = nn.scan(
            _Body,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.layout.depth,
        )
        x, _ = stack(self.layout, name="blocks")(x, None)
        mean = LayerNorm(name="fc_norm")(jnp.mean(x, axis=1, keepdims=True))
        return Classifier(400, name="logits")(mean, train=train)


def main(survey: Survey) -> None:
    """Compiles and prints.

    Args:
        survey: What is compiled.
    """
    for size in survey.sizes:
        for way in survey.ways:
            layout = LAYOUTS[size]
            model = VideoMAE(layout=layout) if way == "loop" else Scanned(layout)
            print(json.dumps({"model": size, "way": way, **_time(model)}), flush=True)


def _time(model: nn.Module) -> dict[str, Any]:
    optimizer = optax.adamw(1e-3)
    began = time.perf_counter()
    init = make_init(model, optimizer, clip_shape=_CLIP)
    state = jax.eval_shape(init, jax.random.key(0))
    step = make_train_step(
        model, optimizer, prepare=lambda clip: clip.astype(jnp.float32) / 255
    )
    batch = {
        "clip": jax.ShapeDtypeStruct((_BATCH, *_CLIP), jnp.uint8),
        "label": jax.ShapeDtypeStruct((_BATCH,), jnp.int32),
        "mask": jax.ShapeDtypeStruct((_BATCH,), jnp.bool_),
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    lowered = jax.jit(step, donate_argnums=0).lower(state, batch, key)
    traced = time.perf_counter()
    compiled: Any = lowered.compile()
    done = time.perf_counter()
    return {
        "trace_sec": round(traced - began, 1),
        "compile_sec": round(done - traced, 1),
        "temp_mib": compiled.memory_analysis().temp_size_in_bytes >> 20,
    }


if __name__ == "__main__":
    main(tyro.cli(Survey, description=__doc__))
