"""What the packet headers of a video stream tell, before anything is decoded.

Every array has one entry per packet, in the order of the file, which is the order of decoding (P packets).

From them follows which packets must be decoded for the wanted frames, and which decoder that favours.
All full decoders need about the same time per packet, so that only packets left out save anything. Two kinds can be
left out without changing a bit of the wanted frames: those between a wanted frame and the last fresh start before the
next wanted one (:attr:`PacketFacts.cuts`), and frames to which no other frame refers. PyAV leaves out both. decord seeks
to the same fresh starts but decodes every packet from there on, and some packets past each wanted frame in vain.

CPU seconds at 1 fps, 720p30, one thread, made by ffmpeg from ``testsrc2`` with noise or ``mandelbrot`` (PyAV 18.1,
decord 0.6.0, ffmpeg 5.1 with ``-threads 1 -vf fps=1``):

=================================== ====== ====== ======
clip                                 PyAV  decord ffmpeg
=================================== ====== ====== ======
20 s, x264 veryfast                   1.14   1.55   1.86
20 s, x264 medium                     1.23   1.79   2.04
20 s, mandelbrot                      1.02   1.78   1.94
20 s, a key frame every second        0.19   0.41   1.61
20 s, no B-frames                     1.25   1.35   1.81
10 min, 60 frames wanted              9.0   14.5      55
30 min, no B-frames, 60 wanted        5.6   11.0     160
10 s, no B-frames, one key frame      0.71   0.72   0.74
8 s, VP9                              0.57   0.57   0.60
8 s, VP8                              0.42   0.45   0.49
=================================== ====== ====== ======

Hence decord is chosen where hardly anything can be left out, for instance for VP8, VP9, and recordings without B-frames,
and PyAV elsewhere. (ffmpeg's values for the two long files are those of their parts times their number.)

What codecs say about their own packets tells where decoding can start afresh, and whether frames may be left out.
Containers call more packets key frames than decoding can start from: the first of a gradual refresh (x264's
``intra-refresh``), for instance. The packet itself tells.

decord gives *wrong frames without an error* in many cases. It is trusted only where all of this holds:

- the container is MP4 or Matroska: in .ts, .mpg, .avi and .wmv its index does not number the frames that come out;
- the file is whole, has no edit list and one clock, and neither the size of its picture nor other parameters change;
- it has one video stream, with square and opaque pixels of standard dynamic range, and is no mirror image;
- decoding can start afresh at every key frame. After a seek to a key frame whose following packets are shown before it
  (open groups of pictures, the default of x265), or to one that only begins a gradual refresh, decord 0.6 and decord2
  3.4 count the frames that are dropped there as if they had come out, and every later frame is off by their number;
- its own frame times are those of the packets, one by one;
- the picture is at most 1080p: at 4K decord takes 1.1 GB.

Everything else goes to PyAV.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .sampling import TIME_TOLERANCE


@dataclass(frozen=True, kw_only=True)
class PacketFacts:
    """Headers of one video stream.

    Attributes:
        container: FFmpeg's name of the container format, for instance ``mov,mp4,m4a,3gp,3g2,mj2``.
        codec: FFmpeg's name of the codec, for instance ``h264``.
        stream: number of the stream in the file.
        size: coded (width, height) in pixels, before any rotation.
        packet_pts: (P,) presentation times in units of ``base`` (AVI: decoding times), going on where the clock of the file
            starts anew (``clock.py``); empty where any packet has none.
        stamps: (P,) the same as the file has them.
        starts: packets at which the clock starts anew.
        shown: (P,) whether the packet's frame is to be shown; an edit list hides some.
        keys: (P,) whether the container calls the packet a key frame.
        entries: (P,) whether the codec's own header agrees that decoding may start here.
        damaged: (P,) whether the demuxer could read the packet only in part.
        end: end of the last shown packet, in units of ``base``.
        base: seconds per unit.
        rate: frames per second as the container states them.
        promised: frames that the container's index lists, 0 where it has none.
        cut_off: the file ends before its container says that it does.
        lost: where frames are missing although the file goes on, seconds from and to.
        leaps: packets at which a part begins some seconds later by the clock, with nothing missing (``losses.py``).
        joints: packets at which a part begins, these among them.
        left_out: what is said of parts that cannot be read, or ``""``.
        reconfigured: the stream changes its parameters, for instance the size of the picture, on its way.
        skips_safely: frames to which the codec says no other refers may be left undecoded.
        alone: it is the only video stream of the file.
        plain: its pixels are square and opaque and of standard dynamic range, by its headers.
        one_video: where the video goes on under other identifiers or in other codecs, the codec whose packets are read as
            one stream (``transport_stream.py``); ``None``: the file is read as it is.
    """

    container: str
    codec: str
    stream: int
    size: tuple[int, int]
    packet_pts: NDArray[np.int64]
    stamps: NDArray[np.int64]
    starts: NDArray[np.int64]
    shown: NDArray[np.bool_]
    keys: NDArray[np.bool_]
    entries: NDArray[np.bool_]
    damaged: NDArray[np.bool_]
    end: int
    base: Fraction
    rate: Fraction
    promised: int
    cut_off: bool
    lost: tuple[float, float] | None
    leaps: NDArray[np.int64]
    joints: NDArray[np.int64]
    left_out: str
    reconfigured: bool
    skips_safely: bool
    alone: bool
    plain: bool
    one_video: str | None

    @cached_property
    def pts(self) -> NDArray[np.int64]:
        """(F,) presentation times of all shown frames, strictly increasing; empty without time stamps."""
        return np.unique(self.packet_pts[self.shown[: len(self.packet_pts)]])

    @property
    def found(self) -> int:
        """Packets that are wholly there."""
        return int(np.count_nonzero(~self.damaged))

    @property
    def complete(self) -> bool:
        """Whether the file holds all that its container says it does."""
        whole = not self.cut_off and self.lost is None and not self.left_out
        return whole and self.found >= self.promised

    @cached_property
    def cuts(self) -> NDArray[np.bool_]:
        """(P,) packets at which decoding can start afresh: no frame from here on needs an earlier packet.

        An entry after which frames are stored that are shown before it (an open group of pictures) is none: they refer
        back past it.
        """
        pts = self.packet_pts
        if not len(pts):
            return np.zeros(0, dtype=np.bool_)
        before = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(pts)[:-1]])
        after = np.minimum.accumulate(pts[::-1])[::-1]
        return self.entries & (before < pts) & (after >= pts)


NEARLY_ALL = 0.8
"""Share of the packets from which on decord needs no more time than PyAV."""


@dataclass(frozen=True, kw_only=True)
class DecodePlan:
    """What to do with every packet of a stream.

    Attributes:
        fed: (P,) packets that go to the decoder.
        wanted: (P,) packets whose frames are wanted; of the others those without dependants may be skipped.
        pts: presentation times of the wanted frames.
    """

    fed: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    pts: frozenset[int]


def plan_decoding(facts: PacketFacts, pts: NDArray[np.int64]) -> DecodePlan:
    """The fewest packets that give the frames shown at ``pts``: from the last fresh start before each up to itself."""
    wanted = np.isin(facts.packet_pts, pts) & facts.shown
    index = np.arange(len(wanted))
    # The group that each packet belongs to begins at its last cut, or at the start of the file.
    group = np.maximum.accumulate(np.where(facts.cuts, index, 0))
    last = np.full(len(wanted), -1)
    np.maximum.at(last, group[wanted], index[wanted])
    return DecodePlan(fed=index <= last[group], wanted=wanted, pts=frozenset(pts.tolist()))


def mostly_needed(facts: PacketFacts, chosen: NDArray[np.int64]) -> bool:
    """Whether the frames at positions ``chosen`` of ``facts.pts`` need nearly all packets of the file decoded."""
    plan = plan_decoding(facts, facts.pts[chosen])
    needed = plan.fed & (plan.wanted | ~_inner(facts)) if facts.skips_safely else plan.fed
    return int(np.count_nonzero(needed)) >= NEARLY_ALL * len(plan.fed)


def _inner(facts: PacketFacts) -> NDArray[np.bool_]:
    """(P,) innermost B-frames, to which hardly any encoder lets other frames refer; only an estimate of costs.

    Such a frame is shown before one that is stored earlier, and before the one that is stored next.
    """
    pts = facts.packet_pts
    inner: NDArray[np.bool_] = (pts < np.maximum.accumulate(pts)) & np.append(pts[:-1] < pts[1:], False)
    return inner


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


TRUSTED_CONTAINERS = frozenset({"mp4", "matroska"})
"""Parts of FFmpeg's names ``mov,mp4,m4a,3gp,3g2,mj2`` and ``matroska,webm``."""


MOST_PIXELS = 1920 * 1088
"""Largest picture that decord is given."""


def may_try_decord(facts: PacketFacts) -> bool:
    """Whether the packet headers leave nothing that decord is known to get wrong."""
    known = not TRUSTED_CONTAINERS.isdisjoint(facts.container.split(","))
    regular = len(facts.pts) > 0 and bool(facts.shown.all()) and not facts.reconfigured
    single = facts.alone and facts.plain and not len(facts.starts)
    return (
        known
        and regular
        and single
        and facts.complete
        and _fresh_starts(facts)
        and facts.size[0] * facts.size[1] <= MOST_PIXELS
    )


def _fresh_starts(facts: PacketFacts) -> bool:
    """Whether decoding can start afresh wherever the container says so, the first packet included."""
    return bool(facts.cuts[0]) and bool(np.array_equal(facts.cuts, facts.keys))


def same_times(expected: NDArray[np.float64], found: NDArray[np.float64]) -> bool:
    """Whether two lists of frame times agree, frame by frame, and strictly increase."""
    return (
        len(expected) == len(found)
        and bool(np.all(np.diff(found) > 0))
        and float(np.max(np.abs(expected - found))) <= TIME_TOLERANCE
    )
