import collections
import datetime
import os
import pathlib
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from vidjax.convert import read_arrays
from vidjax.convert.entries import clean

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIAS = np.arange(3, dtype=np.float64)


def _equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def _pickled(tmp_path, tree, protocol=4):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(tree, protocol))
    return path


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"a.kernel": KERNEL, "a.bias": BIAS}, path)
    _equal(read_arrays(path), {"a.kernel": KERNEL, "a.bias": BIAS})


def test_npz_is_read(tmp_path):
    np.savez(tmp_path / "w.npz", kernel=KERNEL, bias=BIAS)
    _equal(read_arrays(tmp_path / "w.npz"), {"kernel": KERNEL, "bias": BIAS})


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickles_of_arrays_are_read_with_nested_names_joined(tmp_path, protocol):
    tree = {
        "params": {"conv": {"kernel": KERNEL, "transposed": np.asfortranarray(KERNEL)}},
        "list": [BIAS, BIAS.astype(">f8")],
        "scalar": np.float32(2.5),
        "epoch": 3,
    }
    _equal(
        read_arrays(_pickled(tmp_path, tree, protocol)),
        {
            "params/conv/kernel": KERNEL,
            "params/conv/transposed": KERNEL,
            "list/0": BIAS,
            "list/1": BIAS,
            "scalar": np.array(2.5, np.float32),
        },
    )


def test_tensors_are_read_in_both_formats_of_torch(tmp_path, torch_save):
    storage = np.arange(100, dtype=np.float32)
    tensor = torch_save.Tensor
    half = np.arange(4, dtype=np.float16)
    bfloat16 = np.array([0x3F80, 0xC040], np.uint16)  # 1 and -3.
    state = collections.OrderedDict(
        plain=tensor(storage, (2, 3, 4)),
        transposed=tensor(storage, (3, 2), (1, 3), offset=5),
        parameter=tensor(storage, (3,), offset=97, parameter=True),
        empty=tensor(storage, (0, 4)),
        scalar=tensor(np.array([7], np.int64), (), kind="Long"),
        half=tensor(half, (4,), kind="Half"),
        bfloat16=tensor(bfloat16, (2,), kind="BFloat16"),
    )
    state._metadata = {"": {"version": 1}}  # As torch's state dicts have.
    path = torch_save({"epoch": 3, "state_dict": state}, tmp_path / "w.pth")

    _equal(
        read_arrays(path),
        {
            "plain": storage[:24].reshape(2, 3, 4),
            "transposed": storage[5:11].reshape(2, 3).T,
            "parameter": storage[97:],
            "empty": np.zeros((0, 4), np.float32),
            "scalar": np.array(7),
            "half": half,
            "bfloat16": np.array([1, -3], np.float32),
        },
    )


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((101,), (1,), 0), ((2,), (1,), 99), ((2,), (-1,), 0), ((10**6,), (0,), 0)],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path, torch_save, shape, strides, offset
):
    storage = np.zeros(100, np.float32)
    tensor = torch_save.Tensor(storage, shape, strides, offset)
    path = torch_save({"a": tensor}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth was not read.*its storage"):
        read_arrays(path)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state", "model"])
@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model."])
def test_wrappers_and_prefixes_are_taken_off(wrapper, prefix):
    tree = {"epoch": 1, wrapper: {f"{prefix}fc.bias": BIAS, f"{prefix}conv.w": KERNEL}}
    assert clean(tree).keys() == {"fc.bias", "conv.w"}


def test_a_prefix_that_not_all_names_share_stays():
    assert clean({"model.a": BIAS, "b": BIAS}).keys() == {"model.a", "b"}


class _Gadget:
    """Runs a function when it is unpickled by the plain unpickler."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def _gadgets(target):
    touch = f"open({str(target)!r}, 'w')"
    return {
        "system": _Gadget(os.system, f"touch {target}"),
        "eval": _Gadget(eval, touch),
        "exec": _Gadget(exec, touch),
        "open": _Gadget(open, str(target), "w"),
        "popen": _Gadget(subprocess.Popen, ["touch", str(target)]),
        "getattr": _Gadget(getattr, "".join, "__self__"),
        "import": _Gadget(__import__, "antigravity"),
        "numpy_load": _Gadget(np.load, str(target)),
        "numpy_save": _Gadget(np.save, str(target), BIAS),
    }


@pytest.mark.parametrize("gadget", sorted(_gadgets("")))
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(tmp_path, gadget):
    target = tmp_path / "ran"
    path = _pickled(tmp_path, {"a": KERNEL, "b": _gadgets(target)[gadget]})
    with pytest.raises(ValueError, match=r"weights\.pkl was not read.*it asks for"):
        read_arrays(path)
    assert not list(tmp_path.glob("ran*"))


def test_a_hostile_pickle_inside_a_torch_file_is_refused(tmp_path, torch_save):
    target = tmp_path / "ran"
    gadget = _Gadget(os.system, f"touch {target}")
    tensor = torch_save.Tensor(np.zeros(3, np.float32), (3,))
    path = torch_save({"a": tensor, "b": gadget}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"it asks for posix\.system"):
        read_arrays(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "program",
    [
        # numpy.dtype, a name that is allowed, and an attribute below it.
        b"\x80\x04\x8c\x05numpy\x8c\x0cdtype.__init__\x93.",
        # State for an allowed function: would change it for later files.
        b"\x80\x02cnumpy\ndtype\n}X\x01\x00\x00\x00aK\x01sb.",
        # An array of objects.
        b"\x80\x02cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.",
        # A reference to another file, and one to a registered extension.
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02\x82\x01.",
        # A list that contains itself.
        b"\x80\x02]q\x00h\x00a.",
        # Damaged: an unknown operation, and the end before its time.
        b"\x80\x02\xff.",
        b"\x80\x02}",
    ],
)
def test_a_pickle_that_leaves_the_safe_subset_is_refused(tmp_path, program):
    path = tmp_path / "w.pkl"
    path.write_bytes(program)
    with pytest.raises(ValueError, match=r"w\.pkl was not read"):
        read_arrays(path)


def test_an_array_whose_bytes_do_not_match_its_shape_is_refused(tmp_path):
    program = pickle.dumps({"a": KERNEL}, 4)
    path = tmp_path / "w.pkl"
    path.write_bytes(program.replace(b"K\x02K\x03K\x04\x87", b"K\x02K\x03K\x09\x87"))
    with pytest.raises(ValueError, match="was not read"):
        read_arrays(path)


def test_harmless_things_beside_the_weights_are_left_out(tmp_path):
    import argparse

    path = _pickled(tmp_path, {"args": argparse.Namespace(lr=1), "model": {"a": BIAS}})
    _equal(read_arrays(path), {"a": BIAS})


def _program(module, name, arguments=b")"):
    """A pickle that calls a function, as torch.save's main pickle would stand there."""
    return b"\x80\x02c%b\n%b\n%bR." % (module.encode(), name.encode(), arguments)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch._utils", "_import_dotted_name"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch.hub", "load"),
        ("torch.serialization", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit", "load"),
        ("numpy", "load"),
        ("numpy.lib.npyio", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.f2py", "compile"),
        ("builtins", "getattr"),
        ("builtins", "map"),
        ("__builtin__", "apply"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        ("copyreg", "__newobj__"),
        ("runpy", "_run_code"),
    ],
)
def test_names_below_torch_and_numpy_are_refused_in_every_format(
    tmp_path, module, name
):
    program = _program(module, name)
    (tmp_path / "w.pkl").write_bytes(program)
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    legacy = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    (tmp_path / "legacy.pth").write_bytes(b"".join(legacy) + program)
    for file in ("w.pkl", "zip.pth", "legacy.pth"):
        with pytest.raises(ValueError, match=f"{file} was not.*{module}.{name}"):
            read_arrays(tmp_path / file)


def test_a_small_pickle_cannot_grow_without_end(tmp_path):
    # Each list holds the one before twice: 2^64 lists in some hundred bytes.
    node = []
    for _ in range(64):
        node = [node, node]
    with pytest.raises(ValueError, match="containers"):
        read_arrays(_pickled(tmp_path, {"a": node}))


@pytest.mark.parametrize("shape", [(-1,), (-2, -2), (2, -1)])
def test_a_tensor_with_a_negative_extent_is_refused(tmp_path, torch_save, shape):
    strides = (1,) * len(shape)
    tensor = torch_save.Tensor(np.zeros(9, np.float32), shape, strides)
    path = torch_save({"a": tensor}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="negative extent"):
        read_arrays(path)


def test_a_storage_that_two_tensors_share_is_read_for_both(tmp_path, torch_save):
    storage = np.arange(12, dtype=np.float32)
    tied = {
        "embedding": torch_save.Tensor(storage, (4, 3)),
        "head": torch_save.Tensor(storage, (3, 4), (1, 3)),
    }
    found = read_arrays(torch_save(tied, tmp_path / "w.pth.tar"))
    np.testing.assert_array_equal(found["embedding"], storage.reshape(4, 3))
    np.testing.assert_array_equal(found["head"], found["embedding"].T)


def test_numbers_of_a_big_endian_machine_are_turned(tmp_path):
    values = np.array([1.5, -2.0], ">f4")
    program = (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n(("
        b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
        b"X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tRs."
    )
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "big")
        archive.writestr("archive/data/0", values.tobytes())
    _equal(read_arrays(path), {"a": values.astype("=f4")})


def test_a_program_of_torchscript_says_what_to_do(tmp_path):
    path = tmp_path / "w.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}.")
        archive.writestr("w/constants.pkl", b"\x80\x02).")
    with pytest.raises(ValueError, match="TorchScript program; save its state_dict"):
        read_arrays(path)


def test_paths_and_sets_and_configs_beside_the_weights_are_left_out(tmp_path):
    tree = {
        "args": {"out": pathlib.Path("/x"), "tags": {"a", "b"}},
        "counts": collections.Counter(a=3),
        "defaults": collections.defaultdict(list, a=[1]),
        "time": datetime.datetime(2020, 1, 1),
        "model": {"a": BIAS},
    }
    for protocol in (2, 4):
        _equal(read_arrays(_pickled(tmp_path, tree, protocol)), {"a": BIAS})


def test_a_tensorflow_checkpoint_is_read_by_prefix_and_by_index(tmp_path):
    tf = pytest.importorskip("tensorflow")
    prefix = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["RGB/inception_i3d/w", "graph"],
        shape_and_slices=["", ""],
        tensors=[KERNEL, tf.constant(["object graph"])],
    )
    for path in (prefix, f"{prefix}.index"):
        _equal(read_arrays(path), {"RGB/inception_i3d/w": KERNEL})


def test_an_orbax_folder_is_read_at_its_last_step(tmp_path):
    import orbax.checkpoint as ocp

    variables = {"params": {"logits": {"kernel": KERNEL}}}
    older = {"params": {"logits": {"kernel": 0 * KERNEL}}}
    with ocp.CheckpointManager(tmp_path / "best") as manager:
        for step, tree in ((9, older), (10, variables)):
            args = ocp.args.Composite(
                variables=ocp.args.StandardSave(tree),
                metrics=ocp.args.JsonSave({"top1": 0.5}),
            )
            manager.save(step, args=args, force=True)
    _equal(read_arrays(tmp_path / "best"), {"params/logits/kernel": KERNEL})
    _equal(read_arrays(tmp_path / "best" / "9"), {"params/logits/kernel": 0 * KERNEL})


def test_an_orbax_train_state_gives_its_variables(tmp_path):
    import orbax.checkpoint as ocp

    state = {
        "step": np.array(7),
        "params": {"a": KERNEL},
        "model_state": {"batch_stats": {"a": BIAS}},
        "opt_state": {"momentum": KERNEL},
    }
    with ocp.CheckpointManager(tmp_path / "checkpoints") as manager:
        manager.save(7, args=ocp.args.StandardSave(state), force=True)
    found = read_arrays(tmp_path / "checkpoints")
    _equal(found, {"params/a": KERNEL, "batch_stats/a": BIAS})


def test_what_cannot_be_read_says_so(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "w.txt").write_text("hello, this is text")
    (tmp_path / "w.safetensors").write_text("hello, this is text")
    (tmp_path / "w.npz").write_bytes(b"PK\x03\x04 and nothing")
    np.savez(tmp_path / "empty.npz")
    for name, reason in [
        ("missing.pth", "no file"),
        ("folder", "not one that Orbax wrote"),
        ("w.txt", "format"),
        ("w.safetensors", "format"),
        ("w.npz", "damaged"),
        ("empty.npz", "holds no arrays"),
    ]:
        with pytest.raises(ValueError, match=rf"{name}.*{reason}|{reason}.*{name}"):
            read_arrays(tmp_path / name)
    with pytest.raises(ValueError, match="holds a list"):
        read_arrays(_pickled(tmp_path, [KERNEL]))


def test_object_arrays_in_npz_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "w.npz")


def test_importing_the_room_imports_neither_tensorflow_nor_torch_nor_jax():
    program = (
        "import sys, vidjax.convert; "
        "print({'tensorflow', 'torch', 'jax', 'orbax'} & set(sys.modules))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "set()"
