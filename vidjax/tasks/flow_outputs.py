"""Where the flow of a video goes: a colour video, an array, or pairs of JPEG images.

All of them grow chunk by chunk beside the result, under names that say that they are
not finished; a chunk is whole or not there. So a run that was killed goes on after the
last chunk, and the result appears at once when everything is in it.
"""

import fractions
import json
import pathlib
import shutil
import zipfile
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vidjax.data.timeline import import_av
from vidjax.flow.colour import flow_to_image
from vidjax.flow.files import write_flow

CHUNK = 32
"""Flows that are written at once: what a stopped run may lose. Ours."""

_ABOUT = "flow.json"  # In a folder: what made it.
_CRF = (
    "18"  # x264's scale of quality; its manual calls this visually lossless or nearly.
)


@runtime_checkable
class Output(Protocol):
    """A place for flows.

    Attributes:
        done: Flows that it holds.
    """

    done: int

    def add(self, flows: np.ndarray) -> None:
        """Appends flows.

        Args:
            flows: Displacements in pixels, float32 [N, H, W, 2].
        """
        ...

    def finish(self) -> None:
        """Makes the result of all that was added, unless it is made."""
        ...


def open_output(
    out: pathlib.Path,
    about: dict[str, Any],
    *,
    total: int,
    fps: float,
    kind: str | None = None,
) -> Output:
    """Opens the place for the flow of a video, or what a stopped run left there.

    Args:
        out: NAME.mp4, NAME.npz, or the name of a folder, which has no ending.
        about: What makes the flow, for JSON; what is there must have been made alike.
        total: Flows that there will be.
        fps: Rate of a colour video, in frames per second.
        kind: ".mp4", ".npz", or "" for a folder; None goes by the name.

    Returns:
        The place.

    Raises:
        ValueError: If there is another ending, or something else is there already.
        OSError: If the folder around it cannot be made.
    """
    about = json.loads(json.dumps(about))  # As it comes back from a file.
    match out.suffix.lower() if kind is None else kind:
        case "":
            return _Images(out, about)
        case ".npz":
            return _ArrayFile(out, about, total)
        case ".mp4":
            return _ColourVideo(out, about, total, fps)
    raise ValueError(
        f"Expected NAME.mp4, NAME.npz or the name of a folder to write to, got {out}."
    )


class _Images:
    """Pairs of JPEG images in a folder, numbered from 1."""

    def __init__(self, out: pathlib.Path, about: dict[str, Any]) -> None:
        self._out, self._bound = out, about["bound"]
        _claim(out, about)
        self.done = 0
        while self._path(self.done, "y").exists():
            self.done += 1

    def _path(self, index: int, part: str) -> pathlib.Path:
        return self._out / f"flow_{part}_{index + 1:05d}.jpg"

    def add(self, flows: np.ndarray) -> None:
        for flow in flows:
            # The image of y comes last: where it is, the pair is whole.
            write_flow(self._path(self.done, "x"), flow, bound=self._bound)
            self.done += 1

    def finish(self) -> None:
        pass


class _Parts:
    """Files of chunks in a folder beside the result, which is made from them."""

    suffix = ""

    def __init__(self, out: pathlib.Path, about: dict[str, Any], total: int) -> None:
        self._out, self._about = out, about
        self._folder = out.with_name(f"{out.name}.partial")
        if out.exists():
            if self._read_about() != about:
                raise ValueError(_made_otherwise(out))
            self.done = total
            return
        _claim(self._folder, about)
        # A part's name says how many flows there are with it.
        self.done = max((int(part.stem) for part in self._parts()), default=0)

    def _parts(self) -> list[pathlib.Path]:
        return sorted(self._folder.glob(f"[0-9]*{self.suffix}"))

    def add(self, flows: np.ndarray) -> None:
        self.done += len(flows)
        part = self._folder / f"{self.done:09d}{self.suffix}"
        hidden = part.with_name(f"partial-{part.name}")
        self._write(hidden, flows)
        hidden.replace(part)

    def finish(self) -> None:
        if self._out.exists():
            return
        hidden = self._folder / f"partial-{self._out.name}"
        self._join(hidden)
        hidden.replace(self._out)
        shutil.rmtree(self._folder)

    def _write(self, path: pathlib.Path, flows: np.ndarray) -> None:
        raise NotImplementedError

    def _join(self, path: pathlib.Path) -> None:
        raise NotImplementedError

    def _read_about(self) -> Any:
        raise NotImplementedError


class _ArrayFile(_Parts):
    """One array "flow" of all flows, and the text "about"."""

    suffix = ".npy"

    def _write(self, path: pathlib.Path, flows: np.ndarray) -> None:
        with path.open("wb") as file:
            np.save(file, flows)

    def _join(self, path: pathlib.Path) -> None:
        # An .npz file is a zip archive of .npy files; this one is never in memory.
        first = np.load(self._parts()[0], mmap_mode="r")
        header = {
            "descr": np.lib.format.dtype_to_descr(first.dtype),
            "fortran_order": False,
            "shape": (self.done, *first.shape[1:]),
        }
        with zipfile.ZipFile(path, "w") as archive:
            with archive.open("flow.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array_header_1_0(entry, header)
                for part in self._parts():
                    entry.write(np.load(part).tobytes())
            with archive.open("about.npy", "w") as entry:
                np.lib.format.write_array(entry, np.array(json.dumps(self._about)))

    def _read_about(self) -> Any:
        try:
            with np.load(self._out) as archive:
                return json.loads(str(archive["about"]))
        except (KeyError, OSError, ValueError, zipfile.BadZipFile):
            return None


class _ColourVideo(_Parts):
    """A video of pictures of the flow."""

    suffix = ".mp4"

    def __init__(
        self, out: pathlib.Path, about: dict[str, Any], total: int, fps: float
    ) -> None:
        super().__init__(out, about, total)
        self._fps = fractions.Fraction(fps).limit_denominator(1001)

    def _write(self, path: pathlib.Path, flows: np.ndarray) -> None:
        av = import_av()
        images = [flow_to_image(flow, max_px=self._about["max_px"]) for flow in flows]
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", self._fps, {"crf": _CRF})
            stream.pix_fmt = "yuv420p"
            stream.height, stream.width = _to_even(images[0]).shape[:2]
            for image in images:
                frame = av.VideoFrame.from_ndarray(_to_even(image), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def _join(self, path: pathlib.Path) -> None:
        """Puts coded pictures one after the other, without coding them again."""
        av = import_av()
        with av.open(str(path), "w") as joined:
            joined.metadata["comment"] = json.dumps(self._about)
            stream, start = None, 0
            for part in self._parts():
                with av.open(str(part)) as container:
                    source = container.streams.video[0]
                    if stream is None:
                        stream = joined.add_stream_from_template(source)
                    for packet in container.demux(source):
                        if packet.dts is not None:
                            packet.pts, packet.dts = (
                                packet.pts + start,
                                packet.dts + start,
                            )
                            packet.stream = stream
                            joined.mux(packet)
                    start += source.duration

    def _read_about(self) -> Any:
        av = import_av()
        try:
            with av.open(str(self._out)) as container:
                return json.loads(container.metadata["comment"])
        except (KeyError, ValueError, av.error.FFmpegError):
            return None


def _claim(folder: pathlib.Path, about: dict[str, Any]) -> None:
    """Makes a folder and says in it what it is for; raises if it is for another."""
    note = folder / _ABOUT
    if note.exists():
        if json.loads(note.read_text(encoding="utf-8")) != about:
            raise ValueError(_made_otherwise(folder))
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is there already and was not made by vidjax flow.")
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f"partial-{_ABOUT}"
    hidden.write_text(json.dumps(about, indent=2), encoding="utf-8")
    hidden.replace(note)


def _made_otherwise(out: pathlib.Path) -> str:
    return (
        f"{out} is there already, made from another video or with other options. "
        "Choose another name, or remove it."
    )


def _to_even(image: np.ndarray) -> np.ndarray:
    """Repeats the last row and column of odd sizes, which H.264 does not have."""
    height, width, _ = image.shape
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
