"""Intervals of F1 over the videos of a split, for one evaluation and for the difference of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..comparison.bootstrap import Floats, draw_in_parts, f1_by_drawing, interval, outcomes
from ..evaluation import Evaluation

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
        return Estimate(self.values[group], *interval(self.drawn[group], self.values[group]))

    def minus(self, other: DrawnF1, group: Group) -> Estimate:
        """By how much it is better than another evaluation of the same videos; the interval is paired."""
        points = self.values[group] - other.values[group]
        return Estimate(points, *interval(self.drawn[group] - other.drawn[group], points))
