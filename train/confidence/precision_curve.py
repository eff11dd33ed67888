"""Precision and recall by threshold on the score, and the threshold that a wanted precision needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rated_tags import RatedTags

CONFIDENCE = 1.96
"""Standard deviations on either side of a 95 % interval."""

STEPS = 1000
"""Thresholds are thousandths: however many tags there are, the curve has a page of numbers."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """What the tags with at least this score are worth.

    Attributes:
        threshold: the least score.
        tags: predicted tags of all videos.
        precision: their share that is right.
        recall: the share of the annotated tags that is among them.
    """

    threshold: float
    tags: int
    precision: float
    recall: float

    @property
    def assured(self) -> float:
        """The lower end of the precision's 95 % interval (Wilson, 1927): what so many tags can vouch for."""
        square = CONFIDENCE**2 / self.tags
        spread = CONFIDENCE * sqrt(self.precision * (1 - self.precision) / self.tags + square / (4 * self.tags))
        return (self.precision + square / 2 - spread) / (1 + square)


@dataclass(frozen=True, kw_only=True)
class PrecisionCurve:
    """Predicted tags counted by their score in thousandths, rounded down.

    Attributes:
        tags, right: (1000,) all tags, and those that are right.
        true_tags: annotated tags of all videos.
    """

    tags: NDArray[np.int64]
    right: NDArray[np.int64]
    true_tags: int

    @classmethod
    def of(cls, rated: RatedTags) -> PrecisionCurve:
        """The curve of rated tags: all of them, and the right ones, by score."""
        # A nudge: 0.29 is 289.99… thousandths in floating point.
        place = np.clip((rated.scores * STEPS + 1e-9).astype(np.int64), 0, STEPS - 1)
        return cls(
            tags=np.bincount(place, minlength=STEPS),
            right=np.bincount(place[rated.right], minlength=STEPS),
            true_tags=rated.true_tags,
        )

    def points(self) -> list[CurvePoint]:
        """One for every threshold that leaves other tags than the next one, from the lowest to the highest."""
        tags, right = self.tags[::-1].cumsum()[::-1], self.right[::-1].cumsum()[::-1]
        return [
            CurvePoint(
                threshold=step / STEPS,
                tags=int(tags[step]),
                precision=int(right[step]) / int(tags[step]),
                recall=int(right[step]) / max(self.true_tags, 1),
            )
            for step in np.flatnonzero(self.tags).tolist()
        ]

    def at(self, threshold: float) -> CurvePoint | None:
        """What this threshold gives; ``None`` where no tag reaches it."""
        return next((point for point in self.points() if point.threshold >= threshold - 0.5 / STEPS), None)

    def lowest(self, precision: float) -> CurvePoint | None:
        """The lowest threshold whose tags vouch for this precision, so the one with the highest recall.

        The lowest of many thresholds that look good enough is one that looks better than it is; on other videos its precision
        is lower. Where the split is too small to vouch for it, that one is taken all the same; ``None`` without one.
        """
        points = self.points()
        assured = (point for point in points if point.assured >= precision)
        return next(assured, None) or next((point for point in points if point.precision >= precision), None)

    def to_json(self) -> dict[str, Any]:
        """The counts in JSON types, for :meth:`from_json`."""
        return {"true_tags": self.true_tags, "tags": self.tags.tolist(), "right": self.right.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PrecisionCurve:
        """Raises ValueError, KeyError or TypeError for anything else."""
        tags, right = (_counts(values[name]) for name in ("tags", "right"))
        return cls(tags=tags, right=right, true_tags=int(values["true_tags"]))


def _counts(values: Sequence[int]) -> NDArray[np.int64]:
    counts = np.array(values, np.int64)
    if counts.shape != (STEPS,):
        raise ValueError(f"expected {STEPS} counts")
    if counts.min() < 0:
        raise ValueError("a negative count")
    return counts
