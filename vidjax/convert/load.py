"""Weights of a registered model: from a file, or from what its card lists."""

import difflib
import hashlib
import importlib.metadata
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vidjax.convert.card import check_model
from vidjax.convert.families import find_family
from vidjax.convert.foreign import from_arrays
from vidjax.convert.readers import read_arrays, read_tree
from vidjax.convert.variables import Head, Variables, check_head, flatten
from vidjax.models.registry import model_card
from vidjax.typing import Weights


def load_variables(
    name: str,
    tag_or_path: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    head: Head = "keep",
    clip_shape: tuple[int, int, int, int] | None = None,
    naming: str | None = None,
    entry: str | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> Variables:
    """Loads weights for a registered model.

    Args:
        name: A registered name.
        tag_or_path: A tag of the weights on its card, such as "kinetics400", or the
            path of a file that `read_arrays` reads, `save_variables`'s among them.
        num_classes: As in `from_arrays`.
        head: As in `from_arrays`.
        clip_shape: As in `from_arrays`.
        naming: As in `from_arrays`.
        entry: As in `read_arrays`; None takes the moving average of the weights where
            the published evaluation of the model does.
        model_args: As in `from_arrays`.

    Returns:
        {"params": ..., "batch_stats": ...}: nested dicts of float32 NumPy arrays.

    Raises:
        ValueError: If there is no such model, tag or file (the message says what gets
            it), the file is not the published one, it says that it is for another
            model, or the weights do not fit.
    """
    check_head(head)
    tags = {weights.tag: weights for weights in model_card(name).weights}
    path = pathlib.Path(tag_or_path).expanduser()
    if str(tag_or_path) in tags:
        path = _published_file(name, tags[str(tag_or_path)])
    elif not path.exists() and not path.with_name(f"{path.name}.index").exists():
        raise ValueError(_no_such_weights(name, str(tag_or_path), tags))
    check_model(path, name)
    try:
        return from_arrays(
            name,
            _read(name, path, entry),
            num_classes=num_classes,
            head=head,
            clip_shape=clip_shape,
            naming=naming,
            model_args=model_args,
        )
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def _read(name: str, path: pathlib.Path, entry: str | None) -> dict[str, np.ndarray]:
    """Reads weights; the moving average where a model's evaluation takes that."""
    average = find_family(model_card(name).family).average
    if entry is None and average is not None and average in read_tree(path):
        entry = average
    return read_arrays(path, entry=entry)


def save_variables(
    path: str | os.PathLike[str],
    variables: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes variables as one safetensors file, for `load_variables`.

    Args:
        path: A file that ends in .safetensors; replaced if it is there.
        variables: {"params": ..., "batch_stats": ...}: nested dicts of arrays.
        metadata: Texts to store beside them.

    Raises:
        ValueError: If the path has another ending.
    """
    import safetensors.numpy

    path = pathlib.Path(path).expanduser()
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, got {path}.")
    flat = {k: np.asarray(a, order="C") for k, a in flatten(variables).items()}
    partial = path.with_name(f"{path.name}.partial")
    safetensors.numpy.save_file(flat, partial, dict(metadata or {}))
    partial.replace(path)  # A reader never sees half a file.


def _published_file(name: str, weights: Weights) -> pathlib.Path:
    """Finds the file of a tag, and checks that it is the published one."""
    if weights.package is None:
        raise ValueError(
            f"The weights {weights.tag!r} of {name} are not in a package. {weights.get}"
        )
    package, _, version = weights.package.partition("==")
    path = _installed_file(package, version, weights.file)
    if path is None:
        raise ValueError(
            f"The weights {weights.tag!r} of {name} are in {weights.package}, which is "
            f"not installed. This gets them: {weights.get}"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if weights.sha256 is not None and not digest.startswith(weights.sha256):
        raise ValueError(
            f"{path} is not the published file: expected SHA-256 {weights.sha256}, got "
            f"{digest}. This gets it: {weights.get}"
        )
    return path


def _installed_file(package: str, version: str, file: str) -> pathlib.Path | None:
    """Locates a file of an installed distribution without importing anything."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = pathlib.Path(str(distribution.locate_file(file)))
    right_version = not version or distribution.version == version
    return path if right_version and path.is_file() else None


def _no_such_weights(name: str, wanted: str, tags: Mapping[str, Weights]) -> str:
    near = difflib.get_close_matches(wanted, tags, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    known = ", ".join(map(repr, tags)) or "none"
    return (
        f"No weights {wanted!r} for {name}: neither a file nor a tag of its card."
        f"{hint} Tags: {known}."
    )
