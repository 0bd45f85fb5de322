"""Published features of untrimmed videos, whatever wrote them."""

import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vidjax.convert import formats, pickles

_HDF5 = (".h5", ".hdf5")
# HACS, SlowFast: dingfengshi/TriDet, libs/datasets/hacs.py.
_PATHWAYS = ("slow_feature", "fast_feature")


def read_features(
    path: str | os.PathLike[str], *, name: str | None = None
) -> np.ndarray:
    """Reads the features of one video.

    Args:
        path: A .npy file [T, C] (I3D, VideoMAEv2, TSP); a .npz file with "feats" or one
            array (EPIC's SlowFast); a .pkl file of an array or a tensor, or of
            "slow_feature" and "fast_feature" [1, C, T] (HACS), read without torch and
            without running anything in it; a .csv file with a line of names and one for
            each step (ActivityNet's TSN); or a .h5 file with an array for each video.
        name: Of the video, in a .h5 file.

    Returns:
        [T, C] float32.

    Raises:
        ValueError: If there is no such file or video, the format is unknown, the file
            is damaged or asks for more than arrays, or the array has other axes or
            values that are not finite.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"There are no features {path}.")
    readers: Mapping[str, Callable[[], Any]] = {
        ".npy": lambda: np.load(path, allow_pickle=False),
        ".csv": lambda: np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2),
        ".npz": lambda: _only(formats.read_npz(path), path),
        ".pkl": lambda: _pathways(pickles.read_pickle(path, tensors=True)),
        **dict.fromkeys(_HDF5, functools.partial(_read_hdf5, path, name)),
    }
    if path.suffix not in readers:
        raise ValueError(
            f"The format of {path} is not known. Known are {', '.join(readers)}."
        )
    try:
        array = np.asarray(readers[path.suffix](), np.float32)
    except pickles.UnsafePickle:
        raise
    except Exception as error:  # Damaged files raise errors of every kind.
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"{path} holds no features: {reason}.") from error
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"Expected finite features [T, C] in {path}, got shape {array.shape}."
        )
    return array


def feature_reader(
    folder: str | os.PathLike[str], *, prefix: str = "", suffix: str = ".npy"
) -> Callable[[str], np.ndarray]:
    """Returns what reads the features of videos by name.

    Args:
        folder: Folder with a file for each video, or a .h5 file of all.
        prefix: Before the name of a video.
        suffix: Behind it, in a folder.

    Returns:
        A function from a name to features [T, C] float32; it raises ValueError as
        `read_features` does.

    Raises:
        ValueError: If there is no such folder or file.
    """
    path = pathlib.Path(folder).expanduser()
    if not path.exists():
        raise ValueError(f"There are no features {path}.")
    if path.suffix in _HDF5:
        return lambda name: read_features(path, name=f"{prefix}{name}")
    return lambda name: read_features(path / f"{prefix}{name}{suffix}")


def _only(arrays: Mapping[str, Any], path: pathlib.Path) -> Any:
    if "feats" in arrays:
        return arrays["feats"]
    if len(arrays) != 1:
        raise ValueError(f'it has {len(arrays)} arrays, and none is called "feats"')
    return next(iter(arrays.values()))


def _pathways(content: Any) -> Any:
    """Joins the pathways of SlowFast: [1, C, T] each to [T, C]."""
    if not isinstance(content, Mapping):
        return content
    if not set(_PATHWAYS) <= content.keys():
        raise ValueError(f"it has {sorted(content)}, not {' and '.join(_PATHWAYS)}")
    joined = np.concatenate([np.asarray(content[p]) for p in _PATHWAYS], axis=1)
    return joined[0].T


def _read_hdf5(path: pathlib.Path, name: str | None) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        if name is None or name not in file:
            raise ValueError(f"it has no video {name!r}, but {len(file)} others")
        found = file[name]
        if isinstance(found, h5py.Group):  # ActivityNet's TSP of some mirrors.
            if len(found) != 1:
                raise ValueError(f"video {name!r} has {len(found)} arrays, not one")
            found = next(iter(found.values()))
        return np.asarray(found)
