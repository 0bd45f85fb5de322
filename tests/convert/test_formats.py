import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from vidjax.convert import read_arrays

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
BIAS = np.arange(3, dtype=np.float64)


def _equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_narrow_floats_of_safetensors_are_read(tmp_path):
    import ml_dtypes

    path = tmp_path / "w.safetensors"
    half = BIAS.astype(np.float16)
    arrays = {"a": half, "b": BIAS.astype(ml_dtypes.bfloat16)}
    safetensors.numpy.save_file(arrays, path)
    _equal(read_arrays(path), {"a": half, "b": BIAS.astype(np.float32)})


def test_shards_beside_an_index_are_read_together(tmp_path):
    index = {"a": "one.safetensors", "b": "two.safetensors"}
    safetensors.numpy.save_file({"a": KERNEL}, tmp_path / "one.safetensors")
    safetensors.numpy.save_file({"b": BIAS}, tmp_path / "two.safetensors")
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": index}))
    _equal(read_arrays(path), {"a": KERNEL, "b": BIAS})
    _equal(read_arrays(tmp_path), {"a": KERNEL, "b": BIAS})

    path.write_text(json.dumps({"weight_map": index | {"c": "two.safetensors"}}))
    with pytest.raises(ValueError, match=r"the index of several files.*lack 'c'"):
        read_arrays(path)
    path.write_text(json.dumps({"weight_map": {"a": "../../one.safetensors"}}))
    with pytest.raises(ValueError, match="not a file beside it"):
        read_arrays(path)


def test_the_folder_of_a_model_is_read(tmp_path):
    safetensors.numpy.save_file({"a": KERNEL}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    _equal(read_arrays(tmp_path), {"a": KERNEL})
    safetensors.numpy.save_file({"a": KERNEL}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"several.*model\.safetensors, other\.safe"):
        read_arrays(tmp_path)


def test_pickles_of_caffe2_by_python_2_are_read(tmp_path):
    # Protocol 2, byte strings for names and bytes: as Python 2 wrote them.
    raw = KERNEL.tobytes().decode("latin1").encode("latin1")
    program = (
        b"\x80\x02}U\x05blobs}(U\x07conv1_wcnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x03K\x04\x87"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89"
        + b"T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
        b"U\x02lrG?\xb9\x99\x99\x99\x99\x99\x9aus."
    )
    path = tmp_path / "SLOWFAST_8x8_R50.pkl"
    path.write_bytes(program)
    _equal(read_arrays(path), {"conv1_w": KERNEL})


@pytest.mark.parametrize("protocol", [0, 1])
def test_pickles_of_the_first_protocols_are_read(tmp_path, protocol):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"a": KERNEL}, protocol))
    _equal(read_arrays(path), {"a": KERNEL})


def test_checkpoints_of_flax_are_read(tmp_path):
    from flax import serialization

    old = {
        "optimizer": {"target": {"Dense_0": {"kernel": KERNEL}}, "state": {"step": 9}},
        "model_state": {"batch_stats": {"mean": BIAS}},
        "global_step": 9,
    }
    for step, scale in ((9, 1), (10, 2)):  # The larger number, not the later name.
        old["optimizer"]["target"]["Dense_0"]["kernel"] = scale * KERNEL
        path = tmp_path / f"checkpoint_{step}"
        path.write_bytes(serialization.msgpack_serialize(old))
    expected = {"params/Dense_0/kernel": 2 * KERNEL, "batch_stats/mean": BIAS}
    _equal(read_arrays(tmp_path / "checkpoint_10"), expected)
    _equal(read_arrays(tmp_path), expected)
    path = tmp_path / "weights.msgpack"
    path.write_bytes(serialization.msgpack_serialize({"params": {"a": KERNEL}}))
    _equal(read_arrays(path), {"params/a": KERNEL})


def test_weights_and_models_of_keras_are_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["model_weights/conv/conv/kernel:0"] = KERNEL
        file["model_weights/conv/conv/bias:0"] = BIAS
        file["optimizer_weights/adam/m:0"] = KERNEL
        file["name"] = "a text"
        file.attrs["layer_names"] = ["conv"]
    expected = {"conv/conv/kernel": KERNEL, "conv/conv/bias": BIAS}
    _equal(read_arrays(path), expected)
    archive = tmp_path / "m.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
        file.write(path, "model.weights.h5")
    _equal(read_arrays(archive), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_keras_itself_writes_is_read(tmp_path):
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
    kernel, _ = model.get_weights()
    for name in ("w.weights.h5", "m.keras", "m.h5"):
        save = model.save_weights if "weights" in name else model.save
        save(tmp_path / name)
        arrays = read_arrays(tmp_path / name)
        assert sum(np.array_equal(array, kernel) for array in arrays.values()) == 1
        assert len(arrays) == 2


def test_hdf5_that_refers_to_another_file_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(b"12345678")
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        external = [(str(tmp_path / "secret"), 0, 8)]
        file.create_dataset("a", (2,), "f4", external=external)
    with pytest.raises(ValueError, match=r"an HDF5 file.*refers to another file"):
        read_arrays(path)


def test_tensorflow_objects_lose_their_suffix_and_their_optimizer(tmp_path):
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.kernel = tf.Variable(KERNEL)
    prefix = tf.train.Checkpoint(net=module).save(str(tmp_path / "ckpt"))
    for path in (prefix, f"{prefix}.index", f"{prefix}.data-00000-of-00001"):
        _equal(read_arrays(path), {"net/kernel": KERNEL})


def test_pytrees_of_orbax_are_read(tmp_path):
    import orbax.checkpoint as ocp

    tree = {"params": {"a": KERNEL}, "opt_state": [{"mu": BIAS}], "model_state": {}}
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "tree", tree)
    _equal(read_arrays(tmp_path / "tree"), {"params/a": KERNEL})


def _written(tmp_path, torch_save):
    """A file of every format whose bytes can be cut off."""
    from flax import serialization

    arrays = {"a": KERNEL, "b": KERNEL.ravel()}
    np.savez(tmp_path / "npz", **arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "safetensors")
    (tmp_path / "pickle").write_bytes(pickle.dumps(arrays, 4))
    (tmp_path / "msgpack").write_bytes(serialization.msgpack_serialize(arrays))
    torch_save({"a": torch_save.Tensor(KERNEL.ravel(), (24,))}, tmp_path / "torch")
    (tmp_path / "npz.npz").rename(tmp_path / "npz")
    return sorted(tmp_path.iterdir())


def test_the_content_tells_the_format_and_not_the_name(tmp_path, torch_save):
    for path in _written(tmp_path, torch_save):
        for suffix in (".pth", ".h5", ".safetensors", ".npz", ".msgpack", ""):
            renamed = path.with_name(f"weights{suffix}")
            path.replace(renamed)
            np.testing.assert_array_equal(
                read_arrays(renamed)["a"].ravel(), KERNEL.ravel()
            )
            renamed.replace(path)


def test_truncated_files_say_how_they_were_read(tmp_path, torch_save):
    for path in _written(tmp_path, torch_save):
        whole = path.read_bytes()
        for length in (9, len(whole) // 3, len(whole) // 2, len(whole) - 5):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=f"{path.name}.*(was|is|not)"):
                read_arrays(path)


def test_an_empty_file_and_a_near_name_are_named(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(ValueError, match=r"weights\.pth is empty"):
        read_arrays(tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"no file .*mean 'weights\.pth'"):
        read_arrays(tmp_path / "weight.pth")


def test_npz_that_names_an_array_twice_or_holds_more_is_refused(tmp_path):
    array = io.BytesIO()
    np.save(array, KERNEL)
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", array.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", array.getvalue())
    with pytest.raises(ValueError, match=r"an \.npz archive.*one name"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", array.getvalue())
        file.writestr("run.py", "print('hello')")
    with pytest.raises(ValueError, match=r"'run\.py' in it is no array"):
        read_arrays(path)


def test_a_pickle_inside_npz_does_not_run(tmp_path):
    class Gadget:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    array = np.empty(1, object)
    array[0] = Gadget()
    np.savez(tmp_path / "w.npz", a=array)
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as file:
        file.writestr("a.pkl", pickle.dumps(Gadget()))
    with pytest.raises(ValueError, match=r"'a\.pkl' in it is no array"):
        read_arrays(tmp_path / "p.npz")
    assert not (tmp_path / "ran").exists()
