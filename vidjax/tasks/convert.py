"""A file of foreign weights becomes one of vidjax's own."""

import dataclasses
import hashlib
import os
import pathlib
from typing import Any

from vidjax import data
from vidjax.convert import from_arrays, read_arrays, save_variables
from vidjax.convert.card import check_model, make_metadata
from vidjax.convert.explain import Move, explain
from vidjax.convert.variables import HEAD, flatten
from vidjax.models.registry import model_card
from vidjax.typing import Head


@dataclasses.dataclass(frozen=True)
class ConvertedFile:
    """What was written, and how it came about.

    Attributes:
        path: The file.
        source: The file that it comes from.
        sha256: Of the source, hexadecimal; "" for a folder.
        model: Registered name.
        naming: That of the source.
        num_classes: Classes K of the classifier; 0 if there is none.
        values: Numbers in all arrays.
        moves: Where the arrays of the source went.
        ignored: Names of arrays of the source that are not needed.
        fresh: Paths that were initialised afresh.
    """

    path: pathlib.Path
    source: pathlib.Path
    sha256: str
    model: str
    naming: str
    num_classes: int
    values: int
    moves: tuple[Move, ...]
    ignored: tuple[str, ...]
    fresh: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns all of it but the shapes, ready for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moves = {move.name: move.path for move in self.moves}
        paths = {"path": str(self.path), "source": str(self.source)}
        return fields | paths | {"moves": moves}


def convert_file(
    source: str | os.PathLike[str],
    *,
    model: str,
    out: str | os.PathLike[str],
    naming: str | None = None,
    entry: str | None = None,
    head: Head = "keep",
    num_classes: int | None = None,
    labels: str | None = None,
    licence: str = "",
) -> ConvertedFile:
    """Converts a file of weights and writes it with what it is.

    Args:
        source: A file that `vidjax.convert.read_arrays` reads.
        model: Registered name of the model.
        out: File to write, .safetensors; replaced if it is there.
        naming: As in `vidjax.convert.from_arrays`.
        entry: As in `vidjax.convert.read_arrays`.
        head: As in `vidjax.convert.from_arrays`.
        num_classes: As in `vidjax.convert.from_arrays`.
        labels: Name of a list of labels that ships with vidjax, such as "kinetics400",
            or the path of a text file with one label a line; None stores none.
        licence: Licence of the weights; "" takes that of the card's weights with the
            same SHA-256, if there are some.

    Returns:
        What was written.

    Raises:
        ValueError: If the file cannot be read, a name is unknown, the weights do not
            fit, or the labels are not as many as the classes.
    """
    source = pathlib.Path(source).expanduser()
    path = pathlib.Path(out).expanduser()
    arrays = read_arrays(source, entry=entry)
    check_model(source, model)
    try:
        variables = from_arrays(
            model, arrays, num_classes=num_classes, head=head, naming=naming
        )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    table, moves, ignored = explain(model, arrays, naming)
    flat = flatten(variables)
    bias = flat.get(f"{HEAD}bias")
    classes = 0 if bias is None else bias.size
    kept = head != "reset" and any(m.new_shape == (classes,) for m in _head(moves))
    digest = _sha256(source)
    metadata = make_metadata(
        model,
        variables,
        labels=_labels(labels),
        licence=licence or _published_licence(model, digest),
        source=source.name,
        source_sha256=digest,
        naming=table,
        head="kept" if kept else "fresh" if classes else "none",
    )
    save_variables(path, variables, metadata)
    return ConvertedFile(
        path=path,
        source=source,
        sha256=digest,
        model=model,
        naming=table,
        num_classes=classes,
        values=sum(array.size for array in flat.values()),
        moves=tuple(m for m in moves if kept or not m.path.startswith(HEAD)),
        ignored=(*ignored, *(m.name for m in _head(moves) if not kept)),
        fresh=() if kept else tuple(p for p in flat if p.startswith(HEAD)),
    )


def _head(moves: list[Move]) -> list[Move]:
    return [move for move in moves if move.path.startswith(HEAD)]


def _sha256(path: pathlib.Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _published_licence(model: str, digest: str) -> str:
    for weights in model_card(model).weights:
        if weights.sha256 and digest.startswith(weights.sha256):
            return weights.licence
    return ""


def _labels(labels: str | None) -> tuple[str, ...]:
    if labels is None:
        return ()
    path = pathlib.Path(labels).expanduser()
    if path.is_file():
        return tuple(path.read_text(encoding="utf-8").splitlines())
    return data.read_labels(labels)
