"""Which packets must be decoded for the wanted frames, and which decoder that favours.

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
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .packet_facts import PacketFacts

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
