"""Protocol buffers by hand: where the frames of a SequenceExample lie.

Parsing a record of 300 frames copies all of them; a clip needs 16. Only what DMVR's
layout has is understood; https://protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterator
from typing import Any

_LENGTH_DELIMITED = 2
_FRAMES = b"image/encoded"

Span = tuple[int, int]
"""First byte, and the one after the last."""


def span_frames(record: bytes) -> list[Span]:
    """Returns where each JPEG of a record lies.

    Args:
        record: Bytes of a `tf.train.SequenceExample`.

    Returns:
        Spans in the record, one a frame; none if it has no list "image/encoded".

    Raises:
        ValueError: If the bytes are no such message.
    """
    for lists in _fields(record, (0, len(record)), 2):
        for entry in _fields(record, lists, 1):
            key = next(_fields(record, entry, 1), (0, 0))
            if record[slice(*key)] == _FRAMES:
                (value,) = _fields(record, entry, 2)
                return [
                    _frame(record, feature) for feature in _fields(record, value, 1)
                ]
    return []


def parse_context(record: bytes) -> dict[str, list[Any]]:
    """Returns the context of a record.

    Args:
        record: Bytes of a `tf.train.SequenceExample`.

    Returns:
        Lists of bytes, floats or integers by name.

    Raises:
        ValueError: If the bytes are no such message.
    """
    found: dict[str, list[Any]] = {}
    for context in _fields(record, (0, len(record)), 1):
        for entry in _fields(record, context, 1):
            key = next(_fields(record, entry, 1), (0, 0))
            value = next(_fields(record, entry, 2), (0, 0))
            found[record[slice(*key)].decode()] = _values(record, value)
    return found


def parse_example(
    record: bytes, *, frames: str
) -> tuple[dict[str, list[Any]], list[Span]]:
    """Returns the features of an example, but of its frames only where they lie.

    Args:
        record: Bytes of a `tf.train.Example`.
        frames: Name of the feature that has a list of images.

    Returns:
        Lists of bytes, floats or integers by name, and spans in the record, one a
        frame; none if it has no such feature.

    Raises:
        ValueError: If the bytes are no such message.
    """
    found: dict[str, list[Any]] = {}
    spans: list[Span] = []
    for features in _fields(record, (0, len(record)), 1):
        for entry in _fields(record, features, 1):
            key = record[slice(*next(_fields(record, entry, 1), (0, 0)))].decode()
            value = next(_fields(record, entry, 2), (0, 0))
            if key != frames:
                found[key] = _values(record, value)
                continue
            for images in _fields(record, value, 1):
                spans = list(_fields(record, images, 1))
    return found, spans


def _frame(record: bytes, feature: Span) -> Span:
    """The only string in the list of bytes of a feature."""
    for values in _fields(record, feature, 1):
        for span in _fields(record, values, 1):
            return span
    raise ValueError("A frame has no bytes.")


def _values(record: bytes, feature: Span) -> list[Any]:
    for values in _fields(record, feature, 1):
        return [record[slice(*span)] for span in _fields(record, values, 1)]
    for values in _fields(record, feature, 2):
        packed = b"".join(record[slice(*s)] for s in _fields(record, values, 1))
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    for values in _fields(record, feature, 3):
        return [
            number
            for low, high in _fields(record, values, 1)
            for number in _integers(record, low, high)
        ]
    return []


def _integers(record: bytes, position: int, end: int) -> Iterator[int]:
    while position < end:
        value, position = _varint(record, position)
        yield value - (1 << 64) if value >= 1 << 63 else value


def _fields(record: bytes, span: Span, wanted: int) -> Iterator[Span]:
    """Yields the length-delimited fields of a message that have a number."""
    position, end = span
    while position < end:
        tag, position = _varint(record, position)
        kind = tag & 7
        if kind != _LENGTH_DELIMITED:
            position = _skip(record, position, kind)
            continue
        length, position = _varint(record, position)
        if position + length > end:
            raise ValueError("A field is longer than its message.")
        if tag >> 3 == wanted:
            yield position, position + length
        position += length
    if position != end:
        raise ValueError("A message does not end where it should.")


def _skip(record: bytes, position: int, kind: int) -> int:
    if kind == 0:
        return _varint(record, position)[1]
    if kind == 1:
        return position + 8
    if kind == 5:
        return position + 4
    raise ValueError(f"A field has the kind {kind}, which is unknown.")


def _varint(record: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(record) or shift > 63:
            raise ValueError("A number does not end.")
        byte = record[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
