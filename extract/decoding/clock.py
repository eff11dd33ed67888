"""One timeline for a stream whose clock may start anew on its way.

Such are recordings joined to one file, an advertisement between two parts of a download, and a clock that was set back. Frames cannot be told by their stamps then: two of them have the same. The packets' order in the file is the order of
the frames, so that each part of the file with a clock of its own is put behind the part before it.

The clock is that of decoding, which never goes back within a recording; that of presentation does, with every B-frame.

Legend: P packets, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

BACK = 0.1
"""Seconds by which the clock must step back to be another one (FFmpeg's own limit); at a key frame any step is enough."""

FORWARD, INTERVALS = 10.0, 5.0
"""Seconds of FFmpeg's ``dts_delta_threshold``, and usual intervals: a wider step forward is another clock, in formats that
are recorded from broadcasts. In all others a long pause is meant."""

WRAP = 1 << 33
"""Where the clock of MPEG's streams begins again at 0 in the midst of a recording, as every 26.5 hours."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Times that go on over all parts.

    Attributes:
        pts: (P,) presentation times.
        starts: (R,) packets at which the clock starts anew, R = 0 in nearly all files.
    """

    pts: NDArray[np.int64]
    starts: NDArray[np.int64]


def continuous(
    pts: NDArray[np.int64],
    dts: Sequence[int | None],
    keys: NDArray[np.bool_],
    *,
    base: Fraction,
    broadcast: bool,
) -> Timeline:
    """The timeline of (P,) stamps in units of ``base`` seconds.

    Args:
        pts: presentation times as the file has them.
        dts: decoding times, ``None`` where the file has none.
        keys: whether a packet is a key frame.
        base: seconds per unit.
        broadcast: whether the format is one of MPEG's streams, whose clock wraps and may leap.
    """
    nowhere = np.zeros(0, dtype=np.int64)
    if len(pts) < 2:
        return Timeline(pts=pts, starts=nowhere)
    steps = np.diff(_filled(dts, pts))
    unwrapped = (steps + WRAP // 2) % WRAP - WRAP // 2 if broadcast else steps
    pts = pts.copy()
    pts[1:] += np.cumsum(unwrapped - steps)
    starts = _starts(unwrapped, keys, float(base), broadcast)
    return Timeline(pts=_joined(pts, starts, _usual(unwrapped)), starts=starts)


def _filled(dts: Sequence[int | None], pts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Decoding times without gaps: the clock stands still where it is not told."""
    known = np.array([time is not None for time in dts])
    if not known.any():
        return np.maximum.accumulate(pts)
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), int(np.argmax(known))))
    return np.array([time or 0 for time in dts], dtype=np.int64)[last]


def _starts(steps: NDArray[np.int64], keys: NDArray[np.bool_], base: float, broadcast: bool) -> NDArray[np.int64]:
    seconds = steps * base
    anew = (seconds < -BACK) | ((seconds < 0) & keys[1:])
    if broadcast:
        anew |= seconds > max(FORWARD, INTERVALS * _usual(steps) * base)
    return np.flatnonzero(anew) + 1


def _usual(steps: NDArray[np.int64]) -> int:
    """The usual step from packet to packet."""
    onward = steps[steps > 0]
    return int(np.median(onward)) if len(onward) else 1


def _joined(pts: NDArray[np.int64], starts: NDArray[np.int64], usual: int) -> NDArray[np.int64]:
    """Each part begins one usual step after the last frame of the part before it."""
    parts = np.split(pts, starts)
    joined = parts[:1]
    for part in parts[1:]:
        joined.append(part - part.min() + joined[-1].max() + usual)
    return np.concatenate(joined)
