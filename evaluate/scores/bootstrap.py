"""95 % intervals over test videos: the split is drawn again, with repetition, and F1 computed on every drawing.

Intervals are of one evaluation, or of the difference of two on the same videos. The boundary between rare and common tags is
the whole split's in every drawing. A tag that a drawing does not contain is left out of that drawing's means, as it would be
left out of the metric on such a split (§4.2); counting it as 0 would push rare F1 far below the figure that the interval is
for, since many rare tags have one test video.

Legend: V videos, K tags of the group full, R drawings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...data.metrics import tag_groups
from ...data.tags import tag_key
from .evaluation import Evaluation
from .predictions import ItemPrediction

DRAWINGS = 1_000


SEED = 0


AT_ONCE = 100
"""Drawings computed together; bounds the memory for splits with many tags."""


Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What one run got right and wrong on each video.

    Attributes:
        true, predicted, hits: (V, K), 1 where the video has the tag, was given it, both.
        common: (K,) whether the tag is common.
        example: (V, 2) example-based precision and recall; NaN for a video that is not scored.
    """

    true: csr_array
    predicted: csr_array
    hits: csr_array
    common: NDArray[np.bool_]
    example: Floats


def outcomes(items: Sequence[ItemPrediction], train_counts: Mapping[str, int]) -> Outcomes:
    """The outcomes of a run on a split.

    Args:
        items: every video of the split.
        train_counts: training occurrences by tag key.
    """
    true = [{tag_key(tag) for tag in item.true} for item in items]
    predicted = [{tag_key(tag.text) for tag in item.tags} for item in items]
    groups = tag_groups(train_counts, {tag for tags in true for tag in tags})
    column = {tag: number for number, tag in enumerate(groups.full)}
    seen = {tag for tag, count in train_counts.items() if count > 0}
    return Outcomes(
        true=_matrix(true, column),
        predicted=_matrix(predicted, column),
        hits=_matrix([truth & guess for truth, guess in zip(true, predicted, strict=True)], column),
        common=np.arange(len(column)) < len(groups.common),
        example=np.array([_rates(truth & seen, guess & seen) for truth, guess in zip(true, predicted, strict=True)]),
    )


def _matrix(rows: Sequence[set[str]], column: Mapping[str, int]) -> csr_array:
    places = [(number, column[tag]) for number, tags in enumerate(rows) for tag in tags if tag in column]
    videos, tags = np.array(places, np.int64).reshape(-1, 2).T
    return csr_array((np.ones(len(places)), (videos, tags)), shape=(len(rows), len(column)))


def _rates(truth: set[str], guess: set[str]) -> tuple[float, float]:
    if not truth:
        return np.nan, np.nan
    hits = len(truth & guess)
    return hits / len(guess) if guess else 0.0, hits / len(truth)


def draw(videos: int, drawings: int = DRAWINGS) -> NDArray[np.int64]:
    """(R, V) how often each video is in each drawing; the same for the same number of videos, so runs can be paired."""
    return np.concatenate(list(draw_in_parts(videos, drawings)))


def draw_in_parts(videos: int, drawings: int = DRAWINGS) -> Iterator[NDArray[np.int64]]:
    """The drawings of :func:`draw`, at most :data:`AT_ONCE` at a time."""
    dice, chances = np.random.default_rng(SEED), np.full(videos, 1 / videos)
    for start in range(0, drawings, AT_ONCE):
        yield dice.multinomial(videos, chances, size=min(AT_ONCE, drawings - start))


def f1_by_drawing(outcome: Outcomes, weights: NDArray[np.int64]) -> dict[str, Floats]:
    """F1 of every drawing, (R,), by group: full, rare, common and example; NaN where it has no tag of the group."""
    parts = [_label_f1(outcome, weights[start : start + AT_ONCE]) for start in range(0, len(weights), AT_ONCE)]
    by_group = {name: np.concatenate([part[name] for part in parts]) for name in ("full", "rare", "common")}
    return {**by_group, "example": _example_f1(outcome, weights)}


def _label_f1(outcome: Outcomes, weights: NDArray[np.int64]) -> dict[str, Floats]:
    drawn = weights.astype(np.float64)
    true, predicted, hits = (np.asarray(drawn @ part) for part in (outcome.true, outcome.predicted, outcome.hits))
    f1 = np.divide(2 * hits, true + predicted, out=np.zeros_like(hits), where=true + predicted > 0)
    groups = {"full": np.ones_like(outcome.common), "rare": ~outcome.common, "common": outcome.common}
    return {name: _mean(f1, (true > 0) & group) for name, group in groups.items()}


def _mean(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """Mean of each row where it counts, NaN where nothing does."""
    counts = where.sum(axis=1)
    means: Floats = np.divide((values * where).sum(axis=1), counts, out=np.full(len(values), np.nan), where=counts > 0)
    return means


def _example_f1(outcome: Outcomes, weights: NDArray[np.int64]) -> Floats:
    scored = ~np.isnan(outcome.example[:, 0])
    drawn = weights[:, scored].astype(np.float64)
    count = drawn.sum(axis=1, keepdims=True)
    precision, recall = np.divide(
        drawn @ outcome.example[scored], count, out=np.zeros((len(drawn), 2)), where=count > 0
    ).T
    both = precision + recall
    f1: Floats = np.divide(2 * precision * recall, both, out=np.zeros(len(drawn)), where=both > 0)
    return f1


def interval(values: Floats, estimate: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """The middle 95 % of (R,) values, moved so that their mean is the estimate on the split itself.

    F1 of a drawing is a little too high on average: a video drawn twice is two hits or two misses, and the rarest tags drop out.
    Moved, an end may lie where no value can, beyond ``bounds``: it then is the bound.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return estimate, estimate
    low, high = np.quantile(known, (0.025, 0.975)) - known.mean() + estimate
    return float(max(low, bounds[0])), float(min(high, bounds[1]))


Group = Literal["full", "rare", "common", "example"]


GROUPS: tuple[Group, ...] = ("full", "rare", "common", "example")


@dataclass(frozen=True)
class Estimate:
    """A measure in [0, 1] or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class DrawnF1:
    """F1 of one evaluation by group, on the split and on (R,) drawings of its videos."""

    values: dict[Group, float]
    drawn: dict[Group, Floats]

    @classmethod
    def of(cls, evaluation: Evaluation) -> DrawnF1:
        """Draws the videos again; the same drawings for every evaluation of as many videos."""
        outcome = outcomes(evaluation.items, evaluation.train_counts)
        parts = [f1_by_drawing(outcome, weights) for weights in draw_in_parts(len(evaluation.items))]
        label_based = evaluation.scores["label_based"]
        values: dict[Group, float] = {
            "full": label_based["full"]["f1"],
            "rare": label_based["rare"]["f1"],
            "common": label_based["common"]["f1"],
            "example": evaluation.scores["example_based"]["f1"],
        }
        return cls(values, {group: np.concatenate([part[group] for part in parts]) for group in GROUPS})

    def estimate(self, group: Group) -> Estimate:
        """F1 of a group with its interval."""
        return Estimate(self.values[group], *interval(self.drawn[group], self.values[group], (0.0, 1.0)))

    def minus(self, other: DrawnF1, group: Group) -> Estimate:
        """By how much it is better than another evaluation of the same videos; the interval is paired."""
        points = self.values[group] - other.values[group]
        return Estimate(points, *interval(self.drawn[group] - other.drawn[group], points, (-1.0, 1.0)))
