"""Features of every published kind become [T, C] float32, and nothing in them runs."""

import pathlib
import pickle

import h5py
import numpy as np
import pytest

from vidjax.convert.features import feature_reader, read_features

FEATURES = np.random.default_rng(0).standard_normal((7, 6)).astype(np.float32)


def _write(path, kind):
    """Writes the same features as one or the other data set has them."""
    if kind == "npy":
        np.save(path, FEATURES.astype(np.float64))
    elif kind == "npz":
        np.savez(path, feats=FEATURES, fps=30)
    elif kind == "pkl":
        parts = {"slow_feature": FEATURES[:, :4], "fast_feature": FEATURES[:, 4:]}
        path.write_bytes(pickle.dumps({n: a.T[None] for n, a in parts.items()}))
    elif kind == "csv":
        names = ",".join(f"f{i}" for i in range(6))
        np.savetxt(path, FEATURES, delimiter=",", header=names, comments="")
    else:
        with h5py.File(path, "w") as file:
            file["v_video"] = FEATURES
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "pkl", "csv", "h5"])
def test_every_kind_gives_the_same(kind, tmp_path):
    path = _write(tmp_path / f"video.{kind}", kind)
    found = read_features(path, name="v_video" if kind == "h5" else None)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, FEATURES)


def test_videos_are_found_by_name_in_a_folder_or_one_file(tmp_path):
    _write(tmp_path / "v_video.npz", "npz")
    one = _write(tmp_path / "all.h5", "h5")
    folder = feature_reader(tmp_path, prefix="v_", suffix=".npz")
    np.testing.assert_array_equal(folder("video"), FEATURES)
    np.testing.assert_array_equal(feature_reader(one, prefix="v_")("video"), FEATURES)
    with pytest.raises(ValueError, match=r"no features .*v_other"):
        folder("other")
    with pytest.raises(ValueError, match="no video 'v_other'"):
        feature_reader(one, prefix="v_")("other")
    with pytest.raises(ValueError, match="no features"):
        feature_reader(tmp_path / "none")


def test_a_group_of_one_array_is_read_and_others_are_refused(tmp_path):
    path = tmp_path / "all.h5"
    with h5py.File(path, "w") as file:
        file["one/features"] = FEATURES
        file["two/a"] = file["two/b"] = FEATURES
        file.create_group("none")
    np.testing.assert_array_equal(read_features(path, name="one"), FEATURES)
    for name, count in (("two", 2), ("none", 0)):
        with pytest.raises(ValueError, match=f"'{name}' has {count} arrays, not one"):
            read_features(path, name=name)


def test_tensors_in_a_plain_pickle_are_read_without_torch():
    # HACS's SlowFast: made by pickle.dumps of two torch tensors.
    found = read_features(pathlib.Path(__file__).parent / "hacs_slowfast.pkl")
    np.testing.assert_array_equal(found[:, :4].T, np.arange(24).reshape(4, 6))
    np.testing.assert_array_equal(found[:, 4:].T, np.arange(12).reshape(2, 6))


class _Program:
    def __reduce__(self):
        return print, ("it ran",)


def test_what_is_no_array_is_refused_and_nothing_runs(tmp_path, capsys):
    for name, content, message in (
        ("program.pkl", pickle.dumps(_Program()), "nothing in it was run"),
        ("other.pkl", pickle.dumps({"a": FEATURES}), "slow_feature"),
        ("half.npy", _write(tmp_path / "x.npy", "npy").read_bytes()[:90], "features"),
        ("text.txt", b"1 2", "Known are .npy"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_features(path)
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no features"):
        read_features(tmp_path / "objects.npy")
    np.save(tmp_path / "nan.npy", np.full((3, 2), np.nan))
    np.save(tmp_path / "flat.npy", np.ones(3))
    for name in ("nan.npy", "flat.npy"):
        with pytest.raises(ValueError, match="finite features"):
            read_features(tmp_path / name)
    np.savez(tmp_path / "two.npz", a=FEATURES, b=FEATURES)
    with pytest.raises(ValueError, match="2 arrays"):
        read_features(tmp_path / "two.npz")
    assert capsys.readouterr().out == ""
