"""Files of features that grow while they are computed, and survive a stop.

NAME.npy.part grows beside NAME.part.json, which says what makes it and how far it is.
The results, NAME.npy and NAME.json, appear when everything is in them.
"""

import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vidjax.data.buckets import AnyPath, is_remote, replacing
from vidjax.tasks.shard_job import save_json


class FeatureFile:
    """Features [T, C] on a disk, or in a bucket: then they grow on the disk.

    Args:
        path: NAME, without an ending.
        about: What makes them, for JSON.
        steps: Features T.

    Attributes:
        path: NAME.npy.
        done: Features that are there.
    """

    def __init__(self, path: AnyPath, about: Mapping[str, Any], steps: int):
        self.path = path.with_name(f"{path.name}.npy")
        self._about = {**about, "steps": steps}
        self._result = path.with_name(f"{path.name}.json")
        # A bucket has no files that grow.
        self._folder = tempfile.mkdtemp() if is_remote(path) else None
        local = pathlib.Path(self._folder or path.parent)
        self._part = local / f"{path.name}.npy.part"
        self._state = local / f"{path.name}.part.json"
        self._rows: np.memmap | None = None
        try:
            self.done = self._find()
        except ValueError:
            self.close()
            raise

    def add(self, features: np.ndarray) -> None:
        """Appends features.

        Args:
            features: [N, C], float32.
        """
        if self._rows is None:
            self._rows = self._open(features.shape[1])
        self._rows[self.done : self.done + len(features)] = features
        self._rows.flush()
        self.done += len(features)
        save_json(self._state, {**self._about, "done": self.done})

    def finish(self) -> None:
        """Makes the results of what was added.

        Raises:
            ValueError: If features are missing.
        """
        if self.done != self._about["steps"]:
            raise ValueError(
                f"{self._part} has {self.done} of {self._about['steps']} features."
            )
        channels = 0 if self._rows is None else self._rows.shape[1]
        self._rows = None
        save_json(self._result, {**self._about, "channels": channels})
        if is_remote(self.path):
            with replacing(self.path) as temporary:
                temporary.write_bytes(self._part.read_bytes())
        else:
            os.replace(self._part, self.path)
        self._state.unlink()

    def close(self) -> None:
        """Removes what was on the disk for a file in a bucket."""
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _find(self) -> int:
        """Returns how many features are there; refuses what was made otherwise."""
        finished = self.path.exists() and self._result.exists()
        place = self._result if finished else self._state
        if not place.exists():
            return 0
        found = json.loads(place.read_text())
        done = found.pop("done", self._about["steps"])
        found.pop("channels", None)
        other = [key for key in self._about if found.get(key) != self._about[key]]
        if other:
            told = ", ".join(
                f"{key} {found.get(key)!r} instead of {self._about[key]!r}"
                for key in other
            )
            raise ValueError(
                f"{place} says that the features there were made otherwise: {told}. "
                "Choose another folder, or remove them."
            )
        return done if finished or self._part.exists() else 0

    def _open(self, channels: int) -> np.memmap:
        if self.done:
            return np.lib.format.open_memmap(self._part, "r+")
        shape = (self._about["steps"], channels)
        return np.lib.format.open_memmap(self._part, "w+", np.float32, shape)


def open_features(
    path: AnyPath, about: Mapping[str, Any], *, steps: int
) -> FeatureFile:
    """Opens the file of a video's features, or what a stopped run left of it.

    Args:
        path: NAME, without an ending.
        about: What makes them, for JSON.
        steps: Features T.

    Returns:
        The file, which is to be closed.

    Raises:
        ValueError: If features are there that were made otherwise.
    """
    return FeatureFile(path, json.loads(json.dumps(about)), steps)


def digest_of(variables: Mapping[str, Any]) -> str:
    """Returns what tells weights from others, whatever file they came from.

    Args:
        variables: Nested dicts of arrays.

    Returns:
        SHA-256 of their paths, shapes and values as float32, hexadecimal.
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        array = np.ascontiguousarray(leaf, np.float32)
        digest.update(f"{jax.tree_util.keystr(path)} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
