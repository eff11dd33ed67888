"""Tag gain (§4.2, Eq. 11) with its interval, and how far annotators agree.

A tag is relevant if more than half of the annotators who judged it say so. A tie, "unsure" and a tag that nobody judged
are not relevant.

Legend: V videos with true tags, R drawings, N tags.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import fleiss_kappa

from ..scores.bootstrap import draw
from .answers import VERDICTS, Answer
from .questions import Question, Questions

Outcome = Literal["relevant", "not relevant", "not judged"]


@dataclass(frozen=True, kw_only=True)
class TagVerdict:
    """What was said about one tag: the question, how many said what, and what that makes it."""

    question: Question
    relevant: int
    not_relevant: int
    unsure: int

    @property
    def answers(self) -> int:
        """How many annotators judged it."""
        return self.relevant + self.not_relevant + self.unsure

    @property
    def outcome(self) -> Outcome:
        """Strict majority of those who judged it."""
        if not self.answers:
            return "not judged"
        return "relevant" if 2 * self.relevant > self.answers else "not relevant"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much higher a tag gain is than another on the same videos.

    Attributes:
        gain: the difference of the two.
        interval: 95 %, both runs on the same drawings of videos.
    """

    gain: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TagGain:
    """Tag gain of one run.

    Attributes:
        run: its name.
        videos: V; a video without true tags has no gain and is left out.
        asked, judged: novel tags of the run in these videos, and how many of them somebody judged.
        matched: relevant novel tags of a video, on average (the third column of Table 3).
        gain: relevant novel tags / true tags, mean over videos.
        interval: 95 %, by drawing the videos again with repetition.
        highest: the gain if every tag that is not judged yet were relevant.
        over_first: against the first run; ``None`` for that run itself.
    """

    run: str
    videos: int
    asked: int
    judged: int
    matched: float
    gain: float
    interval: tuple[float, float]
    highest: float
    over_first: Difference | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Fleiss' kappa over the tags that the same number of annotators judged; ``None`` if all gave one and the same answer."""

    annotators: int
    tags: int
    kappa: float | None


def tag_verdicts(questions: Questions, answers: Iterable[Answer]) -> list[TagVerdict]:
    """What was said about each question; answers to other questions are left out."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for answer in answers:
        counts[answer.video, answer.tag][answer.verdict] += 1
    verdicts = []
    for question in questions.asked:
        said = counts[questions.videos[question.video].id, question.key]
        relevant, not_relevant, unsure = (said[verdict] for verdict in VERDICTS)
        verdicts.append(TagVerdict(question=question, relevant=relevant, not_relevant=not_relevant, unsure=unsure))
    return verdicts


def tag_gains(questions: Questions, verdicts: Sequence[TagVerdict]) -> list[TagGain]:
    """Tag gain of every run."""
    true = np.array([video.true for video in questions.videos], np.float64)
    scored = true > 0
    gains: list[TagGain] = []
    first = np.zeros(int(scored.sum()))
    for number, run in enumerate(questions.runs):
        novel = [item for item in verdicts if number in item.question.novel_in and scored[item.question.video]]
        matched = _per_video(novel, {"relevant"}, len(true))[scored]
        highest = _per_video(novel, {"relevant", "not judged"}, len(true))[scored]
        by_video = matched / true[scored]
        difference = None
        if number == 0:
            first = by_video
        else:
            ahead = by_video - first
            difference = Difference(gain=_mean(ahead), interval=_interval(ahead))
        gains.append(
            TagGain(
                run=run,
                videos=len(by_video),
                asked=len(novel),
                judged=sum(item.answers > 0 for item in novel),
                matched=_mean(matched),
                gain=_mean(by_video),
                interval=_interval(by_video),
                highest=_mean(highest / true[scored]),
                over_first=difference,
            )
        )
    return gains


def _per_video(novel: Sequence[TagVerdict], outcomes: set[Outcome], videos: int) -> NDArray[np.float64]:
    """(videos,) tags with one of the outcomes."""
    chosen = [item.question.video for item in novel if item.outcome in outcomes]
    return np.bincount(chosen, minlength=videos).astype(np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _interval(gains: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the means of R drawings of (V,) gains."""
    if not len(gains):
        return 0.0, 0.0
    low, high = np.quantile(draw(len(gains)) @ gains / len(gains), (0.025, 0.975))
    return float(low), float(high)


def agreements(verdicts: Iterable[TagVerdict]) -> list[Agreement]:
    """Fleiss' kappa by the number of annotators, of tags that at least two judged; the largest group first.

    The statistic needs the same number of answers for every item. Dropping answers to get there would throw judgements
    away, so tags with two answers and tags with three are two groups, each with its own kappa.
    """
    tables: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for item in verdicts:
        if item.answers > 1:
            tables[item.answers].append((item.relevant, item.not_relevant, item.unsure))
    groups = [Agreement(annotators=count, tags=len(rows), kappa=_kappa(rows)) for count, rows in tables.items()]
    return sorted(groups, key=lambda group: (-group.tags, -group.annotators))


def _kappa(rows: Sequence[tuple[int, int, int]]) -> float | None:
    """Kappa of (N, 3) counts by verdict; by chance alone all would agree, and it is 0/0, if only one verdict occurs."""
    table = np.array(rows)
    if np.count_nonzero(table.sum(axis=0)) < 2:
        return None
    return float(fleiss_kappa(table))
