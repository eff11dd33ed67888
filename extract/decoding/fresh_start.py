"""What codecs say about their own packets: where decoding can start afresh, and whether frames may be left out.

Containers call more packets key frames than decoding can start from: the first of a gradual refresh (x264's
``intra-refresh``), for instance. The packet itself tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

EntryTest = Callable[[memoryview], bool]
"""Whether decoding can start at a packet that the container calls a key frame."""

ALWAYS_FRESH = frozenset(
    {"vp8", "vp9", "av1", "libdav1d", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg", "prores", "dnxhd", "rawvideo"}
)
"""Codecs whose key frames need nothing before them, apart from frames shown before the key frame itself."""

SKIPPABLE = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})
"""Codecs whose decoder knows frames to which no other refers. HEVC is decided by its header (:func:`skips_safely`)."""

H264_START = frozenset({5})
"""NAL unit type of an IDR slice."""

HEVC_START = frozenset(range(16, 22))
"""NAL unit types of BLA, IDR and CRA slices."""

MOST_UNITS = 64
"""NAL units of a packet that are looked at; the first slice comes after a handful of headers."""


def entry_test(codec: str, extradata: bytes) -> EntryTest:
    """The test for a codec, with the header that its container keeps."""
    if codec == "h264":
        length = (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
        return lambda packet: any(unit[0] & 31 in H264_START for unit in _units(packet, length))
    if codec == "hevc":
        length = (extradata[21] & 3) + 1 if _is_hvcc(extradata) else 0
        return lambda packet: any(unit[0] >> 1 & 63 in HEVC_START for unit in _units(packet, length))
    fresh = codec in ALWAYS_FRESH
    return lambda _packet: fresh


def skips_safely(codec: str, extradata: bytes) -> bool:
    """Whether the decoder's choice of frames without dependants can be relied on.

    In HEVC with several temporal layers such a frame may still serve a higher layer.
    """
    if codec == "hevc":
        return _is_hvcc(extradata) and extradata[21] >> 3 & 7 <= 1
    return codec in SKIPPABLE


def _is_hvcc(extradata: bytes) -> bool:
    return len(extradata) > 22 and extradata[0] == 1


def _units(packet: memoryview, length: int) -> Iterator[memoryview]:
    """The NAL units of a packet: each after its length in ``length`` bytes, or after start codes where that is 0."""
    position = 0
    for _ in range(MOST_UNITS):
        if length:
            start = position + length
            following = start + int.from_bytes(packet[position:start], "big")
        else:
            start = _after_start_code(packet, position)
            following = start
        if start >= len(packet) or start < 0:
            return
        yield packet[start : start + 2]
        position = following


def _after_start_code(packet: memoryview, position: int) -> int:
    found = bytes(packet[position:]).find(b"\x00\x00\x01")
    return -1 if found < 0 else position + found + 3
