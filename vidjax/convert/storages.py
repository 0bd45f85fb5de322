"""Tensors in files of torch: their storages, and how they lie in them.

Nothing of torch runs: bytes are read as NumPy reads them, inside their storage only.
"""

import math
import pickle
from collections.abc import Callable
from typing import Literal

import numpy as np

ByteOrder = Literal["<", ">"]

# Storage classes of torch, and the type of their elements.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}


class Storages:
    """Bytes of a torch file by key, and the type of their elements.

    Args:
        read: Gives the bytes of a key.
        order: Byte order, "<" or ">".
    """

    def __init__(self, read: Callable[[str], bytes], order: ByteOrder) -> None:
        self._read = read
        self._order: ByteOrder = order
        self._kinds: dict[str, str] = {}

    def add(self, identifier: tuple) -> str:
        """Notes a storage that a pickle refers to.

        Args:
            identifier: What it is called: "storage", the type of its elements, its key,
                where it was, its length, and a view.

        Returns:
            The key.

        Raises:
            pickle.UnpicklingError: If it is no storage, or part of one.
        """
        tag, kind, key, _, _, *view = identifier
        if tag != "storage" or kind not in STORAGES.values():
            raise pickle.UnpicklingError(f"it refers to a {tag!r}")
        if any(part is not None for part in view):  # Of torch before 0.4.
            raise pickle.UnpicklingError("it holds a view of a storage")
        self._kinds[key] = kind
        return key

    def itemsize(self, key: str) -> int:
        """Returns the bytes of an element of a storage.

        Args:
            key: From `add`.

        Returns:
            The number.
        """
        kind = self._kinds[key]
        return 2 if kind == "bfloat16" else np.dtype(kind).itemsize

    def elements(self, key: str) -> np.ndarray:
        """Returns the elements of a storage, bfloat16 as float32.

        Args:
            key: From `add`.

        Returns:
            [N], in the machine's byte order.
        """
        raw, kind = self._read(key), self._kinds[key]
        if kind == "bfloat16":  # The upper half of a float32.
            high = np.frombuffer(raw, f"{self._order}u2").astype(np.uint32)
            return (high << 16).view(np.float32)
        flat = np.frombuffer(raw, np.dtype(kind).newbyteorder(self._order))
        return flat.astype(flat.dtype.newbyteorder("="))


class TorchTensor:
    """Stands for a tensor; its storage may come later in the file."""

    __slots__ = ("_key", "_offset", "_shape", "_storages", "_strides")

    def __init__(
        self, storages: Storages, key: str, offset: int, shape: tuple, strides: tuple
    ) -> None:
        self._storages, self._key, self._offset = storages, key, offset
        self._shape, self._strides = tuple(shape), tuple(strides)

    def array(self) -> np.ndarray:
        """Returns the tensor as an array of its own.

        Returns:
            The array.

        Raises:
            pickle.UnpicklingError: If it reaches outside of its storage.
        """
        flat = self._storages.elements(self._key)
        count = math.prod(self._shape)
        if min(self._shape, default=0) < 0:
            raise pickle.UnpicklingError("a tensor has a negative extent")
        if not count:
            return np.zeros(self._shape, flat.dtype)
        steps = [(n - 1) * s for n, s in zip(self._shape, self._strides, strict=True)]
        last = self._offset + sum(steps)
        if min(self._offset, *self._strides, 0) < 0 or last >= flat.size:
            raise pickle.UnpicklingError("a tensor lies outside its storage")
        if count > flat.size:
            raise pickle.UnpicklingError("a tensor is larger than its storage")
        strides = tuple(s * flat.itemsize for s in self._strides)
        view = np.lib.stride_tricks.as_strided(
            flat[self._offset :], self._shape, strides, writeable=False
        )
        return np.array(view)
