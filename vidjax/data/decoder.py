"""Decoded frames of a video, for as little decoding as it takes.

Three things are left out, and the frames that come are the same to the bit: what lies
before the keyframe ahead of a wanted frame; frames that are not wanted and that no
other frame refers to, about half of those of H.264; and, behind the last wanted frame,
those that a decoder reads before it gives that one out.
"""

import enum
from collections.abc import Iterator
from typing import Any

import numpy as np

from vidjax.data.timeline import Timeline, import_av

_SEEK_GAIN = 8  # Frames that a seek must save; it costs about as much as these.
_LOST_FRAMES = 2  # A frame that does not decode is replaced by one this near to it.

# Decoders of FFmpeg that ask for each packet what may be left out; others ask once.
_SKIPPING = ("h264", "hevc", "mpeg4")

# FFmpeg's own VP8 and VP9 decoders drop the alpha plane; these do not.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

_Numbered = tuple[int, Any]
"""A position in the timeline, and the frame there."""


class _Way(enum.IntEnum):
    """How a video is read, each with fewer assumptions than the one before."""

    SKIP = 0  # From keyframes, without frames that no other refers to.
    JUMP = 1  # From keyframes.
    WHOLE = 2  # From the start: the index of the file lies, or there is none.


def frames_at(
    container: Any, stream: Any, line: Timeline, positions: np.ndarray
) -> Iterator[Any]:
    """Decodes the frames at some positions of the timeline.

    Where a frame is damaged, one at most two positions away stands for it.

    Args:
        container: PyAV's container, at its start.
        stream: Its video stream.
        line: The times of its frames.
        positions: Which frames, rising, int64 [N].

    Yields:
        PyAV's frame for each position; fewer than N where one cannot be decoded.
    """
    way = _Way.JUMP if line.trusted else _Way.WHOLE
    if line.trusted and stream.codec_context.codec.name in _SKIPPING:
        way = _Way.SKIP
    fresh, rest = True, positions
    while len(rest):
        run = rest if way is _Way.WHOLE else rest[: _run_length(line, rest)]
        start = 0 if way is _Way.WHOLE else _key_before(line, int(run[0]))
        if not fresh or start >= _SEEK_GAIN:
            container.seek(int(line.times[start]), stream=stream)
        fresh, found = False, 0
        wanted = set(line.times[run].tolist()) if way is _Way.SKIP else None
        frames = _number(decode(container, stream, wanted), line)
        for frame in _find(frames, run, way):
            yield frame
            found += 1
        rest = rest[found:]
        if found < len(run):
            if way is _Way.WHOLE:
                return
            way = _Way(way + 1)


def decode(
    container: Any, stream: Any, wanted: set[int] | None = None
) -> Iterator[Any]:
    """Decodes from where the container stands; packets that are damaged are skipped.

    Args:
        container: PyAV's container.
        stream: Its video stream.
        wanted: Presentation times of frames that are wanted, in ticks of the stream; of
            the others, those that no frame refers to may be left out, and decoding ends
            when all of these have come. None decodes all.

    Yields:
        PyAV's frames.
    """
    av = import_av()
    decoder = stream.codec_context
    name = _ALPHA_DECODERS.get(decoder.codec.name)
    if name and stream.metadata.get("alpha_mode") == "1":
        decoder = av.codec.CodecContext.create(name, "r")
    left = set(wanted or ())
    for packet in container.demux(stream):
        spare = bool(left) and packet.pts is not None and packet.pts not in left
        decoder.skip_frame = "NONREF" if spare else "DEFAULT"
        try:
            # The last packet is empty and means that frames that are held come out.
            yield from decoder.decode(packet if packet.size else None)
        except av.error.InvalidDataError:
            continue
        left.discard(packet.pts)
        if wanted and not left:
            if packet.size:
                yield from decoder.decode(None)
            return


def _find(frames: Iterator[_Numbered], targets: np.ndarray, way: _Way) -> Iterator[Any]:
    """Yields the frame at each target, up to the first that is not there."""
    slack = 0 if way is _Way.SKIP else _LOST_FRAMES
    here: _Numbered | None = None  # The last frame up to the target.
    ahead = next(frames, None)  # A frame that was read too early.
    if ahead and way is not _Way.WHOLE and ahead[0] > targets[0]:
        return
    for target in targets.tolist():
        while here is None or here[0] < target:
            item, ahead = ahead or next(frames, None), None
            if item is None:
                break
            if item[0] > target:
                ahead = item
                break
            here = item
        near = (
            item for item in (here, ahead) if item and _is_near(item, target, slack)
        )
        found = next(near, None)
        # Half of an interlaced frame may have been left out.
        if found is None or (way is _Way.SKIP and found[1].interlaced_frame):
            return
        yield found[1]


def _is_near(item: _Numbered, target: int, slack: int) -> bool:
    return abs(item[0] - target) <= slack


def _number(frames: Iterator[Any], line: Timeline) -> Iterator[_Numbered]:
    """Gives frames their positions in the timeline."""
    for count, frame in enumerate(frames):
        if line.trusted and frame.pts is not None:
            place = np.searchsorted(line.times, frame.pts, side="right") - 1
            yield max(0, int(place)), frame
        else:
            yield count, frame


def _key_before(line: Timeline, position: int) -> int:
    """The last keyframe up to a position, or the start."""
    place = np.searchsorted(line.keys, position, side="right") - 1
    return int(line.keys[place]) if place >= 0 else 0


def _run_length(line: Timeline, positions: np.ndarray) -> int:
    """How many of the positions are decoded before a jump saves decoding."""
    places = np.searchsorted(line.keys, positions, side="right") - 1
    gains = np.append(0, line.keys)[places[1:] + 1] - positions[:-1]
    jumps = np.flatnonzero(gains >= _SEEK_GAIN)
    return int(jumps[0]) + 1 if len(jumps) else len(positions)
