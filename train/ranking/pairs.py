"""Pairs of a video and a training tag that some source proposes, and what the sources say of them.

Legend: B videos, K tags (of training, behind them those added since), T pairs, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..recall.source import Floats, Scores, highest

PROPOSED = 30
"""Tags of a video that each source proposes, its best ones."""

RANKED = 100
"""Places in a source's order that are told apart; those behind are alike."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of some videos.

    Attributes:
        videos: (T,) number of the video in its batch, rising.
        columns: (T,) number of the training tag.
        features: (T, F) as :func:`feature_names` names them.
    """

    videos: NDArray[np.int64]
    columns: NDArray[np.int64]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.videos)


def feature_names(sources: Sequence[str]) -> list[str]:
    """Names of the features of pairs with scores of these sources."""
    kinds = ("score", "root", "rank", "score × log count")
    return ["log count", *(f"{source}: {kind}" for source in sources for kind in kinds)]


def feature_columns(sources: Sequence[str], some: Sequence[str]) -> list[int]:
    """Which of the features of these sources' pairs are those of some of them, in order."""
    kept = set(feature_names(some))
    return [column for column, name in enumerate(feature_names(sources)) if name in kept]


def make_pairs(scores: Mapping[str, Scores], counts: NDArray[np.int64]) -> Pairs:
    """All pairs that a source proposes.

    Args:
        scores: by source, (B, K), each at least 0; a tag with 0 is not proposed.
        counts: (K,) occurrences in training.
    """
    proposed = np.zeros(next(iter(scores.values())).shape, np.bool_)
    ranks = {}
    for source, values in scores.items():
        best = highest(values, RANKED)
        ranks[source] = _ranks(values, best)
        rows = np.arange(len(values))[:, None]
        some = values[rows, best[:, :PROPOSED]] > 0
        proposed[np.broadcast_to(rows, some.shape)[some], best[:, :PROPOSED][some]] = True
    videos, columns = np.nonzero(proposed)
    log_counts = np.log1p(counts[columns]).astype(np.float32)
    features = [log_counts]
    for source, values in scores.items():
        found = values[videos, columns]
        features += [found, np.sqrt(found), np.log1p(ranks[source][videos, columns]), found * log_counts]
    return Pairs(videos=videos, columns=columns, features=np.stack(features, axis=1, dtype=np.float32))


def _ranks(values: Floats, best: NDArray[np.int64]) -> NDArray[np.float32]:
    """(B, K) place of each tag in its video's order, from 0; :data:`RANKED` where it is further behind."""
    ranks = np.full(values.shape, RANKED, np.float32)
    np.put_along_axis(ranks, best, np.broadcast_to(np.arange(best.shape[1], dtype=np.float32), best.shape), axis=1)
    return ranks
