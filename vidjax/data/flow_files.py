"""Flow that was computed before: pairs of JPEG images, or an array, for each video.

`vidjax flow DIR --out TREE` writes both, and TSN's published flow has the same layout:

    TREE/NAME/flow_x_00001.jpg, flow_y_00001.jpg, ...   flow.json, where it is ours
    TREE/NAME.npz           the array "flow", float [N - 1, H, W, 2], in pixels

Flow number i, from 0, goes from frame i of the video to frame i + 1, at the rate at
which it was computed; N frames have N - 1 flows.
"""

import json
import pathlib
import zipfile
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vidjax.data.backends import import_tensorflow
from vidjax.data.timeline import VideoError

# As in vidjax.flow.encode, which is another room's: bytes of models reach this far.
_BOUND_PX = 20.0
_X, _Y = "flow_x", "flow_y"
_ABOUT = "flow.json"
_LOCAL_HEADER = 30  # Bytes of a zip entry's own header, before its name.


@runtime_checkable
class FlowFiles(Protocol):
    """The flow of a video.

    Attributes:
        count: Flows in it.
        fps: Rate in frames per second at which the video was read for it; None is the
            video's own.
    """

    count: int
    fps: float | None

    def codes(self, numbers: np.ndarray, *, mirrored: bool) -> np.ndarray:
        """Reads some flows as the bytes that models take: -20 px is 0, +20 px is 255.

        Args:
            numbers: Which flows, [n], from 0.
            mirrored: Whether they are for frames whose left and right are swapped:
                horizontal displacements change their sign. Pixels stay in their places.

        Returns:
            Bytes of u and v, uint8 [n, H, W, 2].

        Raises:
            VideoError: If a file is missing or damaged.
        """
        ...


def open_flow(places: Iterable[pathlib.Path]) -> FlowFiles:
    """Finds the flow of a video.

    Args:
        places: Where it may be, without the ending of an array.

    Returns:
        The first that is there.

    Raises:
        ValueError: If there is none, or what is there cannot be read.
    """
    places = list(places)
    for place in places:
        if place.is_dir():
            return _Images(place)
        array = place.with_name(f"{place.name}.npz")
        if array.is_file():
            return _Array(array)
    raise ValueError(
        "there is no flow in "
        + " or ".join(f"{place}/{_X}_00001.jpg and {place}.npz" for place in places)
        + "; vidjax flow DIR --out TREE makes it"
    )


class _Images:
    """Pairs of JPEG images."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.count = sum(1 for _ in folder.glob(f"{_X}_*.jpg"))
        if not self.count:
            raise ValueError(f"{folder} has no {_X}_00001.jpg")
        about = _read_about(folder)
        self.fps = about.get("fps")
        self._bound = about.get("bound", _BOUND_PX)
        # open-mmlab/denseflow counts from 0, all others from 1.
        self._first = 0 if self._path(_X, 0).exists() else 1

    def _path(self, part: str, number: int) -> pathlib.Path:
        return self._folder / f"{part}_{number:05d}.jpg"

    def codes(self, numbers: np.ndarray, *, mirrored: bool) -> np.ndarray:
        pairs = [
            [_decode(self._path(part, self._first + int(i))) for part in (_X, _Y)]
            for i in numbers
        ]
        codes = np.stack([np.stack(pair, axis=-1) for pair in pairs])
        if self._bound != _BOUND_PX:
            codes = _encode(codes * (2 * self._bound / 255) - self._bound)
        if mirrored:
            # One code off the flow of mirrored frames, as in the published pipelines:
            # yjxiong/tsn-pytorch GroupRandomHorizontalFlip, mmaction2 `iminvert`.
            codes[..., 0] = 255 - codes[..., 0]
        return codes


class _Array:
    """The array "flow" in pixels; of one that is not compressed only parts are read."""

    def __init__(self, path: pathlib.Path) -> None:
        try:
            with np.load(path) as archive:
                about = json.loads(str(archive["about"])) if "about" in archive else {}
            self._flow = _map_entry(path, "flow.npy")
        except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f'{path} is no file of the array "flow"') from error
        if self._flow.ndim != 4 or self._flow.shape[-1] != 2:
            raise ValueError(
                f"{path} has flow of the shape {self._flow.shape}, not [N - 1, H, W, 2]"
            )
        self.count, self.fps = len(self._flow), about.get("fps")

    def codes(self, numbers: np.ndarray, *, mirrored: bool) -> np.ndarray:
        flow = np.asarray(self._flow[numbers], np.float32)
        return _encode(flow * np.array([-1, 1], np.float32) if mirrored else flow)


def _encode(flow: np.ndarray) -> np.ndarray:
    """Pixels to bytes, as `vidjax.flow.encode.flow_to_bytes` does."""
    code = np.rint((flow.astype(np.float32) + _BOUND_PX) * (255 / (2 * _BOUND_PX)))
    return np.clip(code, 0, 255).astype(np.uint8)


def _decode(path: pathlib.Path) -> np.ndarray:
    """Decodes a grey image, uint8 [H, W]."""
    tf = import_tensorflow()
    try:
        content = path.read_bytes()
        return tf.io.decode_jpeg(content, channels=1).numpy()[..., 0]
    except OSError as error:
        raise VideoError(f"{path} is missing, or may not be read.") from error
    except tf.errors.InvalidArgumentError as error:
        raise VideoError(f"{path} is no JPEG, or damaged.") from error


def _read_about(folder: pathlib.Path) -> dict[str, Any]:
    """What `vidjax flow` says of its images; nothing of the images of others."""
    path = folder / _ABOUT
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read") from error


def _map_entry(path: pathlib.Path, name: str) -> np.ndarray:
    """Maps an array of an .npz file, which is a zip archive, into memory."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED:
            with archive.open(name) as file:
                return np.lib.format.read_array(file)
    with path.open("rb") as file:
        file.seek(entry.header_offset)
        header = file.read(_LOCAL_HEADER)
        # The lengths of the name and of the extra field that come before the bytes.
        skip = int.from_bytes(header[26:28], "little")
        skip += int.from_bytes(header[28:30], "little")
        file.seek(entry.header_offset + _LOCAL_HEADER + skip)
        version = np.lib.format.read_magic(file)
        read_header = getattr(
            np.lib.format, f"read_array_header_{version[0]}_{version[1]}"
        )
        shape, fortran, dtype = read_header(file)
        order = "F" if fortran else "C"
        return np.memmap(file, dtype, "r", file.tell(), shape, order)
