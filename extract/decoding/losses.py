"""Where frames are missing in formats whose demuxers resume, or end, silently after damage.

A gap between two frames may also be meant: a recording of a screen has no frame where nothing changes, and of two recordings that
were joined the second may start some seconds later. The frame before such a gap is the one that is shown during it, and
the times stay as they are. In MPEG's streams a gap among evenly spaced frames is

- meant, where the stream's counters go on across it: nothing was taken out (they count to 16, so that one loss in so many is
  not seen);
- a joint, where everything in the file is in its place, and what follows the gap begins afresh, as a recording does;
- a loss everywhere else.

Gaps of Matroska may all be meant, and so may be an end before the stated one, which may be that of the sound: there a loss
shows in bytes that belong to no packet.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from .frame_reader import size_of, source_of
from .packets import PacketFacts

BROADCAST_FORMATS = frozenset({"mpegts", "mpeg"})
"""Formats whose clock has 33 bits, wraps, and leaps where recordings were joined."""

HOLE, EVENLY = 5, 0.95
"""Usual frame intervals beyond which a gap may be a loss, and the share of intervals that are regular where it must be."""

UNREAD_BETWEEN, UNREAD_TAIL = 512, 0.05
"""Bytes between packets, and share of the file after the last, that Matroska's structure and indexes do not explain."""

JOINT = 3
"""Packets on either side of a joint that FFmpeg may call damaged because the transport stream's counters leap there."""


def with_losses(
    payload: Path | bytes, facts: PacketFacts, *, stated: float, is_intact: Callable[[], bool]
) -> PacketFacts:
    """The facts with what is missing in a file.

    Args:
        payload: the file or its bytes.
        facts: of its video, with every mark of damage.
        stated: seconds that the container says it has.
        is_intact: whether everything in it is in its place.
    """
    kinds = facts.container.split(",")
    if len(facts.pts) >= 3 and "matroska" in kinds:
        facts = replace(facts, lost=_lost_of_matroska(payload, facts, stated))
    elif len(facts.pts) >= 3 and not BROADCAST_FORMATS.isdisjoint(kinds):
        facts = _with_gaps(facts, is_intact)
    joints = np.unique(np.concatenate([facts.starts, facts.leaps, _silent_joints(facts, is_intact)]))
    return replace(facts, joints=joints, damaged=_damaged(facts.damaged, joints))


def _silent_joints(facts: PacketFacts, is_intact: Callable[[], bool]) -> NDArray[np.int64]:
    """Where a transport stream's counters leap although its clock goes on: parts of a download that were numbered one by one.

    FFmpeg then calls a frame before the fresh start damaged, although in an intact stream nothing is missing.
    """
    nowhere = np.zeros(0, dtype=np.int64)
    if facts.container != "mpegts" or len(facts.pts) < 3:
        return nowhere
    near = np.zeros(len(facts.damaged), dtype=np.bool_)
    for place in np.flatnonzero(facts.damaged).tolist():
        near[max(0, place - JOINT) : place + JOINT + 1] = True
    found = np.flatnonzero(facts.entries[1:] & near[1:]) + 1
    if not len(found) or not is_intact():
        return nowhere
    _, _, usual = _steps(facts)
    before, after = np.maximum.accumulate(facts.packet_pts)[found - 1], facts.packet_pts[found]
    return found[(after - before) * float(facts.base) <= HOLE * usual]


def _with_gaps(facts: PacketFacts, is_intact: Callable[[], bool]) -> PacketFacts:
    times, steps, usual = _steps(facts)
    holes = np.flatnonzero(steps > HOLE * usual)
    if not len(holes) or np.mean(steps <= 2 * usual) < EVENLY:
        return facts
    lost, leaps = [], []
    for hole in holes.tolist():
        following = int(np.argmax(facts.packet_pts > facts.pts[hole]))
        near = facts.damaged[max(0, following - JOINT) : following + JOINT]
        goes_on = facts.container == "mpegts" and not near.any()
        part = _part_from(facts, following, int(facts.pts[hole]))
        if not (goes_on or part) or not is_intact():
            lost.append(hole)
        elif part:
            leaps.append(part)
    widest = max(lost, key=lambda hole: float(steps[hole]), default=None)
    span = None if widest is None else (float(times[widest]), float(times[widest + 1]))
    return replace(facts, lost=span, leaps=np.array(leaps, dtype=np.int64))


def _part_from(facts: PacketFacts, following: int, before: int) -> int | None:
    """The packet with which a part of the file begins; the last frame of the part before may have a time of this one."""
    for packet in np.flatnonzero(facts.entries[following : following + JOINT]) + following:
        return int(packet) if facts.packet_pts[packet:].min() > before else None
    return None


def _steps(facts: PacketFacts) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Seconds from the first frame to each, from each to the next, and how long that usually is."""
    times = (facts.pts - facts.pts[0]) * float(facts.base)
    steps = np.diff(times)
    return times, steps, float(np.median(steps))


def _damaged(flags: NDArray[np.bool_], joints: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The packets that are damaged, without those that only lie beside a joint."""
    flags = flags.copy()
    for joint in joints.tolist():
        flags[max(0, joint - JOINT) : joint + JOINT] = False
    return flags


def _lost_of_matroska(payload: Path | bytes, facts: PacketFacts, stated: float) -> tuple[float, float] | None:
    times, steps, usual = _steps(facts)
    end, widest = float((facts.end - int(facts.pts[0])) * facts.base), int(np.argmax(steps))
    stated -= float(facts.pts[0] * facts.base)
    is_hole, is_short = bool(steps[widest] > HOLE * usual), stated - end >= 1
    if not is_hole and not is_short:
        return None
    between, tail = _unread_bytes(payload)
    if is_hole and between > UNREAD_BETWEEN:
        return float(times[widest]), float(times[widest + 1])
    return (end, stated) if is_short and tail > UNREAD_TAIL * size_of(payload) else None


def _unread_bytes(payload: Path | bytes) -> tuple[int, int]:
    """Most bytes between two packets of any stream, and bytes after the last packet."""
    spans: dict[int, int] = {}
    with contextlib.suppress(av.FFmpegError), av.open(source_of(payload), metadata_errors="ignore") as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None:
                # Packets that lie in one block ("lacing") all have its position.
                spans[packet.pos] = spans.get(packet.pos, packet.pos) + packet.size
    between, reached = 0, min(spans, default=0)
    for start in sorted(spans):
        between = max(between, start - reached)
        reached = max(reached, spans[start])
    return between, size_of(payload) - reached


START_CODE = b"\x00\x00\x01"
PACK, SYSTEM_END = 0xBA, 0xB9
"""What begins a pack of a program stream, and what ends the stream."""


def is_whole_program_stream(payload: Path | bytes) -> bool:
    """Whether a program stream of MPEG consists of packs and packets from its start to its end."""
    with io.BytesIO(payload) if isinstance(payload, bytes) else payload.open("rb") as file:
        while head := file.read(6):
            if head[:3] != START_CODE or len(head) < 4 or head[3] < SYSTEM_END:
                return False
            if head[3] == PACK:
                is_second = head[4:5] >= b"\x40"  # of MPEG-2: ten bytes, the last of which counts stuffing
                rest = file.read(8 if is_second else 6)
                length = rest[-1] & 7 if is_second and rest else 0
            else:
                length = int.from_bytes(head[4:6], "big") if head[3] != SYSTEM_END else -2
            file.seek(length, io.SEEK_CUR)
    return True
