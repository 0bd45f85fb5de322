"""What attention over space and time costs, by how it is factorised: docs/attention.md.

    python benchmarks/attention.py --picture docs/attention.svg

One token for each block of 16 x 16 pixels of each frame of a clip of 224 pixels, on
ViT-B. Multiply-adds are those of `vidjax cost` for the whole network; memory is what
the compiler plans for the forward and backward pass of two of its blocks on one clip,
beside arguments and results. Nothing is run. Prints one line of JSON for each point and
draws them.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from flax import linen as nn

import vidjax
from vidjax.models import timesformer, vit, vivit
from vidjax.ops.platform import compile_for

_BASE = dataclasses.replace(vivit.BASE, patch=(1, 16, 16))


def _vivit(depth: int, **changes: Any) -> nn.Module:
    layout = dataclasses.replace(_BASE, depth=depth, **changes)
    return vivit.ViViT(layout=layout, pool="mean")


def _divided(depth: int) -> nn.Module:
    layout = dataclasses.replace(vit.BASE, depth=depth)
    return timesformer.TimeSformer(layout=layout)


# The name of a scheme, and its network of so many blocks. The encoder over time has a
# third as many blocks as that over space, as ViViT-B's model 2 has (4 and 12).
SCHEMES = {
    "joint": lambda depth: _vivit(depth),
    "divided (TimeSformer)": _divided,
    "factorised self-attention (ViViT 3)": lambda depth: _vivit(
        depth, factorised="self_attention"
    ),
    "factorised dot-product (ViViT 4)": lambda depth: _vivit(
        depth, factorised="dot_product"
    ),
    "factorised encoder (ViViT 2)": lambda depth: _vivit(
        depth, factorised="encoder", time_depth=-(-depth // 3)
    ),
}
_PLAIN = "joint, all scores held"


@dataclasses.dataclass(frozen=True)
class Survey:
    """What is counted.

    Attributes:
        frames: Frames of a clip.
        picture: File to draw to, .svg or .png; None draws nothing.
    """

    frames: tuple[int, ...] = (8, 16, 32, 64)
    picture: pathlib.Path | None = None


def main(survey: Survey) -> None:
    """Counts, prints and draws.

    Args:
        survey: What is counted.
    """
    rows = []
    for name, build in SCHEMES.items():
        for frames in survey.frames:
            row = {
                "scheme": name,
                "frames": frames,
                "tokens": 196 * frames,
                "gmacs": round(_macs(build(12), frames) / 1e9, 1),
                "mib": round(_bytes(build(2), frames) / 2**20),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    for frames in survey.frames:
        with compile_for("any"):
            held = _bytes(SCHEMES["joint"](2), frames)
        row = {"scheme": _PLAIN, "frames": frames, "tokens": 196 * frames}
        rows.append(row | {"mib": round(held / 2**20)})
        print(json.dumps(rows[-1]), flush=True)
    if survey.picture is not None:
        _draw(rows, survey.picture)


def _macs(model: nn.Module, frames: int) -> int:
    name = "vivit_base" if isinstance(model, vivit.ViViT) else "timesformer_base"
    arguments = {"layout": getattr(model, "layout", None)}
    if name == "vivit_base":
        arguments["pool"] = "mean"
    return vidjax.cost(name, (frames, 224, 224, 3), **arguments).macs


def _bytes(model: nn.Module, frames: int) -> int:
    """What the compiler plans for between arguments and gradients, in bytes."""
    clip = jax.ShapeDtypeStruct((1, frames, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), clip)

    def loss(params: Any, clip: jax.Array) -> jax.Array:
        logits: Any = model.apply({"params": params}, clip)
        return jnp.sum(logits[0])

    compiled = jax.jit(jax.grad(loss)).lower(variables["params"], clip).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def _draw(rows: list[dict[str, Any]], path: pathlib.Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "vidjax"  # The same file every time.
    from matplotlib import pyplot

    figure, panes = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for axes, key, title in zip(
        panes, ("gmacs", "mib"), ("multiply-adds, 1e9", "memory, MiB"), strict=True
    ):
        for i, name in enumerate((*SCHEMES, _PLAIN)):
            known = [r for r in rows if r["scheme"] == name and key in r]
            tokens, values = [r["tokens"] for r in known], [r[key] for r in known]
            style = "--" if name == _PLAIN else "-"
            axes.plot(tokens, values, style, color=f"C{i}", label=name)
        axes.set(xscale="log", yscale="log", xlabel="tokens", title=title)
        tokens = sorted({row["tokens"] for row in rows})
        axes.set_xticks(tokens, [f"{n:,}" for n in tokens])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panes[1].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main(tyro.cli(Survey, description=__doc__))
