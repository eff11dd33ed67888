"""From when to when a tag holds in a video: the evidence of its frames, smoothed into spans of seconds.

A frame speaks for the tag where its share of the evidence is not much less than that of the strongest frames. The likeliest
sequence of two states, the tag holds or not, in which each change costs something, leaves single frames aside that say the opposite of
their neighbours (Viterbi). Small gaps are then closed, and spans that are too short left out.

Legend: M frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence

STRONGEST = 1 / 3
"""Share of the frames whose mean evidence is that of a frame with the tag."""

LEVEL = 0.5
"""Of that mean: a frame with so much speaks neither for the tag nor against it."""

MOST_CERTAIN = 2.0
"""Log-odds of one frame, at most."""

CHANGE_COST = 0.3
"""Log-odds that beginning or ending a span costs; the strongest frame alone is worth both."""

LONGEST_GAP, SHORTEST_SPAN = 1.0, 1.0
"""Seconds: gaps up to this long are closed, spans shorter than this left out, unless there is no other."""

FRAME_SECONDS = 1.0
"""How long the only frame of a video of unknown length is shown."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a video in which a tag holds.

    Attributes:
        start, end: seconds from the start of the video.
        score: share of the tag's evidence that lies in it, from 0 to 1.
    """

    start: float
    end: float
    score: float

    def to_json(self) -> dict[str, Any]:
        """``{"start", "end", "score"}``, rounded to a thousandth."""
        return {"start": round(self.start, 3), "end": round(self.end, 3), "score": round(self.score, 3)}


Segments = tuple[Segment, ...]


def segments_of(evidence: Evidence | None, *, duration: float) -> Segments:
    """When a tag holds, in order; nothing for images and pinned tags, and where no frame has any evidence.

    Args:
        evidence: of the tag; ``None`` where it was given and not predicted.
        duration: of the video in seconds; NaN where nobody knows it.
    """
    frames = () if evidence is None else evidence.frames
    shares = np.array([share for _, share in frames], np.float64)
    if not shares.any() or duration == 0:  # a picture that is seen as a video of one frame
        return ()
    bounds = frame_bounds([second for second, _ in frames], duration)
    spans = list(_spans(holding_frames(shares)))
    spans = _without_gaps(spans, bounds)
    long = [(first, last) for first, last in spans if bounds[last] - bounds[first] >= SHORTEST_SPAN]
    if not long:
        long = [max(spans, key=lambda span: float(shares[slice(*span)].sum()))]
    return tuple(
        Segment(start=float(bounds[a]), end=float(bounds[b]), score=min(1.0, float(shares[a:b].sum()))) for a, b in long
    )


def frame_bounds(times: Sequence[float], duration: float) -> NDArray[np.float64]:
    """(M + 1,) when each frame begins, and when the last one ends: as long after it as frames are apart, or at the end."""
    starts = np.asarray(times, np.float64)
    apart = float(np.median(np.diff(starts))) if len(starts) > 1 else FRAME_SECONDS
    end = starts[-1] + apart
    if duration > starts[-1]:
        end = min(end, duration) if len(starts) > 1 else duration
    return np.append(starts, end)


def holding_frames(shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(M,) whether the tag holds, from the shares of its evidence (M,), of which some are not 0: the likeliest sequence."""
    strongest = np.sort(shares)[::-1][: max(1, round(STRONGEST * len(shares)))]
    with np.errstate(divide="ignore"):
        odds = np.log(shares / (LEVEL * strongest.mean()))
    return likeliest(np.clip(odds, -MOST_CERTAIN, MOST_CERTAIN), CHANGE_COST)


def likeliest(odds: NDArray[np.float64], cost: float) -> NDArray[np.bool_]:
    """(M,) the sequence of two states with the largest sum of log-odds (M,) where it is on, less ``cost`` for each change.

    Before the first and behind the last frame it costs nothing to be on: a tag may hold before and after.
    """
    best = np.array([0.0, odds[0]])
    came_from = np.zeros((len(odds), 2), np.int64)
    for frame in range(1, len(odds)):
        ways = best[:, None] - cost * (1 - np.eye(2))  # from (row) to (column)
        came_from[frame] = ways.argmax(axis=0)
        best = ways.max(axis=0) + np.array([0.0, odds[frame]])
    state = int(best[1] > best[0])
    states = [state]
    for frame in range(len(odds) - 1, 0, -1):
        state = int(came_from[frame, state])
        states.append(state)
    return np.array(states[::-1], np.bool_)


def _spans(holds: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First frame, and the one behind the last, of each run of frames with the tag."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    yield from zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True)


def _without_gaps(spans: Sequence[tuple[int, int]], bounds: NDArray[np.float64]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and bounds[first] - bounds[joined[-1][1]] <= LONGEST_GAP:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined
