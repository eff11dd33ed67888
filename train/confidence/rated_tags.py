"""Predicted tags of many videos, each with its score and whether it is right: what all measures of confidence start from.

How far scores are from what they promise is read in M = 15 bins of equal width, as in Guo et al., ICML 2017, §2 and §5.

Legend: T predicted tags of all videos.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...data.predicted_tag import PredictedTag
from ...data.tags import tag_key

MOST_CANDIDATES = 50
"""Tags of a video that are looked at, the best ones: at a permissive value a classifier gives thousands."""


@dataclass(frozen=True, kw_only=True)
class RatedTags:
    """Pairs of a video and a predicted tag. Pinned tags are no predictions and not among them.

    Attributes:
        scores: (T,) in [0, 1].
        novel: (T,) outside the training tags.
        right: (T,) among the video's annotated tags. Novel tags are seldom annotated even where they fit.
        owners: (T,) which video each is of: tags of one video stand and fall together.
        true_tags: annotated tags of all videos.
        videos: number of videos.
    """

    scores: NDArray[np.float64]
    novel: NDArray[np.bool_]
    right: NDArray[np.bool_]
    owners: NDArray[np.int64]
    true_tags: int
    videos: int

    def __len__(self) -> int:
        return len(self.scores)

    def group(self, *, novel: bool) -> RatedTags:
        """The novel tags alone, or the known ones alone."""
        chosen = self.novel == novel
        return RatedTags(
            scores=self.scores[chosen],
            novel=self.novel[chosen],
            right=self.right[chosen],
            owners=self.owners[chosen],
            true_tags=self.true_tags,
            videos=self.videos,
        )


def rate_tags(true: Sequence[Collection[str]], predicted: Iterable[Sequence[PredictedTag]]) -> RatedTags:
    """Rates the best :data:`MOST_CANDIDATES` tags of every video.

    Args:
        true: the annotated tags' keys of each video.
        predicted: the predicted tags of each video, best first.
    """
    key = cache(tag_key)
    rows = [
        (tag.score, tag.novel, key(tag.text) in truth, owner)
        for owner, (truth, tags) in enumerate(zip(map(frozenset, true), predicted, strict=True))
        for tag in tags[:MOST_CANDIDATES]
        if not tag.pinned
    ]
    scores, novel, right, owners = zip(*rows, strict=True) if rows else ((), (), (), ())
    return RatedTags(
        scores=np.array(scores, np.float64),
        novel=np.array(novel, np.bool_),
        right=np.array(right, np.bool_),
        owners=np.array(owners, np.int64),
        true_tags=sum(map(len, true)),
        videos=len(true),
    )


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


def _bin_of(scores: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """(T,) number of each score's bin."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def reliability_bins(scores: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> list[ReliabilityBin]:
    """The bins with any tags, from the lowest scores to the highest, of scores (T,) and hits (T,)."""
    place = _bin_of(scores, bins)
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


DRAWS = 100
"""Of what would be right, where an error by chance is estimated."""


def chance_calibration_error(scores: NDArray[np.float64], bins: int = BINS) -> float:
    """The mean expected calibration error of scores (T,) that are exactly chances: what a share of so few tags is off by.

    An error is read against it: that of a hundred tags in fifteen bins is some eight points, however good their scores.
    The draws are the same for the same scores.
    """
    if not len(scores):
        return 0.0
    place = _bin_of(scores, bins)
    rng = np.random.default_rng(0)
    # Of a bin: tags · |precision − score| = |right tags − sum of scores|.
    off = [np.bincount(place, (rng.random(len(scores)) < scores) - scores, bins) for _ in range(DRAWS)]
    return float(np.abs(off).sum(1).mean() / len(scores))
