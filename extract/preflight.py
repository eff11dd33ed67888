"""Which videos decord may read.

decord gives *wrong frames without an error* for edit lists, changes of resolution and most containers other than MP4
and Matroska, and truncated files trip it. It is trusted only where the container is one of those two, where nothing of the kind shows in the packet
headers, and where its own frame times are those of the packets, one by one. Everything else goes to PyAV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .pyav_reader import PacketFacts
from .sampling import TIME_TOLERANCE

TRUSTED_CONTAINERS = frozenset({"mp4", "matroska"})
"""Parts of FFmpeg's names ``mov,mp4,m4a,3gp,3g2,mj2`` and ``matroska,webm``."""


def may_try_decord(facts: PacketFacts) -> bool:
    """Whether the packet headers leave nothing that decord is known to get wrong."""
    known = not TRUSTED_CONTAINERS.isdisjoint(facts.container.split(","))
    return known and len(facts.pts) > 0 and facts.complete and not facts.hidden and not facts.reconfigured


def same_times(expected: NDArray[np.float64], found: NDArray[np.float64]) -> bool:
    """Whether two lists of frame times agree, frame by frame, and strictly increase."""
    return (
        len(expected) == len(found)
        and bool(np.all(np.diff(found) > 0))
        and float(np.max(np.abs(expected - found))) <= TIME_TOLERANCE
    )
