"""Whether a video file is cut short, from the sizes that its container declares.

FFmpeg reads a file to where it ends and says nothing, and where the index is lost it
says "invalid data". The outermost layer of three families of containers tells how long
the file should be.
"""

import os
from typing import Any

from vidjax.data.buckets import StrPath, as_path

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_GIF_TRAILER = b"\x3b"


def is_cut_short(path: StrPath) -> bool:
    """Tells whether a file ends before its container does.

    Knows MP4 and QuickTime (ISO 14496-12, boxes), AVI (RIFF), Matroska and WebM (RFC
    8794 and 9559, EBML), and GIF.

    Args:
        path: A file.

    Returns:
        Whether something is missing; False for any other kind of file, and where the
        length was not known to the writer.

    Raises:
        OSError: If the file cannot be read.
    """
    size = as_path(path).stat().st_size
    with as_path(path).open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF":
            length = int.from_bytes(head[4:8], "little")
            return length not in (0, 2**32 - 1) and length + 8 > size
        if head[:4] == _EBML:
            return _matroska_end(file) > size
        if head[:4] == b"GIF8":
            file.seek(max(0, size - 64))
            return not file.read().rstrip(b"\0\r\n").endswith(_GIF_TRAILER)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
            return _boxes_end(file, size) > size
    return False


def _boxes_end(file: Any, size: int) -> int:
    """Where the last box of an MP4 file ends; boxes follow each other."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # The length follows in eight bytes.
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or length < 8:  # Cut in the head; or 0, up to the end.
            return size + (len(head) < 8)
        end += length
    return end


def _matroska_end(file: Any) -> int:
    """Where the segment that holds all of a Matroska file ends; 0 if it is not said."""
    file.seek(len(_EBML))
    length = _read_size(file)
    if length is None:
        return 0
    file.seek(length, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _read_size(file)
    return 0 if length is None else file.tell() + length


def _read_size(file: Any) -> int | None:
    """Reads an EBML size, whose leading zero bits tell how many bytes follow."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(
        bytes([first[0] & (0x7F >> extra)]) + file.read(extra), "big"
    )
    # All ones: unknown.
    return None if value == 2 ** (7 * (extra + 1)) - 1 else value
