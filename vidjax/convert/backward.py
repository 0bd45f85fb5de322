r"""The way back: rules of names, turned round.

A rule that is literal outside of its groups names one source array for every path: the
path's template becomes an expression in which each group matches what it matches in the
rule, and the rule becomes the template. What comes out is translated forth again, so a
name that would not be read as the same place is an error, never a wrong file.
"""

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from vidjax.convert.rules import BACK, Arrays, Naming, Transform, translate

# A group of a rule, without counted groups in it; an escaped or a plain character.
_PIECE = re.compile(
    r"\((?!\?)(?P<group>(?:[^()\\]|\\.|\(\?:[^()]*\))*)\)"
    r"|\\(?P<escaped>[^\w\s{}])|(?P<plain>[\w/ -])"
)
_REFERENCE = re.compile(r"\\(?:g<(\d+)>|(\d+))")


@dataclasses.dataclass(frozen=True)
class _Backward:
    """A rule turned round.

    Attributes:
        path: Expression that matches whole paths.
        name: The source's name, with `{g1}` for the first group.
        transform: From our layout to the source's.
    """

    path: re.Pattern[str]
    name: str
    transform: Transform


def can_restore(naming: Naming) -> bool:
    """Whether variables can be written in a naming.

    Args:
        naming: Any naming.

    Returns:
        True if each of its rules can be turned round.
    """
    undone = naming.prepare is dict or naming.restore is not None
    return undone and all(_turned(*rule, naming) for rule in naming.rules.items())


def restore(variables: Arrays, naming: Naming) -> Arrays:
    """Gives arrays the names and layouts of another code base.

    Args:
        variables: Arrays of any shape by path.
        naming: One for which `can_restore` holds.

    Returns:
        Arrays by name, of the same bits: `translate` gives the variables again.

    Raises:
        ValueError: If a path has no name or several, or the naming would not be read as
            these variables: all that is wrong, in one message.
    """
    turned = [_turned(*rule, naming) for rule in naming.rules.items()]
    rules = [rule for rule in turned if rule is not None]
    arrays: Arrays = {}
    problems = []
    for path, array in variables.items():
        found = _names(path, rules, naming)
        if len(found) != 1:
            names = ", ".join(sorted(found)) or "no name"
            problems.append(f"{path}: {naming.name} has {names} for it")
            continue
        ((name, transform),) = found.items()
        arrays[name] = np.asarray(transform(array), order="C")
    if not problems:
        problems = _differences(arrays, variables, naming)
    if problems:
        raise ValueError(
            f"The variables have no form in the naming of {naming.name}:\n  "
            + "\n  ".join(sorted(problems))
        )
    return arrays if naming.restore is None else naming.restore(arrays)


def _names(
    path: str, rules: list[_Backward], naming: Naming
) -> Mapping[str, Transform]:
    """Names that are read as a path, by exactly one rule."""
    found = {}
    for rule in rules:
        match = rule.path.fullmatch(path)
        if match is None:
            continue
        name = rule.name.format(**match.groupdict())
        if [target for target, _ in naming.hits(name)] == [path]:
            found[name] = rule.transform
    return found


def _differences(arrays: Arrays, variables: Arrays, naming: Naming) -> list[str]:
    plain = dataclasses.replace(naming, prepare=dict)
    again, problems = translate(arrays, plain)
    return problems + [
        f"{path}: the way back changes it"
        for path, array in variables.items()
        if path not in again or not np.array_equal(again[path], array, equal_nan=True)
    ]


def _turned(
    pattern: str, rule: tuple[str, Transform], naming: Naming
) -> _Backward | None:
    """Turns a rule round, or returns None where it stands for several names."""
    template, transform = rule
    undo = {**BACK, **naming.back}.get(transform)
    groups: list[str] = []
    name, position = "", 0
    while position < len(pattern):
        piece = _PIECE.match(pattern, position)
        if piece is None:
            return None
        position = piece.end()
        if piece["group"] is not None:
            groups.append(piece["group"])
            name += f"{{g{len(groups)}}}"
        else:
            name += piece["escaped"] or piece["plain"]
        if pattern[position : position + 1] in ("?", "*", "+", "|", "{"):
            return None
    used: set[int] = set()

    def expression(reference: re.Match[str]) -> str:
        number = int(reference[1] or reference[2])
        if number in used:
            return f"(?P=g{number})"
        used.add(number)
        return f"(?P<g{number}>{groups[number - 1]})"

    path = _REFERENCE.sub(expression, template)
    if undo is None or len(used) < len(groups):
        return None
    return _Backward(re.compile(path), name, undo)
