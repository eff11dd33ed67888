"""What the packet headers of a video stream tell, before anything is decoded.

Every array has one entry per packet, in the order of the file, which is the order of decoding (P packets).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class PacketFacts:
    """Headers of one video stream.

    Attributes:
        container: FFmpeg's name of the container format, for instance ``mov,mp4,m4a,3gp,3g2,mj2``.
        codec: FFmpeg's name of the codec, for instance ``h264``.
        size: coded (width, height) in pixels, before any rotation.
        packet_pts: (P,) presentation times in units of ``base`` (AVI: decoding times); empty where any packet has none.
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
        reconfigured: the stream changes its parameters, for instance the size of the picture, on its way.
        skips_safely: frames to which the codec says no other refers may be left undecoded.
    """

    container: str
    codec: str
    size: tuple[int, int]
    packet_pts: NDArray[np.int64]
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
    reconfigured: bool
    skips_safely: bool

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
        return not self.cut_off and self.lost is None and self.found >= self.promised

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
