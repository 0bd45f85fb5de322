"""The zoo as tables: what `vidjax models` prints and docs/models.md says."""

from collections.abc import Iterable, Sequence

from vidjax.analysis.conventions import CONVENTIONS, ConventionName, count
from vidjax.analysis.cost import Cost, trace
from vidjax.analysis.kernels import CLIP_SHAPE, MAP_SHAPE, kernel_costs, network_costs
from vidjax.analysis.program import layer_finder
from vidjax.models.registry import (
    clip_spec,
    create_model,
    list_models,
    model_card,
)
from vidjax.typing import ModelCard

COLUMNS = (
    *("model", "family", "clip", "params", "GMACs"),
    *("published accuracy", "weights"),
)
RIGHT = ("models", "params", "GMACs", "checkpoints", "alive, MiB", "kept, MiB")
"""Titles of columns that hold numbers."""

# Model, pixels, rule, where its table has that number: SlowFast 4x16, R50, four times.
_RECONCILED: tuple[tuple[str, int, ConventionName, str], ...] = (
    ("slowfast_4x16_resnet50", 256, "macs", "36.1 in the paper, Table 2"),
    ("slowfast_4x16_resnet50", 256, "pytorchvideo", "36.69 in PyTorchVideo's zoo"),
    ("slowfast_4x16_resnet50_mmaction2", 256, "mmaction2", "36.3 in MMAction2's zoo"),
    ("slowfast_4x16_resnet50", 224, "macs", "27.6 at the training crop"),
    ("slow_8x8_resnet50", 256, "macs", "54.52 in PyTorchVideo's zoo for Kinetics-400"),
    ("slow_8x8_resnet50_mmaction2", 256, "mmaction2", "54.75 in MMAction2's zoo"),
)


def published_accuracy(card: ModelCard) -> tuple[str, ...]:
    """Returns a model's published accuracies, each with its source.

    Args:
        card: A model's card.

    Returns:
        Those of the card and of its weights, each once.
    """
    found = (card.accuracy, *(weights.accuracy for weights in card.weights))
    return tuple(dict.fromkeys(text for text in found if text))


def model_row(name: str) -> tuple[str, ...]:
    """Returns what a table says of a model.

    Args:
        name: A registered name.

    Returns:
        A cell for each of `COLUMNS`.

    Raises:
        ValueError: If no model has this name.
    """
    card = model_card(name)
    return (
        card.name,
        card.family,
        "x".join(map(str, card.clip.shape)),
        f"{card.params / 1e6:.2f} M",
        f"{card.gmacs:.4g}",
        "; ".join(published_accuracy(card)) or "-",
        ", ".join(weight.tag for weight in card.weights) or "-",
    )


def family_table(names: Iterable[str]) -> str:
    """Returns a table of families in Markdown, as README.md shows it.

    Args:
        names: Registered names.

    Returns:
        Lines joined by newlines.

    Raises:
        ValueError: If no model has one of the names.

    Example:
        >>> print(family_table(["i3d_rgb", "i3d_flow"]).splitlines()[2])
        | [i3d](docs/models.md#i3d) | 2 | 12.67 to 12.69 M | 102.3 to 111.2 | 3 |
    """
    families: dict[str, list[ModelCard]] = {}
    for name in names:
        card = model_card(name)
        families.setdefault(card.family, []).append(card)
    rows = [
        (
            f"[{family}](docs/models.md#{family})",
            f"{len(cards)}",
            f"{_range([f'{card.params / 1e6:.2f}' for card in cards])} M",
            _range([f"{card.gmacs:.4g}" for card in cards]),
            f"{sum(len(card.weights) for card in cards)}",
        )
        for family, cards in sorted(families.items())
    ]
    return markdown(("family", "models", "params", "GMACs", "checkpoints"), rows)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown.

    Args:
        titles: Column titles; those in `RIGHT` are set to the right.
        rows: Cells, one text a column.

    Returns:
        Lines joined by newlines.
    """
    rules = ["---:" if title in RIGHT else "---" for title in titles]
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, rules, *rows))


def models_page() -> str:
    """Returns docs/models.md: every model, what kernels cost, how costs are counted.

    Returns:
        The page in Markdown. It takes a quarter of a minute: a few models are traced.
    """
    names = [name for name in list_models() if not name.endswith("_tiny")]
    return _PAGE.format(
        families=_family_sections(names),
        kernels=_kernel_table(),
        networks=_network_table(),
        rules=_rule_table(),
        reconciled=_reconciled_table(),
        clip="x".join(map(str, CLIP_SHAPE)),
        map="x".join(map(str, MAP_SHAPE)),
    )


def _family_sections(names: Sequence[str]) -> str:
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(model_card(name).family, []).append(name)
    titles = [title for title in COLUMNS if title != "family"]
    sections = []
    for family, members in sorted(families.items()):
        cards = [model_card(name) for name in members]
        papers = "\n".join(f"- {p}" for p in dict.fromkeys(c.paper for c in cards))
        code = "; ".join(dict.fromkeys(card.reference for card in cards))
        rows = [(row[0], *row[2:]) for row in map(model_row, members)]
        table = markdown(titles, rows)
        sections.append(f"### {family}\n\n{papers}\n\nAs in: {code}.\n\n{table}")
    return "\n\n".join(sections)


def _kernel_table() -> str:
    costs = kernel_costs()
    plain = next(iter(costs.values()))[1]
    rows = [
        (name, window, *_cells(found, plain)) for name, (window, found) in costs.items()
    ]
    titles = ("kernel", "sees", "params", "GMACs", "alive, MiB", "kept, MiB")
    return markdown(titles, rows)


def _network_table() -> str:
    costs = network_costs()
    plain = next(iter(costs.values()))
    rows = [(name, *_cells(found, plain)) for name, found in costs.items()]
    return markdown(("kernels", "params", "GMACs", "alive, MiB", "kept, MiB"), rows)


def _cells(found: Cost, plain: Cost) -> tuple[str, ...]:
    """Numbers, and how many times those of `plain` they are."""
    values = (found.params, found.macs, found.forward_bytes, found.training_bytes)
    others = (plain.params, plain.macs, plain.forward_bytes, plain.training_bytes)
    units = ((1e6, "{:.3f} M"), (1e9, "{:.2f}"), (2**20, "{:.1f}"), (2**20, "{:.1f}"))
    return tuple(
        f"{form.format((value or 0) / unit)} ({(value or 0) / (other or 1):.2g}x)"
        for value, other, (unit, form) in zip(values, others, units, strict=True)
    )


def _rule_table() -> str:
    rows = [
        (f"`{name}`", rule.rule, rule.used_by) for name, rule in CONVENTIONS.items()
    ]
    return markdown(("convention", "counts", "used by"), rows)


def _reconciled_table() -> str:
    rows = []
    for name, size, convention, source in _RECONCILED:
        clip = clip_spec(name)
        traced = trace(create_model(name), (clip.num_frames, size, size, clip.channels))
        found = count(traced.forward, convention, layer_finder(traced.params))
        gmacs = f"{sum(found.values()) / 1e9:.3f}"
        rows.append((name, f"{size}", f"`{convention}`", gmacs, source))
    return markdown(("model", "pixels", "convention", "GMACs", "published"), rows)


def _range(values: Sequence[str]) -> str:
    ordered = sorted(set(values), key=float)
    return " to ".join(ordered[:: max(len(ordered) - 1, 1)])


_PAGE = """\
# Models

<!-- Made by `vidjax models --page > docs/models.md`; a test keeps it current. -->

Every model is a Linen module: `logits, endpoints = model.apply(variables, clip)`.
"clip" is frames x height x width x channels as the model's card wants it, and of
detectors of actions (localization.md) steps x channels of features; other lengths
and sizes work, or the error says why not. "GMACs" are multiply-adds of one such clip in
units of 1e9, counted as [below](#how-multiply-adds-are-counted). "Published accuracy"
is top-1, or what it says, that the source names reports for its weights and its test
protocol; nothing here is measured by vidjax. Kinetics copies differ, so differences
below a point say little. "weights" are tags for `vidjax.load_variables(name, tag)`; its
error tells how to get the file. Names that end in `_tiny` are left out here: small
models of most families, which train from scratch in a minute.

## Families

{families}

## Why 3D convolution is expensive

One convolution from 64 to 64 channels with batch norm and relu, on a map of {map}
(frames x height x width x channels), float32, counted by `vidjax.analysis.kernels` from
the layers that the models use. In brackets: times the 2D kernel. "Alive" is the most
activations at a time in a forward pass; "kept" is what a training step keeps of this
layer's results for its backward pass.

{kernels}

A 3x3x3 kernel has three times the weights of a 3x3 kernel and does three times the work
at every position, and it does so at every frame: the kernel's cost grows with its
length in time, the map's with the number of frames. Its activations are those of the 2D
kernel. (2+1)D spends the same weights and work on a convolution over space and one over
time; what it adds is a second nonlinearity, and it pays in memory: the wide map between
the two is alive and kept as well. Keep that map narrow (S3D) and both shrink; leave the
mixing of channels to a 1x1x1 kernel (CSN, X3D) and time costs almost no work at all,
though the memory of every map remains.

The same in whole networks of 18 layers on one clip of {clip}, which differ in their
kernels alone (in brackets: times the 2D network):

{networks}

Weights and work follow the kernels; activations follow the frames. A 2D network that
carries 16 frames to its last map holds what the 3D network holds, and a batch of a few
clips needs far more memory for them than for the weights, so it is activations that
limit the batch. A 3D network can afford to halve time from stage to stage, because its
kernels have gathered what the dropped frames said; that gives back half of the work and
a quarter of the memory. What is left, 40 GMACs a clip, is the work of twenty-two images
of 224 pixels in `resnet18`, and a test protocol of ten clips and three crops repeats it
thirty times.

Three remedies are in vidjax: `dtype="bfloat16"` halves activations, `remat=True` keeps
the inputs of blocks alone (`vidjax cost r3d_18 --model-args.remat True`), and fewer
frames with a larger stride see the same seconds.

What is counted: an array is taken to be stored if a convolution, product, pool, slice
or concatenation reads or makes it, or a sum makes it; chains of elementwise operations
are part of what reads them, as XLA fuses them. The clip and the variables come on top,
and so do gradients and the optimizer's state in training. What a compiler does beyond
that, such as computing cheap results again, is not foreseen.

## Why video transformers factorise

Joint attention's work grows with the square of the frames; divided, axial and
factorised attention's with the frames. Multiply-adds (`vidjax cost`) and the memory
that the compiler plans, from 8 to 64 frames:

![Multiply-adds and memory against tokens](attention.svg)

[attention.md](attention.md) has the numbers, and what each scheme attends to.

## How multiply-adds are counted

Published "FLOPs" follow four rules and several crops. `vidjax cost NAME --convention
RULE --size PIXELS` gives each:

{rules}

All but `xla` count a convolution's padding like any other input, as the tools that made
the tables do. Crops: PyTorchVideo's and most of MMAction2's 3D rows are for the test
crop of 256 pixels, MMAction2's TSM, TSN and C2D for 224; X3D's in SlowFast's zoo are
for 160, 160, 224 and 312. At a larger crop than that of training, the classifier runs
at several positions, which counts. At 256 pixels MMAction2's TSM on MobileNetV2 has its
published 3.269, at 224 it has 2.503. One network, four published numbers:

{reconciled}

`tests/analysis/published.csv` has more than 60 published figures with their source,
rule and clip, and a test reproduces each to its printed digits.
"""
