"""Every public function says what it takes, what it gives and what it raises."""

import ast
import pathlib
import re

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "vidjax"
ARRAY = re.compile(r"\b(Array|Float|Int|Bool|Shaped|UInt8|Clip|Logits|ndarray)\b")
SHAPE = re.compile(r"\[[^\]]*\]|shape|scalar")


def _public_functions(tree: ast.Module):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and (
                    not member.name.startswith("_") or member.name == "__call__"
                ):
                    yield f"{node.name}.{member.name}", member


def _section(docstring: str, title: str) -> str:
    match = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    return match.group(1) if match else ""


def _problems(name: str, function: ast.FunctionDef) -> list[str]:
    docstring = ast.get_docstring(function)
    if not docstring:
        return [f"{name}: no docstring"]
    if function.name == "__call__" and re.fullmatch(r"Maps .*\[.*\] to .*", docstring):
        return []  # A block with one input, whose line gives both shapes.
    problems = []
    arguments = _section(docstring, "Args")
    parameters = [
        *function.args.posonlyargs,
        *function.args.args,
        *function.args.kwonlyargs,
    ]
    for parameter in parameters:
        if parameter.arg in ("self", "cls"):
            continue
        entry = re.search(
            rf"^    \**{parameter.arg}\b.*?(?=^    \S|\Z)",
            arguments,
            re.MULTILINE | re.DOTALL,
        )
        annotation = parameter.annotation and ast.unparse(parameter.annotation)
        if entry is None:
            problems.append(f"{name}: {parameter.arg} is not under Args")
        elif annotation is None:
            problems.append(f"{name}: {parameter.arg} has no type")
        elif annotation.startswith("Callable"):
            continue  # Its own arguments are told in words.
        elif ARRAY.search(annotation) and not SHAPE.search(entry.group()):
            problems.append(f"{name}: array {parameter.arg} has no shape under Args")
    raises = any(
        isinstance(node, ast.Raise) and node.exc is not None
        for node in ast.walk(function)
    )
    if raises and not _section(docstring, "Raises"):
        problems.append(f"{name}: raises, and has no Raises section")
    if function.returns is None:
        problems.append(f"{name}: no return type")
    return problems


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_public_functions_are_documented(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "the file has no docstring"
    problems = [p for item in _public_functions(tree) for p in _problems(*item)]
    assert problems == []


def test_the_check_sees_what_is_missing():
    source = '''
def scale(x: Array, factor: float):
    """Scales.

    Args:
        x: Numbers.
    """
    raise ValueError("no")
'''
    name, function = next(_public_functions(ast.parse(source)))
    assert _problems(name, function) == [
        "scale: array x has no shape under Args",
        "scale: factor is not under Args",
        "scale: raises, and has no Raises section",
        "scale: no return type",
    ]
