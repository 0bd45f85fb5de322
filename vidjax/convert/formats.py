"""One reader for each format of files of weights; `readers` tells which one.

Each takes a path and returns nested dicts or lists with arrays in them. What is wrong
with a file is an exception of any kind, which `readers` makes a sentence of.
"""

import io
import json
import pathlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

# Of TensorFlow's checkpoints of objects: what is behind every name, and what is not
# weights.
_TF_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_TF_TRAINING = re.compile(r"optimizer/.*|.*/\.OPTIMIZER_SLOT/.*|save_counter")
_TF_PARTS = re.compile(r"\.(index|meta|data-\d+-of-\d+)$")
_KERAS_TRAINING = ("optimizer_weights/", "optimizer/")
_SHARDS = ".index.json"


def read_safetensors(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads a safetensors file.

    Args:
        path: The file.

    Returns:
        Arrays of any shape by name.
    """
    import safetensors.numpy

    return safetensors.numpy.load_file(path)


def read_shards(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads files that share the arrays of a network, as transformers writes them.

    Args:
        path: The index, a JSON file whose "weight_map" has the file of every array.

    Returns:
        Arrays of any shape by name.

    Raises:
        ValueError: If a file of the index lies outside the folder, or an array is
            missing.
    """
    from vidjax.convert.readers import read_tree

    wanted = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    arrays: dict[str, Any] = {}
    for name in sorted(set(wanted.values())):
        if pathlib.Path(name).name != name:
            raise ValueError(f"{name!r} is not a file beside it")
        arrays |= read_tree(path.with_name(name))
    if missing := [name for name in wanted if name not in arrays]:
        raise ValueError(f"its files lack {missing[0]!r}")
    return {name: arrays[name] for name in wanted}


def read_npz(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads an archive of NumPy arrays; pickled objects in it are refused.

    Args:
        path: The file.

    Returns:
        Arrays of any shape by name.

    Raises:
        ValueError: If two arrays have one name, or one holds objects.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("two arrays have one name")
    with np.load(path, allow_pickle=False) as arrays:
        if others := [name for name in arrays.files if f"{name}.npy" not in names]:
            raise ValueError(f"{others[0]!r} in it is no array")
        return dict(arrays)


def read_keras_zip(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads what Keras 3 saves as .keras: an archive with an HDF5 file in it.

    Args:
        path: The file.

    Returns:
        Arrays of any shape by name.
    """
    with zipfile.ZipFile(path) as archive:
        return _read_hdf5(io.BytesIO(archive.read("model.weights.h5")))


def read_hdf5(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads an HDF5 file, such as Keras's weights and models.

    Args:
        path: The file.

    Returns:
        Arrays of any shape by name, without ":0" at its end and without the group
        "model_weights" around them.
    """
    with path.open("rb") as file:
        return _read_hdf5(file)


def read_msgpack(path: pathlib.Path) -> Any:
    """Reads what flax.serialization and flax.training.checkpoints write.

    Args:
        path: The file.

    Returns:
        Nested dicts with arrays in them.
    """
    from flax import serialization

    return serialization.msgpack_restore(path.read_bytes())


def read_tensorflow(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads a TensorFlow checkpoint.

    Args:
        path: Its prefix, or one of its files.

    Returns:
        Arrays of any shape by name.

    Raises:
        ValueError: If TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError(
            'TensorFlow is needed for it: pip install "vidjax[data]"'
        ) from error
    reader = tf.train.load_checkpoint(tensorflow_prefix(path))
    return {
        name.removesuffix(_TF_SUFFIX): reader.get_tensor(name)
        for name, dtype in reader.get_variable_to_dtype_map().items()
        if dtype != tf.string and not _TF_TRAINING.match(name)  # The object graph.
    }


def tensorflow_prefix(path: pathlib.Path) -> str:
    """Returns the prefix of a TensorFlow checkpoint.

    Args:
        path: The prefix, or one of the checkpoint's files.

    Example:
        >>> tensorflow_prefix(pathlib.Path("model.ckpt.data-00000-of-00001"))
        'model.ckpt'
    """
    return _TF_PARTS.sub("", str(path))


def read_orbax(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads a tree that Orbax wrote.

    Args:
        path: The folder.

    Returns:
        Nested dicts with arrays in them.
    """
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        metadata = checkpointer.metadata(path.absolute()).item_metadata
        restore = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree
        )
        return checkpointer.restore(
            path.absolute(), args=ocp.args.PyTreeRestore(restore_args=restore)
        )


def find_in_folder(folder: pathlib.Path) -> pathlib.Path:
    """Finds the weights in a folder that a library wrote.

    Args:
        folder: Of Orbax (with or without steps), of transformers or of the Hub, of
            TensorFlow's SavedModel, or of Flax's older checkpoints.

    Returns:
        The file or the prefix or, of Orbax, the folder of the tree: of the last step
        where there are several.

    Raises:
        ValueError: If there are none, or several.
    """
    step = _latest(f for f in folder.iterdir() if f.is_dir() and f.name.isdigit())
    inside = step or folder
    trees = [f for f in (inside, *sorted(inside.iterdir())) if is_orbax_tree(f)]
    if trees:
        return trees[0]
    saved_model = folder / "variables" / "variables.index"
    if saved_model.is_file():
        return saved_model
    flax = _latest(folder.glob("checkpoint_*[0-9]"))
    if flax is not None:
        return flax
    for pattern in (f"*{_SHARDS}", "*.safetensors", "pytorch_model.bin", "*.index"):
        files = sorted(folder.glob(pattern))
        if len(files) == 1:
            return files[0]
        if files:
            names = ", ".join(file.name for file in files)
            raise ValueError(f"{folder} holds several files of weights: {names}.")
    raise ValueError(
        f"{folder} is a folder, and not one that Orbax wrote or with weights in it."
    )


def is_orbax_tree(path: pathlib.Path) -> bool:
    """Whether a path is the folder of a tree that Orbax wrote.

    Args:
        path: Any path.

    Returns:
        True if it is.
    """
    return path.is_dir() and (path / "_METADATA").is_file()


def _latest(paths: Iterator[pathlib.Path]) -> pathlib.Path | None:
    """The path with the largest number at its end."""
    return max(paths, key=lambda f: int(f.name.split("_")[-1]), default=None)


def _read_hdf5(file: io.BufferedIOBase) -> Mapping[str, Any]:
    try:
        import h5py
    except ImportError as error:
        raise ValueError('h5py is needed for it: pip install "vidjax[h5]"') from error

    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biuf":
            return
        if item.external or item.is_virtual:
            raise ValueError(f"{name!r} in it refers to another file")
        if not name.startswith(_KERAS_TRAINING):
            name = name.removeprefix("model_weights/").removesuffix(":0")
            arrays[name] = item[()]

    with h5py.File(file, "r") as root:
        root.visititems(visit)
    return arrays
