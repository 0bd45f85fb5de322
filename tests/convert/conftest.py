"""Writers of torch's file formats, without torch: stand-ins that pickle as its own."""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile

import jaxtyping
import numpy as np
import pytest

# torch.save before 1.6: magic number, version, sizes of C types.
_LEGACY_HEAD = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


class _Torch(types.ModuleType):
    """Stands for torch while a file is written."""

    def __init__(self):
        super().__init__("torch")
        for kind in ("Float", "Double", "Half", "BFloat16", "Long"):
            name = f"{kind}Storage"
            setattr(self, name, type(name, (), {"__module__": "torch"}))


def _rebuild_tensor_v2(*_):
    raise AssertionError("torch's own code was called")


def _rebuild_parameter(*_):
    raise AssertionError("torch's own code was called")


class Tensor:
    """Pickles as a torch.Tensor: a view of a storage.

    Attributes:
        storage: Elements, one axis; float32 unless `kind` says otherwise.
        shape: Of the view.
        strides: In elements; None is contiguous.
        offset: First element.
        kind: torch's name of the storage's type.
        parameter: Whether it is a torch.nn.Parameter.
    """

    def __init__(
        self, storage, shape, strides=None, offset=0, kind="Float", parameter=False
    ):
        self.storage, self.shape, self.offset = storage, shape, offset
        default = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        self.strides = default if strides is None else strides
        self.kind, self.parameter = kind, parameter

    def __reduce__(self):
        utils = sys.modules["torch._utils"]
        view = (Ref(self), self.offset, self.shape, self.strides, False)
        hooks = collections.OrderedDict()
        if self.parameter:
            plain = Tensor(self.storage, self.shape, self.strides, self.offset)
            return utils._rebuild_parameter, (plain, True, hooks)
        return utils._rebuild_tensor_v2, (*view, hooks)


class Ref:
    """A tensor's storage, which is pickled as a persistent id."""

    def __init__(self, tensor):
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def __init__(self, file, storages, tail=()):
        super().__init__(file, protocol=2)
        self.storages, self.tail = storages, tail

    def persistent_id(self, obj):
        if not isinstance(obj, Ref):
            return None
        data, kind = obj.tensor.storage, obj.tensor.kind
        keys = [key for key, known in self.storages.items() if known is data]
        key = keys[0] if keys else str(len(self.storages))
        self.storages[key] = data
        storage = getattr(sys.modules["torch"], f"{kind}Storage")
        return ("storage", storage, key, "cpu", data.size, *self.tail)


def _save_zip(tree, path):
    storages, main = {}, io.BytesIO()
    _Pickler(main, storages).dump(tree)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", main.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data.tobytes())


def _save_legacy(tree, path):
    storages = {}
    with path.open("wb") as file:
        for part in _LEGACY_HEAD:
            pickle.dump(part, file, protocol=2)
        _Pickler(file, storages, tail=(None,)).dump(tree)
        pickle.dump(list(storages), file, protocol=2)
        for data in storages.values():
            file.write(struct.pack("<q", data.size))
            file.write(data.tobytes())


@pytest.fixture(params=["zip", "legacy"])
def torch_save(request, monkeypatch):
    """Writes a tree with `Tensor`s as torch.save does, in either format."""

    def save(tree, path):
        torch, utils = _Torch(), types.ModuleType("torch._utils")
        for function in (_rebuild_tensor_v2, _rebuild_parameter):
            function.__module__ = "torch._utils"
            setattr(utils, function.__name__, function)
        torch._utils = utils
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            (_save_zip if request.param == "zip" else _save_legacy)(tree, path)
        return path

    save.Tensor = Tensor
    return save


@pytest.fixture
def as_users_run_it():
    """Switches off the type checks that only tests have."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
