"""How far converted weights are from the published implementations' own numbers.

    python benchmarks/parity.py

Runs the cases of transformers in tests/parity/cases: weights that are a function of
their names are converted, a clip goes through the network, and what comes out is
compared with what the published implementation gave. Prints one row of a Markdown table
for each: the case, the model, the largest difference over the largest value of the
published output, and the seconds of converting, of tracing and compiling, and of one
pass. The table is in docs/conversion.md.
"""

import dataclasses
import fnmatch
import importlib.util
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from vidjax import convert
from vidjax.convert.rules import Naming, translate
from vidjax.convert.variables import unflatten
from vidjax.convert.videoprism import VIDEOPRISM
from vidjax.convert.vivit import SCENIC
from vidjax.models import videoprism, vivit
from vidjax.models.registry import create_model, model_card

_FAMILIES = {"vit", "timesformer", "vivit", "mvit", "video_swin", "videomae", "vjepa2"}
_TESTS = pathlib.Path(__file__).parents[1] / "tests" / "parity"
_HIDDEN = np.random.RandomState(7).permutation(1568) < 1411  # Mask of two cases.

Compare = Callable[[Any, Any], dict[str, Any]]
"""From logits and endpoints to what the case has, by its names."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A case and how it is run.

    Attributes:
        case: Its name.
        model: Registered name, or a note where the model is too small to have one.
        network: The network.
        naming: Of the weights, where the network has no registered name.
        compare: See `Compare`.
        inputs: What the network takes behind the clip.
    """

    case: str
    model: str
    network: Any
    naming: Naming | None = None
    compare: Compare = lambda logits, endpoints: {"logits": logits}
    inputs: tuple[Any, ...] = ()


def main(only: str = "*") -> None:
    """Runs the cases and prints the table.

    Args:
        only: Which cases, a shell pattern such as "vivit*".
    """
    cases = _load("conftest")
    print("| case | model | relative error | convert, s | compile, s | run, s |")
    print("|---|---|---:|---:|---:|---:|")
    for row in _rows():
        if fnmatch.fnmatch(row.case, only):
            error, *seconds = _run(row, cases.read_case(row.case))
            times = " | ".join(f"{x:.1f}" for x in seconds)
            print(f"| {row.case} | {row.model} | {error:.1e} | {times} |", flush=True)


def _rows() -> list[Row]:
    rows = [
        Row(case, f"`{name}`", create_model(name))
        for case, name in _load("test_parity").CASES
        if model_card(name).family in _FAMILIES
    ]
    return rows + _tiny_vivit() + _masked_autoencoders() + _encoders()


def _tiny_vivit() -> list[Row]:
    schemes: dict[str, tuple[Any, Any]] = {
        "spacetime": ("joint", "token"),
        "factorized_encoder": ("encoder", "token"),
        "factorized_self_attention": ("self_attention", "mean"),
        "factorized_dot_product": ("dot_product", "mean"),
    }
    rows = []
    for case, (scheme, pool) in schemes.items():
        layout = vivit.Layout(96, 2, 4, 384, factorised=scheme, time_depth=2)
        network = vivit.ViViT(layout=layout, pool=pool)
        rows.append(Row(f"vivit__{case}_tiny", "ViViT, 2 blocks", network, SCENIC))
    return rows


def _masked_autoencoders() -> list[Row]:
    def authors(mean: Any, endpoints: Any) -> dict[str, Any]:
        each = endpoints["logits_per_step"]
        return {"pred_first8": each[:, :8], "pred_mean": mean}

    def transformers(mean: Any, endpoints: Any) -> dict[str, Any]:
        return {"logits": endpoints["logits_per_step"][:, :8]}

    name = "videomae_base_pretrain"
    return [
        Row(
            case,
            f"`{name}`",
            create_model(name),
            compare=compare,
            inputs=(_HIDDEN[None],),
        )
        for case, compare in (
            ("videomae__pretrain_base_patch16_224", authors),
            ("transformers__videomae-base-pretraining", transformers),
        )
    ]


def _encoders() -> list[Row]:
    def tokens(endpoints: Any) -> jax.Array:
        features = endpoints["features"]
        return features.reshape(features.shape[0], -1, features.shape[-1])

    def vjepa2(_: Any, endpoints: Any) -> dict[str, Any]:
        x = tokens(endpoints)
        ends = {"tokens_first4": x[:, :4], "tokens_last4": x[:, -4:]}
        return {**ends, "token_mean": jnp.mean(x, axis=1)}

    tiny = videoprism.VideoPrism(
        0, videoprism.Layout(96, 2, 4, 384, frames=16, time_depth=2)
    )
    jepa, prism = "vjepa2_large", "videoprism_base"
    return [
        Row(
            "vjepa2__vit_large_encoder",
            f"`{jepa}`",
            create_model(jepa, num_classes=0),
            compare=vjepa2,
        ),
        Row(
            "videoprism__base_v1",
            f"`{prism}`",
            create_model(prism, num_classes=0),
            compare=lambda _, endpoints: {"features": tokens(endpoints)[:, ::64]},
        ),
        Row(
            "videoprism__tiny",
            "VideoPrism, 2 + 2 blocks",
            tiny,
            VIDEOPRISM,
            compare=lambda _, endpoints: {"features": tokens(endpoints)},
        ),
    ]


def _run(row: Row, case: Any) -> tuple[float, float, float, float]:
    """The relative error, and seconds of converting, of compiling and of a pass."""
    weights, clip = case.weights(), case.clip()
    began = time.perf_counter()
    variables = _convert(row, weights)
    converted = time.perf_counter()
    # Inputs behind the clip are constants: a mask's numbers must be known.
    apply = jax.jit(lambda v, x: row.network.apply(v, x, *row.inputs))
    compiled = apply.lower(variables, clip).compile()
    ready = time.perf_counter()
    outputs = jax.block_until_ready(compiled(variables, clip))
    done = time.perf_counter()
    found = row.compare(*outputs)
    error = max(
        float(
            np.abs(ours - case.outputs[name]).max() / np.abs(case.outputs[name]).max()
        )
        for name, ours in found.items()
    )
    return error, converted - began, ready - converted, done - ready


def _error(ours: Any, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _convert(row: Row, weights: dict[str, np.ndarray]) -> dict[str, Any]:
    if row.naming is not None:
        return unflatten(translate(weights, row.naming)[0])
    name = row.model.strip("`")
    return convert.from_arrays(name, weights, num_classes=row.network.num_classes)


def _load(name: str) -> Any:
    """A file of the tests as a module."""
    spec: Any = importlib.util.spec_from_file_location(name, _TESTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    tyro.cli(main)
