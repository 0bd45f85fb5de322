"""Pickles of arrays, read without running anything that they ask for.

A pickle is a program. Here it may build dicts, lists and tuples, and name the few
functions with which NumPy and PyTorch rebuild arrays. Those names lead to stand-ins, of
this file and of `storages`, never to the functions themselves; any other name is
refused before anything is called. Neither NumPy's nor PyTorch's own unpickling code
runs.
"""

import io
import itertools
import pathlib
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vidjax.convert.storages import STORAGES, ByteOrder, Storages, TorchTensor

# First bytes of torch.save before 1.6: the pickled number 0x1950a86a20f9469cfc6c.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."

# Harmless things beside the weights in published files; they become None.
_DROPPED = {
    ("argparse", "Namespace"),  # VideoMAE's "args".
    ("mmengine.logging.history_buffer", "HistoryBuffer"),  # MMAction2's message hub.
    ("mmcv.utils.config", "ConfigDict"),
    ("mmengine.config.config", "ConfigDict"),
    ("yacs.config", "CfgNode"),
    ("fvcore.common.config", "CfgNode"),
    ("collections", "Counter"),  # Of learning rate schedules.
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    *(("pathlib", f"{kind}Path") for kind in ("", "Posix", "PurePosix", "Windows")),
    ("torch", "device"),
    ("torch", "bfloat16"),
    *(("torch", f"{kind}{bits}") for kind in ("float", "int") for bits in (16, 32, 64)),
    *(
        (module, kind)
        for module in ("builtins", "__builtin__")
        for kind in (
            *("set", "frozenset", "slice", "complex", "bytearray", "object"),
            *("list", "dict", "int", "float", "str", "bool"),  # As default factories.
        )
    ),
}
_MAX_CONTAINERS = 1_000_000  # Of a whole train state there are some thousands.


class UnsafePickle(ValueError):
    """A pickle that asks for more than arrays of numbers, or is damaged."""


def read_pickle(path: pathlib.Path, *, tensors: bool = False) -> Any:
    """Reads a pickle of nested containers of NumPy arrays.

    Args:
        path: The file.
        tensors: Whether it may hold tensors of torch, as pickle writes them.

    Returns:
        The containers, with arrays in them.

    Raises:
        ValueError: If the pickle names anything but NumPy arrays, or is damaged.
    """
    with path.open("rb") as file:
        return _resolve(_load(file, path, _Nested() if tensors else None), path)


def read_torch_zip(path: pathlib.Path) -> Any:
    """Reads what torch.save writes since version 1.6, without torch.

    Args:
        path: The file, a zip archive.

    Returns:
        The containers, with arrays in them; bfloat16 becomes float32.

    Raises:
        ValueError: If the pickle names anything but tensors, or is damaged, or the file
            is a program.
    """
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        mains = [n for n in names if n == "data.pkl" or n.endswith("/data.pkl")]
        if len(mains) > 1 or len(set(names)) < len(names):
            raise ValueError("it holds several pickles, or one name twice")
        (main,) = mains
        root = main.removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            raise ValueError("it is a TorchScript program; save its state_dict instead")
        big = f"{root}byteorder" in names and archive.read(f"{root}byteorder") == b"big"
        storages = Storages(
            lambda key: archive.read(f"{root}data/{key}"), ">" if big else "<"
        )
        tree = _load(io.BytesIO(archive.read(main)), path, storages)
        return _resolve(tree, path)


def read_torch_legacy(path: pathlib.Path) -> Any:
    """Reads what torch.save wrote before version 1.6, without torch.

    Args:
        path: The file: several pickles, then the bytes of the storages.

    Returns:
        The containers, with arrays in them; bfloat16 becomes float32.

    Raises:
        ValueError: If a pickle names anything but tensors, or is damaged.
    """
    with path.open("rb") as file:
        return _resolve(_read_legacy(file, path)[0], path)


def _read_legacy(file: Any, path: pathlib.Path) -> tuple[Any, "Storages"]:
    raw: dict[str, bytes] = {}
    storages = Storages(raw.__getitem__, "<")
    for _ in range(3):  # Magic number, version, sizes of C types.
        _load(file, path)
    tree = _load(file, path, storages)
    for key in _load(file, path):
        size = storages.itemsize(key) * int.from_bytes(file.read(8), "little")
        raw[key] = file.read(size)
    return tree, storages


class _Function:
    """A callable that a pickle can call and not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Dict(dict):
    """An ordered dict; attributes that torch hangs on it are dropped."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _Dropped:
    """A harmless thing that is not an array."""

    __slots__ = ()

    def __init__(self, *_: Any) -> None:
        pass

    def _ignore(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = _ignore


class _Dtype:
    """Stands for numpy.dtype: numbers only."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: str, *_: Any) -> None:
        self._code = code
        self._order: ByteOrder = "<"
        if np.dtype(code).kind not in "biufc":
            raise pickle.UnpicklingError(f"it holds an array of type {code!r}")

    def __setstate__(self, state: tuple) -> None:
        self._order = ">" if state[1] == ">" else "<"

    def dtype(self) -> np.dtype:
        return np.dtype(self._code).newbyteorder(self._order)


class _NumpyArray:
    """Stands for an array that is described now and built later."""

    __slots__ = ("_dtype", "_fortran", "_raw", "_shape")

    def __init__(self, *_: Any) -> None:
        self._shape: tuple[int, ...] = (0,)
        self._dtype, self._fortran, self._raw = _Dtype("f4"), False, b""

    def __setstate__(self, state: tuple) -> None:
        _, self._shape, self._dtype, self._fortran, self._raw = state

    def array(self) -> np.ndarray:
        raw = self._raw
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        flat = np.frombuffer(raw, self._dtype.dtype())
        array = flat.reshape(self._shape, order="F" if self._fortran else "C")
        return np.array(array, dtype=array.dtype.newbyteorder("="))


class _Nested(Storages):
    """Storages in a plain pickle, each as the bytes of a legacy file of torch."""

    def __init__(self) -> None:
        super().__init__({}.__getitem__, "<")
        self._files: dict[str, tuple[str, Storages]] = {}

    def open(self, raw: bytes) -> str:
        key = str(len(self._files))
        self._files[key] = _read_legacy(io.BytesIO(raw), pathlib.Path("a storage"))
        return key

    def elements(self, key: str) -> np.ndarray:
        name, storages = self._files[key]
        return storages.elements(name)


def _allowed(storages: Storages | None) -> dict[tuple[str, str], Any]:
    """The names that a pickle may use, and what they lead to."""
    new = {
        ("collections", "OrderedDict"): _Dict,
        ("collections", "defaultdict"): lambda *_: _Dict(),
        ("_codecs", "encode"): _encode,
        ("numpy", "dtype"): _Dtype,
    }
    for core in ("numpy.core", "numpy._core"):
        new[f"{core}.multiarray", "_reconstruct"] = _NumpyArray
        new[f"{core}.multiarray", "scalar"] = lambda dtype, raw: _built(raw, dtype, ())
        new[f"{core}.numeric", "_frombuffer"] = _built
    if storages is not None:
        for version in ("", "_v2"):
            new["torch._utils", f"_rebuild_tensor{version}"] = lambda *a: TorchTensor(
                storages, *a[:4]
            )
        new["torch._utils", "_rebuild_parameter"] = lambda data, *_: data
        if isinstance(storages, _Nested):
            new["torch.storage", "_load_from_bytes"] = storages.open
        new["torch", "Size"] = lambda sizes=(): tuple(sizes)
    found: dict[tuple[str, str], Any] = {k: _Function(f) for k, f in new.items()}
    found["numpy", "ndarray"] = "numpy.ndarray"  # Only ever an argument.
    found |= dict.fromkeys(_DROPPED, _Dropped)
    for name, kind in STORAGES.items():
        found["torch", name] = kind
    return found


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes a string as {encoding!r}")
    return text.encode("latin1")


def _built(
    raw: bytes | bytearray, dtype: _Dtype, shape: tuple[int, ...], order: str = "C"
) -> _NumpyArray:
    array = _NumpyArray()
    array.__setstate__((1, shape, dtype, order == "F", raw))
    return array


class _Unpickler(pickle.Unpickler):
    """An unpickler to which only the names of `_allowed` exist."""

    def __init__(self, file: io.BufferedIOBase, storages: Storages | None) -> None:
        super().__init__(file, encoding="latin1")  # For pickles of Python 2.
        self._storages, self._names = storages, _allowed(storages)

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return self._names[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}"
            ) from None

    def persistent_load(self, pid: Any) -> str:
        if self._storages is None:
            raise pickle.UnpicklingError("it refers to data outside of itself")
        return self._storages.add(pid)


def _load(
    file: io.BufferedIOBase, path: pathlib.Path, storages: Storages | None = None
) -> Any:
    try:
        return _Unpickler(file, storages).load()
    except Exception as error:  # Damaged pickles raise errors of every kind.
        raise _refusal(path, error) from error


def _resolve(tree: Any, path: pathlib.Path) -> Any:
    """Replaces stand-ins by arrays."""
    try:
        return _replace(tree, frozenset(), itertools.count(1))
    except Exception as error:
        raise _refusal(path, error) from error


def _replace(node: Any, above: frozenset[int], seen: Iterator[int]) -> Any:
    if isinstance(node, (_NumpyArray, TorchTensor)):
        return node.array()
    if isinstance(node, (_Dropped, _Dtype, _Function, type)):
        return None
    if isinstance(node, (dict, list, tuple)):
        if id(node) in above:
            raise pickle.UnpicklingError("it contains itself")
        if next(seen) > _MAX_CONTAINERS:  # A few bytes can say "twice the above".
            raise pickle.UnpicklingError(f"it has over {_MAX_CONTAINERS:,} containers")
        above = above | {id(node)}
        if isinstance(node, dict):
            return {key: _replace(item, above, seen) for key, item in node.items()}
        return type(node)(_replace(item, above, seen) for item in node)
    return node


def _refusal(path: pathlib.Path, error: Exception) -> UnsafePickle:
    reason = str(error) or type(error).__name__
    return UnsafePickle(
        f"{path} was not read, and nothing in it was run: {reason}. A pickle of "
        "weights may hold dicts, lists and arrays of numbers only."
    )
