"""Fits a run's ranker on the validation split, by cross-validation over its videos.

What a ranker says of videos that it was fitted to is too good; the bars, the calibration and the precision curve therefore
come from models that have not seen the video they judge. Legend: T pairs of a video and a proposed tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.batching import Batch
from ...data.tag_table import TagTable
from ...data.tags import tag_key
from ..confidence.rated_tags import MOST_CANDIDATES, RatedTags
from ..recall.sources import RecallSources
from ..system_names import FAVOURS, Favour
from ..systems.system import System
from .favour import RankedPairs, choose_bar
from .logistic import LogisticModel, cross_fitted
from .novel import NovelCandidate, features_of
from .pairs import Pairs, feature_columns
from .ranked_system import Proposer, RankedSystem
from .ranker import OfAddedTags, Ranker

FEWEST_VIDEOS = 6
"""Of a validation split: a ranker that is fitted to fewer is chance, and the system decides alone. Six are few, but worth more than
one scalar (``benchmarks/small_folders.py``)."""

NOVEL_BARS: Mapping[Favour, float] = {"rare": 0.3, "balanced": 0.5, "precise": 0.7}
"""The least probability of a novel tag: where all is balanced, one that is right rather than not."""


@dataclass(frozen=True, kw_only=True)
class FittedRanking:
    """A ranked system, and what its predictions are worth on validation.

    Attributes:
        system: the run's system with its ranker.
        rated: proposed tags with held-out probabilities.
    """

    system: RankedSystem
    rated: RatedTags


def fit_ranking(
    system: System, sources: RecallSources, batches: Iterable[tuple[Batch, Sequence[frozenset[str]]]]
) -> FittedRanking:
    """Fits the ranker.

    Args:
        system: trained, in evaluation mode.
        sources: beside it.
        batches: of the validation split, on the model's device, with the keys of every video's annotated tags.
    """
    proposer = Proposer(system, sources)
    examples = Examples(system.tag_table)
    names: tuple[str, ...] = ()
    of_any_tag: tuple[str, ...] = ()
    for batch, truth in batches:
        proposals = proposer.propose(batch)
        names, of_any_tag = proposals.sources, proposals.of_any_tag
        examples.add(proposals.pairs, proposals.novel, truth)
    ranker, rated = fit_ranker(examples, names, of_any_tag)
    return FittedRanking(system=RankedSystem(system, sources, ranker), rated=rated)


def fit_ranker(examples: Examples, names: tuple[str, ...], of_any_tag: tuple[str, ...]) -> tuple[Ranker, RatedTags]:
    """The ranker of some examples, and what its proposals are worth, each judged by one that has not seen its video.

    Args:
        names: of the sources whose scores the examples' pairs have, in order.
        of_any_tag: those of them that also score tags which the system was not trained on.
    """
    pairs = examples.pairs()
    right = examples.right(pairs)
    held_out = cross_fitted(pairs.features, right, pairs.videos)
    ranked = examples.ranked(pairs, right, held_out)
    bars = {favour: choose_bar(ranked, favour) for favour in FAVOURS}
    novel, novel_right = features_of(examples.novel), examples.novel_right()
    ranker = Ranker(
        sources=names,
        known=LogisticModel.fit(pairs.features, right),
        added=None if of_any_tag == names else _fit_added(pairs, right, names, of_any_tag),
        novel=LogisticModel.fit(novel, novel_right) if len(novel) else None,
        bars=bars,
        novel_bars=NOVEL_BARS,
    )
    videos = np.array([each.video for each in examples.novel], np.int64)
    novel_held_out = cross_fitted(novel, novel_right, videos) if len(novel) else np.empty(0)
    return ranker, examples.rated(pairs, right, held_out, videos, novel_right, novel_held_out)


def _fit_added(pairs: Pairs, right: NDArray[np.bool_], names: Sequence[str], some: tuple[str, ...]) -> OfAddedTags:
    """On the training tags, as if the system had nothing to say of them."""
    features = pairs.features[:, feature_columns(names, some)]
    return OfAddedTags(sources=some, model=LogisticModel.fit(features, right))


class Examples:
    """Proposals of all batches, with the videos numbered through.

    Args:
        tag_table: the training tags.
    """

    def __init__(self, tag_table: TagTable):
        self._table = tag_table
        self._pairs: list[Pairs] = []
        self.novel: list[NovelCandidate] = []
        self._truth: list[frozenset[str]] = []

    def add(self, pairs: Pairs, novel: Sequence[NovelCandidate], truth: Sequence[frozenset[str]]) -> None:
        """What is proposed for one batch, and the keys of its videos' annotated tags."""
        first = len(self._truth)
        self._pairs.append(Pairs(videos=pairs.videos + first, columns=pairs.columns, features=pairs.features))
        self.novel += [each._replace(video=each.video + first) for each in novel]
        self._truth += truth

    def pairs(self) -> Pairs:
        """All pairs with training tags."""
        parts = {name: [getattr(part, name) for part in self._pairs] for name in ("videos", "columns", "features")}
        return Pairs(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def right(self, pairs: Pairs) -> NDArray[np.bool_]:
        """(T,) whether the tag of each of these pairs is annotated."""
        keys = self._table.keys
        return np.array(
            [keys[column] in self._truth[video] for video, column in zip(pairs.videos, pairs.columns, strict=True)],
            np.bool_,
        )

    def novel_right(self) -> NDArray[np.bool_]:
        """Per novel candidate, whether it is annotated."""
        return np.array([tag_key(each.tag.text) in self._truth[each.video] for each in self.novel], np.bool_)

    def ranked(self, pairs: Pairs, right: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> RankedPairs:
        """What bars are chosen on."""
        own = [[self._table.column_of[key] for key in truth if self._table.is_known(key)] for truth in self._truth]
        return RankedPairs(
            videos=pairs.videos,
            columns=pairs.columns,
            probabilities=probabilities,
            counts=self._table.counts[pairs.columns],
            right=right,
            tag_totals=np.bincount([column for columns in own for column in columns], minlength=len(self._table)),
            video_totals=np.array([len(columns) for columns in own], np.int64),
        )

    def rated(
        self,
        pairs: Pairs,
        right: NDArray[np.bool_],
        held_out: NDArray[np.float64],
        novel_videos: NDArray[np.int64],
        novel_right: NDArray[np.bool_],
        novel_held_out: NDArray[np.float64],
    ) -> RatedTags:
        """The most probable :data:`MOST_CANDIDATES` of every video, for calibration and the precision curve."""
        videos = np.concatenate([pairs.videos, novel_videos])
        scores = np.concatenate([held_out, novel_held_out])
        hits = np.concatenate([right, novel_right])
        novel = np.arange(len(videos)) >= len(pairs)
        order = np.lexsort((-scores, videos))
        place = np.arange(len(order)) - np.searchsorted(videos[order], videos[order])
        kept = order[place < MOST_CANDIDATES]
        return RatedTags(
            scores=scores[kept],
            novel=novel[kept],
            right=hits[kept],
            owners=videos[kept],
            true_tags=sum(map(len, self._truth)),
            videos=len(self._truth),
        )
