"""What the documents show: sections made from the measures of a grid."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..report_markup import Html
from .case_studies import Case, case_studies
from .grid import PAPER, Table
from .measures import Measures, RunMeasures
from .plan import Plan
from .plots import Line, sweep_plot
from .prompt_orders import PromptOrders
from .table_text import GROUPS, NOTES, TextTable, table_texts

READING = (
    "Cells are mean ± standard deviation over seeds (n − 1). In brackets stands the 95 % bootstrap interval over test videos: "
    "1,000 drawings with repetition, the seeds averaged inside each, centred on the mean. Rare and common tags are told apart "
    "once, on the whole split, and a tag that a drawing does not contain is left out of that drawing's means. All choices are "
    "made on the validation split."
)
"""How to read the cells."""

NO_TITLE = "(no title)"
"""Stands for the title of a video that has none."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of the paper: the command that makes it, what to know, its tables and its plot."""

    key: str
    title: str
    command: str
    note: str
    tables: Sequence[TextTable]
    plot: Html | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that is written.

    Attributes:
        facts: what was compared, as name and value.
        missing: lines about rows that are not there.
    """

    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    orders: PromptOrders | None
    cases: Sequence[Case]
    missing: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The options that a table's command repeats."""

    feats: Path
    out: Path
    seeds: Sequence[int]
    size: str
    settings: Sequence[str]
    pretrained: Sequence[Path]
    quick: bool

    def command(self, key: str) -> str:
        """The command that trains and writes one table."""
        words = ["optsg-tables", "--feats", str(self.feats), "--out", str(self.out), "--tables", key]
        words += ["--seeds", ",".join(map(str, self.seeds)), "--size", self.size]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [word for run in self.pretrained for word in ("--pretrained", str(run))]
        return shlex.join(words + ["--quick"] * self.quick)


def collect(
    plan: Plan,
    measures: Measures,
    invocation: Invocation,
    *,
    facts: Sequence[tuple[str, str]],
    orders: PromptOrders | None,
    missing: Sequence[str],
) -> Results:
    """All sections of the grid."""
    sections = [
        Section(
            key=table.key,
            title=table.title,
            command=invocation.command(table.key),
            note=NOTES[table.kind],
            tables=table_texts(table, measures, len(plan.seeds)),
            plot=_plot(table, measures),
        )
        for table in plan.tables
    ]
    return Results(facts=facts, sections=sections, orders=orders, cases=case_studies(measures), missing=missing)


def _plot(table: Table, measures: Measures) -> Html | None:
    if table.kind != "sweep":
        return None
    rows = [measures.row(row.choice) for row in table.rows]
    lines = [Line(group, [row.f1(group) for row in rows]) for group in GROUPS]
    return sweep_plot(table.title, table.setting, [row.label for row in table.rows], lines)


def shown_run(measures: Measures) -> RunMeasures | None:
    """The run that Figure 3 shows: the first finished one that decodes in the prompts' order, as the paper's."""
    return next(iter(measures.row(PAPER).runs), None)
