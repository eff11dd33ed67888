"""What the finished runs of a grid measured, read from their folders, and put together by row."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import JSON_DAMAGE, read_json
from ...data.tag_table import TagTable
from ...train.loop.saved_states import read_progress
from ...train.run_files import TAG_TABLE
from ..scores.bootstrap import Floats, draw, f1_by_drawing, interval, outcomes
from ..scores.predictions import ItemPrediction, read_predictions
from .grid import Choice
from .plan import Plan


@dataclass(frozen=True)
class RunMeasures:
    """One finished run; what is large is read when it is asked for."""

    folder: Path

    @cached_property
    def test(self) -> dict[str, Any]:
        """``metrics.json`` of the test split."""
        return _read(self.folder / "eval" / "test" / "metrics.json")

    @cached_property
    def validation(self) -> dict[str, Any] | None:
        """``metrics.json`` of the validation split, where there is one."""
        path = self.folder / "eval" / "val" / "metrics.json"
        return _read(path) if path.is_file() else None

    @cached_property
    def items(self) -> list[ItemPrediction]:
        """Predictions for the test split."""
        return read_predictions(self.folder / "eval" / "test" / "predictions.jsonl")

    @cached_property
    def train_counts(self) -> dict[str, int]:
        """Training occurrences by tag key."""
        return TagTable.load(self.folder / TAG_TABLE).count_of

    @cached_property
    def drawn_f1(self) -> dict[str, Floats]:
        """F1 of every bootstrap drawing, by group."""
        return f1_by_drawing(outcomes(self.items, self.train_counts), draw(len(self.items)))

    @property
    def minutes(self) -> float | None:
        """Wall time of training with its validations."""
        progress = read_progress(self.folder)
        return None if progress is None else progress.seconds / 60

    def cost(self, name: str) -> Any:
        """A number of :class:`optsg.evaluate.scores.evaluation.Cost`, ``None`` where it was not measured."""
        return self.test.get("cost", {}).get(name)


def _read(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = read_json(path, finite=False)
        document["label_based"], document["example_based"], document["novel"]
    except JSON_DAMAGE as error:
        raise RunError(f"{path} cannot be read ({reason_of(error)}); remove it and run optsg-tables again") from error
    return document


@dataclass(frozen=True)
class Spread:
    """A measure over seeds: ``sd`` (n - 1) is ``None`` for one seed, ``low`` and ``high`` where there is no bootstrap."""

    mean: float
    sd: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class RowMeasures:
    """The finished runs of a row, one per seed."""

    runs: Sequence[RunMeasures]

    def rate(self, *path: str) -> Spread | None:
        """A rate of the test split in percent by its place in ``metrics.json``; ``None`` without a run."""
        return _spread([100 * _look_up(run.test, path) for run in self.runs])

    def f1(self, group: str) -> Spread | None:
        """Test F1 in percent of full, rare, common or example, with its bootstrap interval."""
        spread = self.rate(*(("example_based",) if group == "example" else ("label_based", group)), "f1")
        if spread is None:
            return None
        low, high = interval(100 * self.drawn_f1(group), spread.mean, (0.0, 100.0))
        return Spread(spread.mean, spread.sd, low, high)

    def drawn_f1(self, group: str) -> Floats:
        """F1 of every drawing, the seeds averaged inside it."""
        drawn: Floats = np.mean([run.drawn_f1[group] for run in self.runs], axis=0)
        return drawn

    def validation_f1(self) -> Spread | None:
        """Full F1 on validation in percent, which options are chosen by."""
        documents = [run.validation for run in self.runs if run.validation is not None]
        return _spread([100 * _look_up(document, ("label_based", "full", "f1")) for document in documents])

    def number(self, *path: str) -> Spread | None:
        """A number of the test split as it stands."""
        return _spread([_look_up(run.test, path) for run in self.runs])

    def minutes(self) -> Spread | None:
        """Training time of every run in minutes, as mean and spread."""
        return _spread([run.minutes for run in self.runs if run.minutes is not None])

    def cost(self, name: str) -> Spread | None:
        """A number of the prediction's cost."""
        values = [run.cost(name) for run in self.runs]
        return _spread([float(value) for value in values if value is not None])


def _look_up(document: Mapping[str, Any], path: Sequence[str]) -> float:
    value: Any = document
    for key in path:
        value = value[key]
    return float(value)


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


class Measures:
    """All rows of a grid.

    Args:
        runs: the folder of all runs.
        finished: names of the runs that are.
    """

    def __init__(self, plan: Plan, runs: Path, finished: set[str]):
        self._plan, self._runs, self._finished = plan, runs, finished
        # Figures ask for a system as it is by default, which may stand in the tables as a point of a sweep alone.
        self._planned = {**{(run.choice, run.seed): run for run in plan.distinct}, **plan.runs}
        self._read: dict[str, RunMeasures] = {}

    def row(self, choice: Choice) -> RowMeasures:
        """The finished runs of a choice, in the order of the seeds."""
        planned = [self._planned.get((choice, seed)) for seed in self._plan.asked.seeds]
        return RowMeasures([self._run(run.name) for run in planned if run is not None and run.name in self._finished])

    def _run(self, name: str) -> RunMeasures:
        return self._read.setdefault(name, RunMeasures(self._runs / name))

    def every_run(self) -> list[RunMeasures]:
        """Every finished run once."""
        return [self._run(run.name) for run in self._plan.distinct if run.name in self._finished]


@dataclass(frozen=True)
class Margin:
    """Points of F1 by which one row beats another, with the paired bootstrap interval."""

    group: str
    other: str
    points: float
    low: float
    high: float


def margin(group: str, ours: RowMeasures, others: Mapping[str, RowMeasures]) -> Margin | None:
    """Ours against the best of the others by this group's test F1; ``None`` where there is nothing to compare."""
    scores = {name: row.f1(group) for name, row in others.items()}
    known = {name: score.mean for name, score in scores.items() if score is not None}
    mine = ours.f1(group)
    if mine is None or not known:
        return None
    best = max(known, key=lambda name: known[name])
    points = mine.mean - known[best]
    low, high = interval(100 * (ours.drawn_f1(group) - others[best].drawn_f1(group)), points, (-100.0, 100.0))
    return Margin(group=group, other=best, points=points, low=low, high=high)
