"""Precision and recall by threshold on the score, and the threshold that a wanted precision needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def assured(share: ArrayLike, count: ArrayLike) -> NDArray[np.float64]:
    """The lower end of a share's 95 % interval (Wilson, 1927): what so many independent cases can vouch for."""
    shares, counts = np.asarray(share, np.float64), np.asarray(count, np.float64)
    square = CONFIDENCE**2 / counts
    spread = CONFIDENCE * np.sqrt(shares * (1 - shares) / counts + square / (4 * counts))
    found: NDArray[np.float64] = (shares + square / 2 - spread) / (1 + square)
    return found


@dataclass(frozen=True, kw_only=True)
class PrecisionCurve:
    """Predicted tags counted by their score in thousandths, rounded down.

    Attributes:
        tags, right: (1000,) all tags, and those that are right.
        effect: (1000,) how many of the tags with at least this score say as much of the precision as one independent tag
            would: at least 1, and more where a video's tags stand and fall together (the design effect; Kish, 1965). 1 in
            curves of version 0.1.0.
        true_tags: annotated tags of all videos.
    """

    tags: NDArray[np.int64]
    right: NDArray[np.int64]
    effect: NDArray[np.float64]
    true_tags: int

    @classmethod
    def of(cls, rated: RatedTags) -> PrecisionCurve:
        """The curve of rated tags: all of them, and the right ones, by score."""
        # A nudge: a computed score may lie a rounding below its thousandth.
        place = np.clip((rated.scores * STEPS + 1e-9).astype(np.int64), 0, STEPS - 1)
        tags, right = np.bincount(place, minlength=STEPS), np.bincount(place[rated.right], minlength=STEPS)
        effect = _design_effect(place, rated, _from_each_step_on(tags), _from_each_step_on(right))
        return cls(tags=tags, right=right, effect=effect, true_tags=rated.true_tags)

    def points(self) -> list[CurvePoint]:
        """One for every threshold that leaves other tags than the next one, from the lowest to the highest."""
        tags, right = _from_each_step_on(self.tags), _from_each_step_on(self.right)
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
        return next((point for point in points if self.assured(point) >= precision), None) or next(
            (point for point in points if point.precision >= precision), None
        )

    def assured(self, point: CurvePoint) -> float:
        """What the tags of one of the points can vouch for, each for as much as it says."""
        return float(assured(point.precision, point.tags / self.effect[round(point.threshold * STEPS)]))

    def to_json(self) -> dict[str, Any]:
        """The counts in JSON types, for :meth:`from_json`."""
        return {
            "true_tags": self.true_tags,
            "tags": self.tags.tolist(),
            "right": self.right.tolist(),
            "effect": self.effect.round(3).tolist(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PrecisionCurve:
        """Raises ValueError, KeyError or TypeError for anything else."""
        tags, right = (_counts(values[name]) for name in ("tags", "right"))
        effect = np.array(values.get("effect", [1.0] * STEPS), np.float64)
        if effect.shape != (STEPS,) or not (effect >= 1).all() or not np.isfinite(effect).all():
            raise ValueError(f"expected {STEPS} effects of at least 1")
        return cls(tags=tags, right=right, effect=effect, true_tags=int(values["true_tags"]))


def _counts(values: Sequence[int]) -> NDArray[np.int64]:
    counts = np.array(values, np.int64)
    if counts.shape != (STEPS,):
        raise ValueError(f"expected {STEPS} counts")
    if counts.min() < 0:
        raise ValueError("a negative count")
    return counts


def _from_each_step_on(counts: NDArray[Any]) -> NDArray[Any]:
    """(…, 1000) of the tags of a score: how many have at least this score."""
    return counts[..., ::-1].cumsum(axis=-1)[..., ::-1]


VIDEOS_AT_ONCE = 1_000


def _design_effect(
    place: NDArray[np.int64], rated: RatedTags, tags: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(1000,) variance of the precision where videos are drawn, over that where tags are, of all tags from each step on.

    With r of its n tags right, a video moves the precision p by r − p · n; tags are drawn one by one where each has its own video.

    Args:
        place: (T,) the step of each rated tag.
        tags, right: (1000,) all tags from each step on, and those that are right.
    """
    moments = np.zeros((3, STEPS))  # Σ n², Σ n · r, Σ r² over videos
    order = np.argsort(rated.owners, kind="stable")
    owners, places, is_right = rated.owners[order], place[order], rated.right[order]
    numbers, start = np.unique(owners, return_index=True)
    for first in range(0, len(numbers), VIDEOS_AT_ONCE):
        some = slice(start[first], start[first + VIDEOS_AT_ONCE] if first + VIDEOS_AT_ONCE < len(numbers) else None)
        rows = np.searchsorted(numbers[first : first + VIDEOS_AT_ONCE], owners[some])
        counts = np.zeros((2, min(VIDEOS_AT_ONCE, len(numbers) - first), STEPS))
        np.add.at(counts[0], (rows, places[some]), 1)
        np.add.at(counts[1], (rows, places[some]), is_right[some])
        own, hits = _from_each_step_on(counts)
        moments += np.stack([(own * own).sum(0), (own * hits).sum(0), (hits * hits).sum(0)])
    precision = right / np.maximum(tags, 1)
    of_videos = moments[2] - 2 * precision * moments[1] + precision**2 * moments[0]
    of_tags = precision * (1 - precision) * tags
    effect: NDArray[np.float64] = np.divide(of_videos, of_tags, out=np.ones(STEPS), where=of_tags > 0)
    return np.maximum(effect, 1.0)
