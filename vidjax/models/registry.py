"""The registry: from a name to a builder and its model card."""

import dataclasses
import difflib
import fnmatch
import inspect
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from vidjax.typing import ClipSpec, ModelCard, Task

Builder = Callable[..., nn.Module]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        build: Makes the module from keyword arguments.
        card: What is known of it.
    """

    build: Builder
    card: ModelCard


_ENTRIES: dict[str, Entry] = {}


def register(**card: Any) -> Callable[[Builder], Builder]:
    """Returns a decorator that registers a builder under its own name.

    Args:
        **card: Fields of `vidjax.typing.ModelCard` but `name`.

    Returns:
        The decorator; it returns the builder unchanged.

    Raises:
        ValueError: If the name is taken.
        TypeError: If a field of the card is unknown or missing.
    """

    def add(build: Builder) -> Builder:
        name = build.__name__
        if name in _ENTRIES:
            raise ValueError(f"A model named {name!r} is registered already.")
        _ENTRIES[name] = Entry(build, ModelCard(name=name, **card))
        return build

    return add


def list_models(pattern: str = "*", *, task: Task | None = None) -> list[str]:
    """Returns the registered names that match a shell pattern, sorted.

    Args:
        pattern: Such as "i3d_*"; `*`, `?` and `[...]` have their usual meaning.
        task: What the models do; None takes all.

    Returns:
        The names; empty if none matches.

    Example:
        >>> from vidjax.models import list_models
        >>> list_models("i3d_*b")
        ['i3d_rgb']
    """
    names = sorted(fnmatch.filter(_ENTRIES, pattern))
    return [name for name in names if task in (None, _ENTRIES[name].card.task)]


def _entry(name: str) -> Entry:
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=3)
        hint = f" Did you mean one of {near}?" if near else ""
        raise ValueError(
            f"Unknown model {name!r}.{hint} `vidjax models` lists all of them."
        )
    return _ENTRIES[name]


def model_card(name: str) -> ModelCard:
    """Returns what is known of a model: its clip, paper, costs and weights.

    Args:
        name: A registered name.

    Returns:
        The card.

    Raises:
        ValueError: If no model has this name; near names are suggested.

    Example:
        >>> from vidjax.models import model_card
        >>> model_card("i3d_rgb").clip.shape
        (64, 224, 224, 3)
    """
    return _entry(name).card


def clip_spec(name: str) -> ClipSpec:
    """Returns the clip that a classifier wants.

    Args:
        name: A registered name.

    Returns:
        The clip of its card.

    Raises:
        ValueError: If no model has this name, or the model does not classify clips.

    Example:
        >>> from vidjax.models import clip_spec
        >>> clip_spec("c3d").num_frames
        16
    """
    card = _entry(name).card
    if card.task != "classify" or not isinstance(card.clip, ClipSpec):
        raise ValueError(
            f"{name} does not classify clips: its task is {card.task!r}. `vidjax "
            "models` lists those that do."
        )
    return card.clip


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Builds a registered model.

    Args:
        name: A registered name.
        **arguments: Attributes of its module, such as `num_classes`, `dropout_rate` or
            `dtype`.

    Returns:
        A Linen module: `logits, endpoints = model.apply(variables, clip)`.

    Raises:
        ValueError: If no model has this name; near names are suggested.
        TypeError: If the module has no such attribute; near names are suggested.

    Example:
        >>> from vidjax.models import create_model
        >>> create_model("i3d_rgb", num_classes=7).num_classes
        7
    """
    build = _entry(name).build
    module = inspect.signature(build).return_annotation
    known = [f.name for f in dataclasses.fields(module) if f.name != "parent"]
    problems = []
    for argument in arguments:
        if argument not in known:
            near = difflib.get_close_matches(argument, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            problems.append(f"{argument!r}{hint}")
    if problems:
        raise TypeError(
            f"Model {name!r} has no argument {', '.join(problems)}. It takes: "
            f"{', '.join(sorted(known))}."
        )
    return build(**arguments)
