"""Files of weights as flat dicts of arrays, whatever wrote them."""

import difflib
import os
import pathlib
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vidjax.convert import formats, pickles
from vidjax.convert.entries import clean

# By what a message calls a format.
_READERS: Mapping[str, Callable[[pathlib.Path], Any]] = {
    "a safetensors file": formats.read_safetensors,
    "the index of several files": formats.read_shards,
    "an .npz archive": formats.read_npz,
    "a .keras archive": formats.read_keras_zip,
    "an HDF5 file": formats.read_hdf5,
    "a file of torch.save": pickles.read_torch_zip,
    "a legacy file of torch.save": pickles.read_torch_legacy,
    "a pickle": pickles.read_pickle,
    "a Flax msgpack file": formats.read_msgpack,
    "a TensorFlow checkpoint": formats.read_tensorflow,
    "an Orbax folder": formats.read_orbax,
}
_READABLE = (
    ".safetensors, .npz, .pth/.pt/.pyth (zip and legacy), pickles of NumPy arrays "
    "(.pkl, .ckpt), .h5 and .keras, Flax msgpack, Orbax folders and TensorFlow "
    "checkpoints"
)
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
# A map whose first key is a string: how a state dict begins.
_MSGPACK = re.compile(rb"(?:[\x81-\x8f]|\xde..|\xdf....)[\xa1-\xbf\xd9]", re.DOTALL)
# Protocols 0 and 1 of pickle have no first bytes of their own.
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".ckpt")


def read_arrays(
    path: str | os.PathLike[str], *, entry: str | None = None
) -> dict[str, np.ndarray]:
    """Reads a file of weights; the format is told by its content, not by its name.

    Neither torch nor a plain unpickler is used: what a pickle asks for beside arrays is
    refused, and nothing of it runs.

    Args:
        path: A .safetensors or .npz file; a .pth, .pt or .pyth file of torch.save (zip
            or legacy format); a pickle of nested containers of NumPy arrays, Caffe2's
            among them; .h5 or .keras files of Keras; a msgpack file of Flax; the prefix
            or a file of a TensorFlow checkpoint; a folder of Orbax or of transformers.
        entry: Which part of the file to take, such as "target_encoder", where it holds
            several networks or a moving average as well; nested ones are joined by "/".

    Returns:
        Arrays of any shape by name. Nested names are joined by "/"; wrappers such as
        "state_dict" and prefixes such as "module." are taken off, and optimizer state
        is left out. bfloat16 becomes float32.

    Raises:
        ValueError: If there is no such file or entry, the format is unknown, it holds
            no arrays or several networks, it is damaged, or it is a pickle that asks
            for anything but arrays.
    """
    path = pathlib.Path(path).expanduser()
    tree = read_tree(path)
    try:
        arrays = clean(tree, entry)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not arrays:
        raise ValueError(f"{path} holds no arrays.")
    return arrays


def read_tree(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads a file of weights as it is, with all that is in it.

    Args:
        path: As in `read_arrays`.

    Returns:
        Nested dicts and lists of arrays of any shape and other things.

    Raises:
        ValueError: As in `read_arrays`.
    """
    form = _format(path)
    if form is None:
        return read_tree(formats.find_in_folder(path))
    try:
        tree = _READERS[form](path)
    except pickles.UnsafePickle:
        raise
    except Exception as error:  # Damaged files raise errors of every kind.
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} was read as {form}, and failed: {reason}.") from error
    if not isinstance(tree, Mapping):
        raise ValueError(f"{path} holds a {type(tree).__name__}, not a dict of arrays.")
    return tree


def _format(path: pathlib.Path) -> str | None:
    """A key of `_READERS`, or None for a folder to look into."""
    if path.is_dir():
        return "an Orbax folder" if formats.is_orbax_tree(path) else None
    if pathlib.Path(f"{formats.tensorflow_prefix(path)}.index").is_file():
        return "a TensorFlow checkpoint"
    if not path.is_file():
        raise ValueError(f"There is no file {path}.{_near(path)}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path} is empty.")
    with path.open("rb") as file:
        start = file.read(64)
    form = _format_of(start, size, path)
    if form is None:
        raise ValueError(
            f"The format of {path}, which begins with {start[:8]!r}, is not known. "
            f"Known are {_READABLE}."
        )
    return form


def _format_of(start: bytes, size: int, path: pathlib.Path) -> str | None:
    if start.startswith(b"PK"):
        return _format_of_zip(path)
    if start.startswith(_HDF5_MAGIC):
        return "an HDF5 file"
    if start.startswith(pickles.LEGACY_MAGIC):
        return "a legacy file of torch.save"
    header = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and (header <= size or path.suffix == ".safetensors"):
        return "a safetensors file"
    if path.name.endswith(".index.json"):
        return "the index of several files"
    if _PICKLE.match(start):
        return "a pickle"
    if _MSGPACK.match(start):
        return "a Flax msgpack file"
    return "a pickle" if path.suffix in _PICKLE_SUFFIXES else None


def _format_of_zip(path: pathlib.Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path} is a damaged zip archive, as .npz files and those of torch.save "
            f"are: {error}."
        ) from error
    if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
        return "a file of torch.save"
    return "a .keras archive" if "model.weights.h5" in names else "an .npz archive"


def _near(path: pathlib.Path) -> str:
    folder = path.parent
    names = [f.name for f in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
