"""How far scores are from what they promise: reliability bins and the expected calibration error.

M = 15 bins of equal width, as in Guo et al., ICML 2017, §2 and §5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Predicted tags whose score lies in [low, high), the last bin's end included.

    Attributes:
        tags: how many.
        score: their mean score; precision: the share that is right.
    """

    low: float
    high: float
    tags: int
    score: float
    precision: float


def reliability_bins(scores: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> list[ReliabilityBin]:
    """The bins with any tags, from the lowest scores to the highest, of scores (T,) and hits (T,)."""
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    return [
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            tags=int((place == number).sum()),
            score=float(scores[place == number].mean()),
            precision=float(right[place == number].mean()),
        )
        for number in np.unique(place).tolist()
    ]


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean of |precision − score| over the bins, weighted by their tags; 0 without any."""
    tags = sum(each.tags for each in bins)
    return sum(each.tags * abs(each.precision - each.score) for each in bins) / tags if tags else 0.0
