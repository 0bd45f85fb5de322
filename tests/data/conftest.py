"""Videos for tests, made on the spot: each frame says which one it is."""

import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

WIDTH, HEIGHT = 64, 48
_BITS = 6


def stamp(number: int) -> np.ndarray:
    """Draws a frame whose upper half is its number in black and white bars."""
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    bars = (number >> np.arange(_BITS) & 1) * 255
    frame[: HEIGHT // 2, : _BITS * 8] = np.repeat(bars, 8)[None, :, None]
    frame[HEIGHT // 2 :, : WIDTH // 2] = [200, 40, 40]
    return frame


def read_stamps(clip: np.ndarray) -> list[int]:
    """Reads the numbers off the frames of a clip, uint8 [T, HEIGHT, WIDTH, 3]."""
    bars = clip[:, 4 : HEIGHT // 2 - 4].mean(axis=(1, 3))[:, : _BITS * 8]
    bits = bars.reshape(len(clip), _BITS, 8)[:, :, 2:6].mean(axis=2) > 128
    return (bits << np.arange(_BITS)).sum(axis=1).tolist()


def write_video(
    path: pathlib.Path,
    *,
    frames: int = 40,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 20,
    gop: int = 8,
    times: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    container_format: str | None = None,
    images: Sequence[np.ndarray] | None = None,
    metadata: dict[str, str] | None = None,
) -> pathlib.Path:
    """Writes stamped frames; `times` are presentation times in units of 1 / 1000 s."""
    with av.open(
        str(path), "w", options=container_options or {}, format=container_format
    ) as out:
        out.metadata.update(metadata or {})
        stream: Any = out.add_stream(codec, rate=rate, options=options or {})
        pictures = images or [stamp(i) for i in range(frames)]
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pix_fmt, gop
        tick = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.codec_context.time_base = tick
        for i, picture in enumerate(pictures):
            kind = "rgba" if picture.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(picture, format=kind)
            frame.time_base = tick
            frame.pts = times[i] if times else i
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An H.264 file of 40 frames, 20 a second, with B-frames and 5 keyframes."""
    path = tmp_path_factory.mktemp("video") / "stamped.mp4"
    return write_video(path, options={"bf": "2", "x264-params": "scenecut=0"})
