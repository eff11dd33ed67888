"""Which videos decord may read.

decord gives *wrong frames without an error* in many cases. It is trusted only where all of this holds:

- the container is MP4 or Matroska: in .ts, .mpg, .avi and .wmv its index does not number the frames that come out;
- the file is whole, has no edit list, and neither the size of its picture nor other parameters change;
- decoding can start afresh at every key frame. After a seek to a key frame whose following packets are shown before it
  (open groups of pictures, the default of x265), or to one that only begins a gradual refresh, decord 0.6 and decord2
  3.4 count the frames that are dropped there as if they had come out, and every later frame is off by their number;
- its own frame times are those of the packets, one by one;
- the picture is at most 1080p: at 4K decord takes 1.1 GB.

Everything else goes to PyAV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .packet_facts import PacketFacts
from .sampling import TIME_TOLERANCE

TRUSTED_CONTAINERS = frozenset({"mp4", "matroska"})
"""Parts of FFmpeg's names ``mov,mp4,m4a,3gp,3g2,mj2`` and ``matroska,webm``."""

MOST_PIXELS = 1920 * 1088
"""Largest picture that decord is given."""


def may_try_decord(facts: PacketFacts) -> bool:
    """Whether the packet headers leave nothing that decord is known to get wrong."""
    known = not TRUSTED_CONTAINERS.isdisjoint(facts.container.split(","))
    regular = len(facts.pts) > 0 and bool(facts.shown.all()) and not facts.reconfigured
    return (
        known and regular and facts.complete and _fresh_starts(facts) and facts.size[0] * facts.size[1] <= MOST_PIXELS
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
