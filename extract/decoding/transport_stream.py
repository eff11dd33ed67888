"""The video of an MPEG transport stream whose parts call it by other numbers, as one stream.

Downloads with an advertisement in between, and joined recordings of two makers, announce their streams anew on the way: the video
that had packet identifier 256 has 768 from there on. FFmpeg takes it for another stream, which ends or begins in the midst of
the file. Here the tables of the stream itself (PAT and PMT, ISO/IEC 13818-1) say which packets are video at each place; they
get the identifier that the video had first, and all others are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SYNC, SIZE = 0x47, 188
"""The first byte of a packet, and how long it is."""

STRIDES = {188: 0, 192: 4, 204: 0}
"""Distances between packets in files (plain, Blu-ray and cameras, with error correction), and where in one a packet begins."""

VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0x42, 0xD1, 0xEA})
"""Stream types that are video, in the PMT."""

BLOCK = 4096
"""Packets that are looked at at a time."""

Video = tuple[int, int]
"""Packet identifier and stream type."""


class OneVideo(io.RawIOBase):
    """A file to read from the start, once, of the video packets alone."""

    def __init__(self, payload: Path | bytes):
        self._file = io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb")
        self._tables = _Tables()
        self._blocks = self._filtered()
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, none at the end."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._rest = block
        size = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()

    def _filtered(self) -> Iterator[bytes]:
        stride = _stride(self._file.read(3 * max(STRIDES)))
        if stride is None:
            return
        self._file.seek(0)
        while data := self._file.read(BLOCK * stride):
            whole = len(data) // stride * stride
            rows = np.frombuffer(data[:whole], dtype=np.uint8).reshape(-1, stride)
            yield self._tables.video_of(rows[:, STRIDES[stride] : STRIDES[stride] + SIZE].copy())


def is_one_program(payload: Path | bytes) -> bool:
    """Whether each place of the file has one program with one video, of one codec throughout: such parts can be one stream."""
    with OneVideo(payload) as video:
        while video.read(1 << 20):
            pass
        return video._tables.is_simple


def _stride(head: bytes) -> int | None:
    for stride, offset in STRIDES.items():
        if all(head[place : place + 1] == bytes([SYNC]) for place in (offset, offset + stride, offset + 2 * stride)):
            return stride
    return None


class _Tables:
    """What the tables that were last seen say.

    Attributes:
        is_simple: there was never more than one program or video at a time, and never another codec than at first.
    """

    def __init__(self) -> None:
        self.is_simple = True
        self._announcers: set[int] = set()
        self._first: Video | None = None
        self._now: Video | None = None
        self._begun = False

    def video_of(self, packets: NDArray[np.uint8]) -> bytes:
        """The packets (n, 188) that are tables of the first part or video, under the video's first identifier."""
        numbers = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        kept = np.zeros(len(packets), dtype=np.bool_)
        begin = 0
        for place in np.flatnonzero(_may_begin_table(packets)).tolist():
            self._keep(packets, numbers, kept, begin, place)
            begin = place
            number = int(numbers[place])
            if number == 0 or number in self._announcers:
                kept[place] = self._read(packets[place].tobytes(), is_list=number == 0)
        self._keep(packets, numbers, kept, begin, len(packets))
        return packets[kept].tobytes()

    def _keep(
        self,
        packets: NDArray[np.uint8],
        numbers: NDArray[np.int64],
        kept: NDArray[np.bool_],
        begin: int,
        end: int,
    ) -> None:
        """Keeps the video among the packets from ``begin`` to ``end``, and gives it its first identifier."""
        if self._now is None or self._first is None:
            return
        mine = np.flatnonzero(numbers[begin:end] == self._now[0]) + begin
        kept[mine] = True
        packets[mine, 1] = packets[mine, 1] & 0xE0 | self._first[0] >> 8
        packets[mine, 2] = self._first[0] & 0xFF

    def _read(self, packet: bytes, *, is_list: bool) -> bool:
        """Learns from a table; whether it is to be kept, as those of the first part are."""
        section = _section(packet)
        if is_list and section[:1] == b"\x00":
            programs = _programs(section)
            self.is_simple &= len(programs) <= 1
            self._announcers = set(programs)
        elif not is_list and section[:1] == b"\x02":
            videos = _videos(section)
            self.is_simple &= len(videos) <= 1
            self._now = videos[0] if videos else None
            self._first = self._first or self._now
            self.is_simple &= self._now is None or self._first is None or self._now[1] == self._first[1]
            self._begun |= self._now is not None and self._now != self._first
        return not self._begun and self._now in (None, self._first)


def _may_begin_table(packets: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) which packets begin something that is no picture or sound, whose first bytes are 0, 0, 1."""
    begins = packets[:, 1] & 0x40 > 0
    start = np.minimum(np.where(packets[:, 3] & 0x20, packets[:, 4].astype(np.int64) + 5, 4), SIZE - 3)
    rows = np.arange(len(packets))
    media = (packets[rows, start] == 0) & (packets[rows, start + 1] == 0) & (packets[rows, start + 2] == 1)
    found: NDArray[np.bool_] = begins & ~media
    return found


def _section(packet: bytes) -> bytes:
    """The table that begins in a packet."""
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if start >= SIZE:
        return b""
    section = packet[start + 1 + packet[start] :]
    return section[: 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)]


def _programs(section: bytes) -> list[int]:
    """Where the programs of a PAT are announced, each by the identifier of its PMT."""
    entries = (section[place : place + 4] for place in range(8, len(section) - 7, 4))
    return [int.from_bytes(entry[2:], "big") & 0x1FFF for entry in entries if entry[:2] != b"\x00\x00"]


def _videos(section: bytes) -> list[Video]:
    """The videos of a PMT."""
    found = []
    place = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while place + 5 <= len(section) - 4:
        kind, number = section[place], int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF
        if kind in VIDEO_TYPES:
            found.append((number, kind))
        place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0xFFF)
    return found
