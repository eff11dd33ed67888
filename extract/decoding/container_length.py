"""Whether a file ends before its container says that it does.

MP4 lists its frames, so that missing ones show in its index; of the other containers Matroska (and WebM), AVI and
fragmented MP4 state how many bytes belong to them. MPEG streams, FLV, GIF and raw streams state nothing: of these a
truncated file cannot be told from a shorter one.
"""

from __future__ import annotations

import io
from pathlib import Path

from .frame_reader import size_of

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"

MOST_BOXES = 1_000_000
"""Boxes of a fragmented MP4 that are looked at."""


def ends_early(payload: Path | bytes) -> bool:
    """Whether the outermost structure of the file reaches past its end."""
    with io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb") as file:
        head = file.read(64)
        size = size_of(payload)
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[:4] == EBML:
            return _matroska_end(head + file.read(4096)) > size
        if head[4:8] in (b"ftyp", b"styp", b"moov", b"moof"):
            return _boxes_end(file, size) > size
    return False


def _matroska_end(head: bytes) -> int:
    """Where the Segment ends, 0 where its size is unknown, as in live recordings."""
    start = head.find(SEGMENT)
    if start < 0 or start + 5 > len(head):
        return 0
    length = 9 - head[start + 4].bit_length()
    value = int.from_bytes(head[start + 4 : start + 4 + length], "big")
    unknown = (1 << 7 * length) - 1
    value &= unknown
    return 0 if value == unknown else start + 4 + length + value


def _boxes_end(file: io.BufferedIOBase | io.BytesIO, size: int) -> int:
    """Where the last of the outermost boxes of an MP4 ends."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            break
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: the box reaches to the end of the file
            break
        position += length
        if position >= size:
            break
    return position
