"""The video of an MPEG transport stream whose parts call it by other numbers, as one stream; and what of it cannot be read.

Downloads with an advertisement in between, and joined recordings of two makers, announce their streams anew on the way: the video
that had packet identifier 256 has 768 from there on, perhaps in another codec. FFmpeg takes it for another stream, which ends
or begins in the midst of the file, or goes on with the wrong decoder. Here the tables of the stream itself (PAT and PMT,
ISO/IEC 13818-1) say which packets are video at each place; those of one codec get the identifier that its video had first,
and all others are left out. The same tables and the packets' headers tell which packets nobody can read without a key.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SYNC, SIZE = 0x47, 188
"""The first byte of a packet, and how long it is."""

WRONG, ENCRYPTED, BEGINS = 0x80, 0xC0, 0x40
"""Bits of a packet's second and fourth byte: received wrongly, scrambled, and (of the second) a frame or table begins."""

STRIDES = {188: 0, 192: 4, 204: 0}
"""Distances between packets in files (plain, Blu-ray and cameras, with error correction), and where in one a packet begins."""

VIDEO_TYPES = {
    0x01: "MPEG-2",
    0x02: "MPEG-2",
    0x10: "MPEG-4",
    0x1B: "H.264",
    0x24: "HEVC",
    0x33: "VVC",
    0x42: "AVS",
    0xD1: "Dirac",
    0xDB: "H.264",
    0xEA: "VC-1",
}
"""Stream types that are video, in the PMT, and the codecs whose decoders read them."""

SAMPLE_AES = 0xDB
"""The type of video that HLS encrypts within the packets."""

HAS_FLAGS, HAS_PAYLOAD, AFRESH = 0x20, 0x10, 0x40
"""Bits of a packet's fourth byte, and of its flags: decoding may begin here (ISO/IEC 13818-1, random access)."""

BLOCK = 4096
"""Packets that are looked at at a time."""

Video = tuple[int, int]
"""Packet identifier and stream type."""


@dataclass(frozen=True, kw_only=True)
class TransportSurvey:
    """What the tables and the headers of all packets tell.

    Attributes:
        frames: how many frames of video there are about, by codec.
        scrambled: share of the video's packets that are encrypted.
        is_one_program: each place of the file has one program with one video.
        is_steady: the video is announced in the same way at every place.
        is_intact: every packet is where it should be, none is marked as received wrongly, and the counters of the video leap
            nowhere but where it begins afresh, as they do where parts were joined.
    """

    frames: Counter[str]
    scrambled: float
    is_one_program: bool
    is_steady: bool
    is_intact: bool

    @property
    def codec(self) -> str:
        """The codec of most frames."""
        return max(self.frames, key=lambda name: self.frames[name], default="")

    @property
    def other_codecs(self) -> str:
        """What is said of frames in other codecs, where the video is one that changes its codec on the way, or ``""``."""
        others = [name for name in self.frames if name != self.codec]
        if not self.is_one_program or not others:
            return ""
        share = 1 - self.frames[self.codec] / self.frames.total()
        return f"{percent(share)} of its video is in another codec ({', '.join(others)}, the rest {self.codec}) and left out"


def survey_transport_stream(payload: Path | bytes) -> TransportSurvey | None:
    """Reads the whole file; ``None`` where it does not begin as a transport stream."""
    with OneVideo(payload) as video:
        if not video.is_transport_stream:
            return None
        while video.read(1 << 20):
            pass
        return video.survey()


def percent(share: float) -> str:
    """A share that is neither nothing nor all, for people."""
    return f"{min(99, max(1, round(100 * share)))}%"


class OneVideo(io.RawIOBase):
    """A file to read from the start, once, of the video packets alone.

    Args:
        payload: the file or its bytes.
        codec: whose video it is; ``None``: whatever there is.
    """

    def __init__(self, payload: Path | bytes, codec: str | None = None):
        self._file = io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb")
        self._stride = _stride(self._file.read(3 * max(STRIDES)))
        self._tables = _Tables(codec)
        self._blocks = self._filtered()
        self._rest = b""
        self._is_intact = True

    @property
    def is_transport_stream(self) -> bool:
        """Whether the file begins as a transport stream."""
        return self._stride is not None

    def survey(self) -> TransportSurvey:
        """What has been read so far."""
        tables = self._tables
        return TransportSurvey(
            frames=tables.frames,
            scrambled=tables.scrambled / max(1, tables.packets),
            is_one_program=tables.is_one_program,
            is_steady=tables.is_steady,
            is_intact=self._is_intact and not tables.leaps,
        )

    def readable(self) -> bool:
        """Always true: :class:`io.RawIOBase` asks whether it may be read from."""
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
        stride = self._stride
        if stride is None:
            return
        self._file.seek(0)
        while data := self._file.read(BLOCK * stride):
            whole = len(data) // stride * stride
            rows = np.frombuffer(data[:whole], dtype=np.uint8).reshape(-1, stride)
            packets = rows[:, STRIDES[stride] : STRIDES[stride] + SIZE]
            self._is_intact &= bool(np.all(packets[:, 0] == SYNC) and not np.any(packets[:, 1] & WRONG))
            yield self._tables.video_of(packets.copy())


def _stride(head: bytes) -> int | None:
    for stride, offset in STRIDES.items():
        if all(head[place : place + 1] == bytes([SYNC]) for place in (offset, offset + stride, offset + 2 * stride)):
            return stride
    return None


class _Tables:
    """What the tables that were last seen say.

    Attributes:
        is_one_program: there was never more than one program or video at a time.
        is_steady: the tables never said anything else of the video.
        frames: by codec, where packets begin one.
        packets: numbers of video packets.
        scrambled: how many of them are encrypted.
        leaps: places at which their counters leap in the midst of something.
    """

    def __init__(self, codec: str | None) -> None:
        self.is_one_program = self.is_steady = True
        self.frames: Counter[str] = Counter()
        self.packets = self.scrambled = self.leaps = 0
        self._counter: int | None = None
        self._codec = codec
        self._announcers: set[int] = set()
        self._first: Video | None = None
        self._now: Video | None = None
        self._begun = False
        self._last: dict[bool, tuple[tuple[int, int, bytes], bool]] = {}

    def video_of(self, packets: NDArray[np.uint8]) -> bytes:
        """The packets (n, 188) that are tables of the first part or video, under the video's first identifier."""
        numbers = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        kept = np.zeros(len(packets), dtype=np.bool_)
        begin = 0
        for place in _tables_in(packets).tolist():
            number = int(numbers[place])
            if number != 0 and number not in self._announcers:
                continue
            packet = packets[place].tobytes()
            is_list, payload = number == 0, (number, packet[3] & HAS_FLAGS, packet[4:])
            if is_list not in self._last or self._last[is_list][0] != payload:  # most tables repeat the one before
                self._keep(packets, numbers, kept, begin, place)
                begin = place
                self._last[is_list] = payload, self._read(packet, is_list=is_list)
            kept[place] = self._last[is_list][1]
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
        locked = packets[mine, 3] & ENCRYPTED > 0 if self._now[1] != SAMPLE_AES else np.ones(len(mine), np.bool_)
        self._follow_counters(packets[mine, :6])
        self.packets += len(mine)
        self.scrambled += int(np.count_nonzero(locked))
        self.frames[VIDEO_TYPES[self._now[1]]] += int(np.count_nonzero(packets[mine, 1] & BEGINS))
        mine = mine[~locked]
        kept[mine] = True
        packets[mine, 1] = packets[mine, 1] & 0xE0 | self._first[0] >> 8
        packets[mine, 2] = self._first[0] & 0xFF

    def _follow_counters(self, heads: NDArray[np.uint8]) -> None:
        """Of packets with something in them; one may come twice."""
        heads = heads[heads[:, 3] & HAS_PAYLOAD > 0]
        if not len(heads):
            return
        counters = heads[:, 3].astype(np.int64) & 15
        steps = np.diff(counters, prepend=counters[0] - 1 if self._counter is None else self._counter) & 15
        begins = (
            (heads[:, 1] & BEGINS > 0) & (heads[:, 3] & HAS_FLAGS > 0) & (heads[:, 4] > 0) & (heads[:, 5] & AFRESH > 0)
        )
        self.leaps += int(np.count_nonzero((steps > 1) & ~begins))
        self._counter = int(counters[-1])

    def _read(self, packet: bytes, *, is_list: bool) -> bool:
        """Learns from a table; whether it is to be kept, as those of the first part are."""
        section = _section(packet)
        if is_list and section[:1] == b"\x00":
            programs = _programs(section)
            self.is_one_program &= len(programs) <= 1
            self._announcers = set(programs)
        elif not is_list and section[:1] == b"\x02":
            videos = _videos(section)
            self.is_one_program &= len(videos) <= 1
            announced = videos[0] if videos else None
            is_other = announced is not None and self._codec not in (None, VIDEO_TYPES[announced[1]])
            self._counter = self._counter if self._now == announced else None
            self._now = None if is_other else announced
            self._first = self._first or self._now
            self.is_steady &= self._now == self._first
            self._begun |= self._now is not None and self._now != self._first
            return not self._begun and not is_other
        return not self._begun


def _tables_in(packets: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which packets begin something that is no picture or sound, whose first bytes are 0, 0, 1."""
    rows = np.flatnonzero(packets[:, 1] & BEGINS)
    heads = packets[rows, :5]
    start = np.minimum(np.where(heads[:, 3] & HAS_FLAGS, heads[:, 4].astype(np.int64) + 5, 4), SIZE - 3)
    media = (packets[rows, start] == 0) & (packets[rows, start + 1] == 0) & (packets[rows, start + 2] == 1)
    found: NDArray[np.int64] = rows[~media]
    return found


def _section(packet: bytes) -> bytes:
    """The table that begins in a packet."""
    start = 4 + (1 + packet[4] if packet[3] & HAS_FLAGS else 0)
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


VIDEO_PACKET = re.compile(rb"\x00\x00\x01[\xe0-\xef]..([\x80-\xbf])", re.DOTALL)
"""A packet of video in a program stream of MPEG-2, and the byte that says whether it is scrambled."""

SCRAMBLED = 0x30

SCANNED = 1 << 24
"""Bytes at a time."""


def scrambled_share(payload: Path | bytes) -> float:
    """Which share of the video packets of a program stream, such as a DVD's, is scrambled."""
    packets = scrambled = 0
    with io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb") as file:
        kept = b""
        while data := file.read(SCANNED):
            flags = VIDEO_PACKET.findall(kept + data)
            packets += len(flags)
            scrambled += sum(flag[0] & SCRAMBLED > 0 for flag in flags)
            kept = data[-6:]
    return scrambled / max(1, packets)
