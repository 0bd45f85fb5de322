"""Which room may import what: the table of docs/architecture.md, enforced."""

import ast
import pathlib
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "vidjax"

# Room: rooms of vidjax that it may import, third parties at the top of a file, third
# parties inside functions only (they are extras, or slow to import).
EVERYTHING = {
    *("typing", "protocols", "config", "ops", "layers", "models", "convert", "data"),
    *("eval", "flow", "localization", "train", "analysis", "tasks"),
}
TABLE: dict[str, tuple[set[str], set[str], set[str]]] = {
    "typing": (set(), {"jaxtyping"}, set()),
    "protocols": ({"typing"}, set(), set()),
    "config": ({"typing"}, set(), set()),
    "ops": ({"typing"}, {"jax", "einops", "jaxtyping", "numpy"}, set()),
    "layers": ({"ops", "typing"}, {"jax", "flax", "einops", "jaxtyping"}, set()),
    "models": (
        {"layers", "ops", "protocols", "typing"},
        {"jax", "flax", "einops", "jaxtyping", "numpy"},  # For tables of indices.
        set(),
    ),
    # NumPy holds what is read from files and drawn; PyAV has the codecs of images.
    "flow": ({"models", "ops", "typing"}, {"jax", "numpy", "jaxtyping"}, {"av"}),
    "convert": (
        {"models", "ops", "typing"},
        {"jax", "flax", "numpy", "jaxtyping"},
        {"safetensors", "h5py", "huggingface_hub", "tensorflow", "orbax"},
    ),
    "data": (
        {"config", "typing"},
        {"numpy"},
        {"av", "tensorflow", "tensorflow_datasets"},
    ),
    "eval": ({"ops", "typing"}, {"jax", "numpy", "jaxtyping"}, set()),
    "localization": (
        {"eval", "layers", "ops", "typing"},
        {"jax", "flax", "numpy", "jaxtyping"},
        set(),
    ),
    "train": (
        {"config", "typing"},
        {"jax", "flax", "optax", "orbax", "numpy", "jaxtyping"},
        {"tensorboardX"},
    ),
    "analysis": (
        {"models", "layers", "ops", "typing"},
        {"jax", "flax", "numpy", "jaxtyping"},
        {"matplotlib"},
    ),
    "tasks": (
        EVERYTHING,
        {"jax", "flax", "numpy", "jaxtyping", "etils"},
        {"apache_beam"},
    ),
    "cli": (
        {"vidjax", "tasks", "config", "models", "typing"},
        {"tyro", "rich"},
        set(),
    ),
}

# A file of classes that derive from those of a slow library imports it at its top.
# Users import it by name, and nothing in vidjax does.
DERIVING = {"data/tfds_builders.py": {"tensorflow_datasets"}}


def _room(path: pathlib.Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def _imports(path: pathlib.Path) -> list[tuple[str, bool]]:
    """Every imported module, and whether that happens inside a function."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.extend((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                module = child.module or ""
                names = (
                    [f"vidjax.{a.name}" for a in child.names]
                    if module == "vidjax"
                    else [module]
                )
                found.extend((name, inside) for name in names)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(
                child.test
            )
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            visit(child, inside or function or typing_only)

    visit(ast.parse(path.read_text(encoding="utf-8")), inside=False)
    return found


def _violations(path: pathlib.Path) -> list[str]:
    room = _room(path)
    if room in ("__init__", "__main__"):
        return []
    rooms, anywhere, inside_only = TABLE[room]
    anywhere = anywhere | DERIVING.get(path.relative_to(PACKAGE).as_posix(), set())
    problems = []
    for module, inside in _imports(path):
        top = module.split(".")[0]
        if top == "vidjax":
            target = module.split(".")[1] if "." in module else "vidjax"
            if target not in rooms | {room}:
                problems.append(f"{path.name}: {room} imports {module}")
        elif top not in sys.stdlib_module_names and not (
            top in anywhere or (inside and top in inside_only)
        ):
            problems.append(f"{path.name}: {room} imports {top} ({inside=})")
    return problems


@pytest.mark.parametrize(
    "path",
    sorted(PACKAGE.rglob("*.py")),
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_a_room_imports_only_what_the_table_admits(path):
    assert _violations(path) == []


@pytest.mark.parametrize("name", DERIVING)
def test_files_that_import_a_slow_library_are_imported_by_nobody(name):
    module = f"vidjax.{name.removesuffix('.py').replace('/', '.')}"
    for path in PACKAGE.rglob("*.py"):
        assert module not in {imported for imported, _ in _imports(path)}


def test_the_check_sees_a_forbidden_import(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "data").mkdir()
    planted = tmp_path / "data" / "planted.py"
    planted.write_text("import jax\nimport av\nfrom vidjax.train import loop\n")
    assert len(_violations(planted)) == 3
