"""Two or more evaluations of the same videos side by side; the first one is what the others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ...data.errors import RunError
from ...data.metrics import TagScore
from ...data.tags import tag_key
from .bootstrap import DrawnF1
from .evaluation import Evaluation
from .predictions import ItemPrediction
from .saved import SavedEvaluation

MOST_RUNS = 4
"""More lines cannot be told apart in a plot."""


@dataclass(frozen=True)
class Comparison:
    """Evaluations that :func:`check_same_videos` has passed.

    Attributes:
        names: how each is called, in the order of ``runs``.
    """

    names: Sequence[str]
    evaluations: Sequence[Evaluation]

    @classmethod
    def of(cls, runs: Sequence[SavedEvaluation]) -> Comparison:
        """Checks and names runs; errors as :func:`check_same_videos`."""
        check_same_videos(runs)
        short = [saved.run.resolve().name for saved in runs]
        names = short if len(set(short)) == len(short) else [str(saved.run) for saved in runs]
        return cls(names, [_in_order(saved.evaluation, runs[0].evaluation) for saved in runs])

    @cached_property
    def drawn(self) -> list[DrawnF1]:
        """F1 of each with its drawings, which are paired."""
        return [DrawnF1.of(evaluation) for evaluation in self.evaluations]

    @cached_property
    def tags(self) -> list[TagRow]:
        """Every tag of training and of the split; the largest difference times the tag's videos first."""
        rows = [TagRow(scores) for scores in zip(*(each.per_tag for each in self.evaluations), strict=True)]
        return sorted(rows, key=lambda row: (-row.weight, -row.scores[0].train_count, row.scores[0].key))

    @cached_property
    def videos(self) -> list[VideoRow]:
        """Every video; those that the runs differ on most first."""
        rows = [VideoRow(items) for items in zip(*(each.items for each in self.evaluations), strict=True)]
        return sorted(rows, key=lambda row: (-row.spread, row.items[0].id))


@dataclass(frozen=True)
class TagRow:
    """One tag's scores by every run."""

    scores: Sequence[TagScore]

    @property
    def differences(self) -> list[float]:
        """F1 of every other run less that of the first."""
        return [score.f1 - self.scores[0].f1 for score in self.scores[1:]]

    @property
    def weight(self) -> float:
        """The largest difference, whatever its sign, times the videos with the tag: of one video, F1 is all or nothing."""
        return max(map(abs, self.differences)) * self.scores[0].test_count


@dataclass(frozen=True)
class VideoRow:
    """One video as every run tagged it."""

    items: Sequence[ItemPrediction]

    @cached_property
    def f1(self) -> list[float]:
        """F1 of the video's tags by each run."""
        return [video_f1(item) for item in self.items]

    @property
    def differences(self) -> list[float]:
        """F1 of every other run less that of the first."""
        return [f1 - self.f1[0] for f1 in self.f1[1:]]

    @property
    def spread(self) -> float:
        """The largest difference, whatever its sign."""
        return max(map(abs, self.differences))


def video_f1(item: ItemPrediction) -> float:
    """F1 of one video over all its tags; 0 where there is nothing to find and nothing was found."""
    true = {tag_key(tag) for tag in item.true}
    predicted = {tag_key(tag.text) for tag in item.tags}
    return 2 * len(true & predicted) / max(len(true) + len(predicted), 1)


def check_same_videos(runs: Sequence[SavedEvaluation]) -> None:
    """Whether runs can be compared: the same videos, annotated tags and training tags.

    Feature stores may differ: other features of the same videos are a fair comparison.

    Raises:
        RunError: they differ; the message says in what.
    """
    if len(runs) > MOST_RUNS:
        raise RunError(f"{len(runs)} runs are given, and at most {MOST_RUNS} can be compared at once")
    for other in runs[1:]:
        _check_pair(runs[0], other)


def _check_pair(first: SavedEvaluation, other: SavedEvaluation) -> None:
    ours = {item.id: item for item in first.evaluation.items}
    theirs = {item.id: item for item in other.evaluation.items}
    if ours.keys() != theirs.keys():
        lacking = sorted(ours.keys() - theirs.keys()) or sorted(theirs.keys() - ours.keys())
        raise RunError(
            f"{first.folder} and {other.folder} cannot be compared: they are of different videos, {len(ours):,} and "
            f"{len(theirs):,}; {lacking[0]!r} is in one of them only. Evaluate both on the same split of the same store"
        )
    for video, item in ours.items():
        if {*map(tag_key, item.true)} != {*map(tag_key, theirs[video].true)}:
            raise RunError(
                f"{first.folder} and {other.folder} cannot be compared: the annotated tags of {video!r} differ. "
                "Evaluate both on stores that were made from the same videos"
            )
    if first.evaluation.train_counts != other.evaluation.train_counts:
        raise RunError(
            f"{first.run} and {other.run} cannot be compared: they were trained on different training videos, so that "
            "other tags are rare, common and novel. Train both on the same split"
        )


def _in_order(evaluation: Evaluation, first: Evaluation) -> Evaluation:
    """The evaluation with its videos in the order of the first one's, so that drawings are paired."""
    by_id = {item.id: item for item in evaluation.items}
    return replace(evaluation, items=[by_id[item.id] for item in first.items])
