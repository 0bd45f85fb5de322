"""Files of weights as flat dicts of arrays, whatever wrote them."""

import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vidjax.convert import pickles

# Keys under which training code puts the weights beside epochs and optimizers.
_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "module")
# Prefixes of nn.DataParallel, of Lightning-like wrappers and of torch.compile.
_PREFIXES = ("module.", "model.", "_orig_mod.", "state_dict/", "model_state/")

_READABLE = (
    ".safetensors, .npz, .pth/.pt/.pyth (zip and legacy), pickles of NumPy arrays "
    "(.pkl, .ckpt), Orbax folders and TensorFlow checkpoints"
)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a file of weights; the format is told by its content.

    Neither torch nor a plain unpickler is used: what a pickle asks for beside arrays is
    refused, and nothing of it runs.

    Args:
        path: A .safetensors or .npz file; a .pth, .pt or .pyth file of torch.save (zip
            or legacy format); a pickle of nested containers of NumPy arrays; an Orbax
            folder; or the prefix or index file of a TensorFlow checkpoint.

    Returns:
        Arrays of any shape by name. Nested names are joined by "/"; the wrappers
        "state_dict" and "model_state" and the prefixes "module." and "model." are taken
        off. bfloat16 in torch files becomes float32.

    Raises:
        ValueError: If there is no such file, its format is unknown, it holds no arrays,
            it is damaged, or it is a pickle that asks for anything but arrays.
    """
    path = pathlib.Path(path).expanduser()
    arrays = clean(_read(path))
    if not arrays:
        raise ValueError(f"{path} holds no arrays.")
    return arrays


def clean(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Returns the arrays of a nested dict, without wrappers and common prefixes.

    Args:
        tree: Nested dicts and lists of arrays and other things.

    Returns:
        Arrays of any shape by name; nested names are joined by "/".

    Example:
        >>> sorted(clean({"epoch": 3, "state_dict": {"module.fc.bias": np.ones(2)}}))
        ['fc.bias']
    """
    arrays = _flatten(_unwrap(tree))
    while prefix := _common_prefix(arrays):
        arrays = {name.removeprefix(prefix): a for name, a in arrays.items()}
    return arrays


def _read(path: pathlib.Path) -> Mapping[str, Any]:
    if path.is_dir():
        return _read_orbax(path)
    if path.suffix == ".index" or path.with_name(path.name + ".index").is_file():
        return _read_tensorflow(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    with path.open("rb") as file:
        start = file.read(len(pickles.LEGACY_MAGIC))
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if start.startswith(b"PK"):
        return _read_zip(path)
    if start == pickles.LEGACY_MAGIC:
        return _as_mapping(pickles.read_torch_legacy(path), path)
    if start.startswith(b"\x80") or path.suffix in (".pkl", ".pickle", ".ckpt"):
        return _as_mapping(pickles.read_pickle(path), path)
    raise ValueError(f"The format of {path} is not known. Known are {_READABLE}.")


def _read_safetensors(path: pathlib.Path) -> Mapping[str, Any]:
    import safetensors
    import safetensors.numpy

    try:
        return safetensors.numpy.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}.") from error


def _read_zip(path: pathlib.Path) -> Mapping[str, Any]:
    """Reads a zip archive, which is either NumPy's or torch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
            return _as_mapping(pickles.read_torch_zip(path), path)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is a damaged zip archive: {error}.") from error


def _read_tensorflow(path: pathlib.Path) -> Mapping[str, Any]:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ValueError(
            f"{path} is a TensorFlow checkpoint, for which TensorFlow is needed: "
            'pip install "vidjax[data]".'
        ) from error
    try:
        reader = tf.train.load_checkpoint(str(path).removesuffix(".index"))
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(f"{path} is no TensorFlow checkpoint: {error}.") from error
    dtypes = reader.get_variable_to_dtype_map()
    return {
        name: reader.get_tensor(name)
        for name, dtype in dtypes.items()
        if dtype != tf.string  # The object graph.
    }


def _read_orbax(path: pathlib.Path) -> Mapping[str, Any]:
    import orbax.checkpoint as ocp

    step = _latest_step(path.absolute())
    folders = [f for f in (step, *sorted(step.iterdir())) if _is_orbax_tree(f)]
    if not folders:
        raise ValueError(f"{path} is a folder, and not one that Orbax wrote.")
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        metadata = checkpointer.metadata(folders[0]).item_metadata
        restore = jax.tree.map(
            lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree
        )
        tree = checkpointer.restore(
            folders[0], args=ocp.args.PyTreeRestore(restore_args=restore)
        )
    if "model_state" in tree:  # A train state: its variables.
        return {"params": tree["params"], **tree["model_state"]}
    return tree


def _latest_step(path: pathlib.Path) -> pathlib.Path:
    steps = [f for f in path.iterdir() if f.is_dir() and f.name.isdigit()]
    return max(steps, key=lambda f: int(f.name)) if steps else path


def _is_orbax_tree(path: pathlib.Path) -> bool:
    return path.is_dir() and (path / "_METADATA").is_file()


def _as_mapping(tree: Any, path: pathlib.Path) -> Mapping[str, Any]:
    if not isinstance(tree, Mapping):
        raise ValueError(f"{path} holds a {type(tree).__name__}, not a dict of arrays.")
    return tree


def _unwrap(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    for key in _WRAPPERS:
        inner = tree.get(key)
        if isinstance(inner, Mapping) and not any(map(_is_array, tree.values())):
            return _unwrap(inner)
    return tree


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _flatten(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Arrays by joined name; numbers, strings and other things are left out."""
    if _is_array(tree):
        return {prefix: np.asarray(tree)}
    if isinstance(tree, Mapping):
        items = tree.items()
    elif isinstance(tree, (list, tuple)):
        items = enumerate(tree)
    else:
        return {}
    found = {}
    for key, value in items:
        found |= _flatten(value, f"{prefix}/{key}" if prefix else str(key))
    return found


def _common_prefix(arrays: Mapping[str, Any]) -> str:
    for prefix in _PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            return prefix
    return ""
