"""Parts of videos as files of their own: frames that are read, coded again."""

import fractions
import os
import pathlib
from typing import Any

import numpy as np

from vidjax.data.decode import iterate_frames, probe
from vidjax.data.timeline import (
    StrPath,
    frame_positions,
    import_av,
    open_video,
    read_timeline,
)

# x264's scale of quality; its manual calls 18 visually lossless or nearly so.
_CODER = {"crf": "18", "preset": "veryfast"}
# BT.709 with limited range, which players take H.264 for where it says nothing else.
_BT709, _LIMITED = 1, 1
_TICKS = 90_000  # A second, where a stream has no sensible unit of its own; MPEG's.

# What browsers play: container, codec, pixels. HEVC and ProRes play in Safari alone,
# AV1 in all but old ones.
_PLAYABLE = {
    ".mp4": ("h264", "av1", "vp9"),
    ".m4v": ("h264",),
    ".webm": ("vp8", "vp9", "av1"),
}


def write_clip(
    video: StrPath,
    out: StrPath,
    *,
    start_sec: float = 0.0,
    end_sec: float | None = None,
) -> int:
    """Writes a part of a video as a file that every browser plays.

    The frames that begin in the span are decoded, turned as they are shown, and coded
    again as H.264 with the times that they have; the first one begins at zero. There is
    no sound in it. Memory is that of a few frames.

    Args:
        video: A video file.
        out: File to write, NAME.mp4; it appears when it is whole.
        start_sec: Where the part starts, in seconds from the first frame.
        end_sec: Where it ends; None is the end of the video.

    Returns:
        How many frames it has.

    Raises:
        VideoError: If the video cannot be read, or has nothing in the span.
        ImportError: If PyAV is missing.
    """
    av, path = import_av(), pathlib.Path(out)
    line = read_timeline(video)
    span = {"start_sec": start_sec, "end_sec": end_sec}
    shown = frame_positions(video, line, fps=None, **span)
    times = line.times[shown] - line.times[shown[0]]
    frames = iterate_frames(video, np.arange(len(shown)), **span)
    tick = fractions.Fraction(line.tick).limit_denominator(_TICKS)
    partial = path.with_name(f".{path.name}.partial.mp4")
    rate = fractions.Fraction(probe(video).fps).limit_denominator(1001)
    try:
        with av.open(str(partial), "w", options={"movflags": "faststart"}) as file:
            stream: Any = None
            for image, time in zip(map(to_even, frames), times.tolist(), strict=True):
                stream = stream or _add_stream(file, image, rate, tick)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                frame.pts, frame.time_base = time, tick
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return len(shown)


def browsers_play(video: StrPath) -> bool:
    """Whether browsers play a video file as it is.

    Args:
        video: A video file.

    Returns:
        Whether container, codec and pixels are ones that current browsers all have.

    Raises:
        VideoError: If the file cannot be opened.
        ImportError: If PyAV is missing.
    """
    codecs = _PLAYABLE.get(pathlib.Path(video).suffix.lower(), ())
    with open_video(video) as (_, stream):
        context = stream.codec_context
        return context.name in codecs and context.pix_fmt in ("yuv420p", "yuvj420p")


def _add_stream(
    file: Any, image: np.ndarray, rate: fractions.Fraction, tick: fractions.Fraction
) -> Any:
    stream = file.add_stream("libx264", rate, options=_CODER)
    context = stream.codec_context
    stream.time_base = context.time_base = tick
    context.height, context.width = image.shape[:2]
    context.pix_fmt = "yuv420p"
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


def to_even(image: np.ndarray) -> np.ndarray:
    """Repeats the last row and column of odd sizes, which H.264 does not have.

    Args:
        image: [H, W, C].

    Returns:
        [H, W, C] with even H and W.

    Example:
        >>> to_even(np.zeros((3, 4, 3))).shape
        (4, 4, 3)
    """
    height, width, _ = image.shape
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def jpeg_bytes(image: np.ndarray) -> bytes:
    """Returns a picture as the bytes of a JPEG file.

    Args:
        image: Pixels, uint8 RGB [H, W, 3].

    Returns:
        The bytes.

    Raises:
        ImportError: If PyAV is missing.
    """
    av, image = import_av(), to_even(image)
    coder = av.CodecContext.create("mjpeg", "w")
    coder.height, coder.width = image.shape[:2]
    coder.pix_fmt, coder.time_base = "yuvj420p", fractions.Fraction(1, 25)
    coder.options = {"qscale": "5", "strict": "unofficial"}
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    packets = [*coder.encode(frame.reformat(format="yuvj420p")), *coder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
