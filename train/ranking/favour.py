"""Where the bar lies: which tags are given, once it is known how likely each is right.

A tag is given where p · (1 + count)⁻ᵍ ≥ t. With g = 0 the bar is the same for all tags, as precision within a video wants it;
mean F1 over tags wants it lower for rare ones, which g > 0 does. Legend: T pairs of a video and a tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...data.foreign.json_reader import number_of
from ..confidence.few_videos import F1Pair, weight_of_tags
from ..system_names import Favour

WEIGHTS: Mapping[Favour, float] = {"rare": 1.0, "balanced": 0.7, "precise": 0.0}
"""What is made as large as possible on validation: this much of the mean F1 over tags, the rest of the F1 over videos; less of
the former where few videos validate (:func:`~optsg.train.confidence.few_videos.weight_of_tags`)."""

LEANINGS = tuple(step / 10 for step in range(11))
BARS = 80

LOWEST = 0.5
"""Share of the pairs below the lowest bar, or less where many are right: of a handful of tags a video may have most."""

GENEROUS = 1.5
"""Pairs above the lowest bar for each right one, if these are more."""

SMOOTHING = (1.0, 2.0)
"""Standard deviations of the Gaussian over neighbouring g and t."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Attributes: leaning: g. least: t."""

    leaning: float
    least: float

    def lifted(self, probabilities: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(T,) p · (1 + count)⁻ᵍ."""
        return probabilities * np.exp(-self.leaning * np.log1p(counts))

    def passes(self, probabilities: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(T,) which tags are given."""
        return self.lifted(probabilities, counts) >= self.least

    def to_json(self) -> dict[str, float]:
        """Both numbers, for :meth:`from_json`."""
        return {"leaning": self.leaning, "least": self.least}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Bar:
        """Raises KeyError, TypeError or ValueError for anything else."""
        return cls(leaning=number_of(values["leaning"]), least=number_of(values["least"]))


@dataclass(frozen=True, kw_only=True)
class RankedPairs:
    """What the bar is chosen on.

    Attributes:
        videos, columns: (T,) of each pair.
        probabilities: (T,).
        counts: (T,) training occurrences of the tag.
        right: (T,).
        tag_totals: (K,) annotated occurrences of every training tag, found or not.
        video_totals: (videos,) annotated training tags of every video.
    """

    videos: NDArray[np.int64]
    columns: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    counts: NDArray[np.int64]
    right: NDArray[np.bool_]
    tag_totals: NDArray[np.int64]
    video_totals: NDArray[np.int64]

    def tag_f1(self, given: NDArray[np.bool_]) -> float:
        """Mean F1 over the training tags that some video has (label-based full F1)."""
        tags = len(self.tag_totals)
        predicted = np.bincount(self.columns[given], minlength=tags)
        hits = np.bincount(self.columns[given & self.right], minlength=tags)
        some = self.tag_totals > 0
        return float((2 * hits[some] / (predicted[some] + self.tag_totals[some])).mean()) if some.any() else 0.0

    def video_f1(self, given: NDArray[np.bool_]) -> float:
        """Harmonic mean of the videos' mean precision and mean recall (example-based F1)."""
        videos = len(self.video_totals)
        predicted = np.bincount(self.videos[given], minlength=videos)
        hits = np.bincount(self.videos[given & self.right], minlength=videos)
        some = self.video_totals > 0
        if not hits[some].any():
            return 0.0
        precision = (hits[some] / np.maximum(predicted[some], 1)).mean()
        recall = (hits[some] / self.video_totals[some]).mean()
        return float(2 * precision * recall / (precision + recall))


def choose_bar(pairs: RankedPairs, favour: Favour) -> Bar:
    """The bar that is best for what is favoured, as :func:`best_bar` finds it."""
    return best_bar(pairs, WEIGHTS[favour] * weight_of_tags(len(pairs.video_totals)))


def best_bar(pairs: RankedPairs, weight: float) -> Bar:
    """The bar with the best mean of F1 over tags and over videos; p ≥ 0.5 where there is nothing to choose on.

    What is best is looked for after smoothing over bars that are alike: on a validation split of some hundred videos the
    highest point is the one that chance helped most.

    Args:
        weight: of F1 over tags, 0 to 1; with 0 the bar is the same for all tags.
    """
    if not len(pairs.right):
        return Bar(leaning=0.0, least=0.5)
    bars = [
        [Bar(leaning=leaning, least=least) for least in _candidates(pairs, leaning)]
        for leaning in (LEANINGS if weight else (0.0,))
    ]
    worth = np.array([[_worth(pairs, bar, weight) for bar in row] for row in bars])
    row, column = np.unravel_index(gaussian_filter(worth, SMOOTHING, mode="nearest").argmax(), worth.shape)
    return bars[row][column]


def _candidates(pairs: RankedPairs, leaning: float) -> list[float]:
    """Values of t between which about as many pairs lie; the lowest gives half of all, or half as many again as are right."""
    lifted = Bar(leaning=leaning, least=0.0).lifted(pairs.probabilities, pairs.counts)
    lowest = np.clip(1 - GENEROUS * pairs.right.mean(), 0.0, LOWEST)
    found: list[float] = np.quantile(lifted, np.linspace(lowest, 0.995, BARS)).tolist()
    return found


def _worth(pairs: RankedPairs, bar: Bar, weight: float) -> float:
    given = bar.passes(pairs.probabilities, pairs.counts)
    return F1Pair(tags=pairs.tag_f1(given), videos=pairs.video_f1(given)).mean(weight)
