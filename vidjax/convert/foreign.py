"""Arrays of other code bases as variables of a registered model."""

import difflib
from collections.abc import Mapping
from typing import Any

import vidjax.models  # noqa: F401 - fills the registry.
from vidjax.convert.entries import clean
from vidjax.convert.families import FAMILIES, Family, find_family
from vidjax.convert.rules import VIDJAX, Arrays, Naming, check_fit, recognise, translate
from vidjax.convert.variables import (
    Head,
    Places,
    Variables,
    abstract_variables,
    check_head,
    classifiers,
    fresh_variables,
    unflatten,
)
from vidjax.models.registry import create_model, model_card


def from_arrays(
    name: str,
    arrays: Mapping[str, Any],
    *,
    num_classes: int | None = None,
    head: Head = "keep",
    clip_shape: tuple[int, ...] | None = None,
    naming: str | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> Variables:
    """Converts foreign weights for a registered model.

    The naming is recognised, unless it is given. Every array must find its place and
    every place must be filled. The first kernel of an RGB ResNet is spread over the
    frames of an early-fusion model, divided by their number.

    Args:
        name: A registered name.
        arrays: Arrays of any shape by their names in the code base that they come from;
            nested dicts and the wrappers that `read_arrays` takes off may be there.
        num_classes: Classes K of the model; None takes the model's own default, 0
            leaves the classifier out.
        head: "keep" takes the classifier of the weights, which must have K classes;
            "reset" starts it afresh, always alike; "match" takes it if it has K classes
            and else starts afresh.
        clip_shape: Shape (T, H, W, C) of the clips that the model is for, where its
            parameters depend on it; None takes the card's.
        naming: Name of the naming or of its code base, such as "torchvision"; None
            finds the one that explains most names.
        model_args: Further arguments of the model's builder.

    Returns:
        {"params": ..., "batch_stats": ...}: nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If the name or the naming is unknown, or the weights do not fit: all
            that is wrong, in one message.
    """
    check_head(head)
    card = model_card(name)
    given = {} if num_classes is None else {"num_classes": num_classes}
    model: Any = create_model(name, **(model_args or {}), **given)
    source = clean(arrays)
    table = find_naming(name, source, naming)
    got, problems = translate(source, table)
    family = find_family(card.family)
    shape = clip_shape or family.made_for(got, card.clip.shape)
    if clip_shape is not None:
        family.resize(got, clip_shape)
    family.spread(got, shape)
    want = abstract_variables(model, shape)
    family.settle(got, want, table.name)
    classes: int = getattr(model, "num_classes", 0)  # Networks of flow have none.
    fresh = _settle_heads(got, want, classes, head, problems)
    if fresh:
        fresh += _settle_pooler(got, want, family)
    elif not classes and family.pooler:
        _leave_out(got, family.pooler)
    problems += check_fit(got, want)
    if problems:
        raise ValueError(
            f"Weights named as those of {table.name} do not fit {name}:\n  "
            + "\n  ".join(sorted(problems))
        )
    got = {path: got[path].astype(place.dtype) for path, place in want.items()}
    if fresh:
        got |= fresh_variables(model, shape, fresh)
    return unflatten(got)


def namings(name: str) -> dict[str, Naming]:
    """Returns the namings that a model understands, by their names.

    Args:
        name: A registered name.

    Raises:
        ValueError: If there is no such model.

    Example:
        >>> list(namings("c3d"))
        ['MMAction2', 'vidjax']
    """
    found = (*find_family(model_card(name).family).namings, VIDJAX)
    return {naming.name: naming for naming in found}


def find_namings(name: str, naming: str | None = None) -> tuple[Naming, ...]:
    """Finds the namings of a code base, of which there may be one for each variant.

    Args:
        name: A registered name.
        naming: Name of the naming, or of its code base ("MMAction2" for "MMAction2's
            TSN", "SlowFast" for "facebookresearch/SlowFast"), in any case; None gives
            all.

    Returns:
        The namings that the model understands.

    Raises:
        ValueError: If the model or the naming is unknown.
    """
    known = namings(name)
    if naming is None:
        return tuple(known.values())
    tables = {key.casefold(): table for key, table in known.items()}
    wanted = naming.casefold()
    found = [table for key, table in tables.items() if _is_of(key, wanted)]
    if not found:
        near = difflib.get_close_matches(wanted, tables, n=1)
        hint = f" Did you mean {tables[near[0]].name!r}?" if near else ""
        raise ValueError(
            f"{name} has no naming {naming!r}.{hint} It has: {', '.join(known)}."
        )
    return tuple(found)


def _is_of(key: str, wanted: str) -> bool:
    """Whether a naming is the one of a code base, or a variant of it."""
    names = (key, key.partition("/")[2])  # With and without the owner.
    variants = tuple(f"{wanted}{mark} " for mark in ("'s", ",", " in"))
    return any(name == wanted or name.startswith(variants) for name in names)


def find_naming(name: str, arrays: Arrays, naming: str | None = None) -> Naming:
    """Finds the naming of arrays.

    Args:
        name: A registered name.
        arrays: Arrays of any shape by foreign name, without wrappers.
        naming: As in `from_arrays`.

    Returns:
        The naming that explains most names.

    Raises:
        ValueError: If the model or the naming is unknown; the message says which models
            have the naming, if others do.
    """
    tables = find_namings(name, naming)
    try:
        return recognise(arrays, tables)
    except ValueError as error:
        raise ValueError(f"{error}{_elsewhere(arrays)}") from error


def _elsewhere(arrays: Arrays) -> str:
    """Says which family most names belong to, if most belong to one."""
    scores = {
        (table.name, name): sum(map(table.knows, arrays))
        for name, family in FAMILIES.items()
        for table in family.namings
    }
    (table, family), score = max(scores.items(), key=lambda item: item[1])
    if 2 * score <= len(arrays):
        return ""
    return f" These are names of {table} for models of the family {family!r}."


def _settle_heads(
    got: Arrays, want: Places, classes: int, head: Head, problems: list[str]
) -> tuple[str, ...]:
    """Keeps or drops the classifiers of the weights; tells which ones are missing."""
    missing = []
    for prefix in classifiers({**got, **want}):
        kernel = got.get(f"{prefix}kernel")
        found = None if kernel is None else kernel.shape[-1]
        fits = found == classes
        absent = head == "keep" and found is None
        if classes and (absent or (head != "reset" and fits)):
            continue
        if classes and head == "keep":
            problems.append(
                f"logits: the weights have {found} classes, the model {classes}; "
                f'num_classes={found} keeps their classifier, head="reset" makes a new '
                "one"
            )
        for places in (got, want):
            _leave_out(places, prefix)
        missing += [prefix] if classes else []
    return tuple(missing)


def _settle_pooler(got: Arrays, want: Places, family: Family) -> tuple[str, ...]:
    """Starts what pools for a fresh classifier afresh as well, if weights have none."""
    if not family.pooler or any(path.startswith(family.pooler) for path in got):
        return ()
    _leave_out(want, family.pooler)
    return (family.pooler,)


def _leave_out(places: dict[str, Any], prefix: str) -> None:
    for path in [path for path in places if path.startswith(prefix)]:
        del places[path]
