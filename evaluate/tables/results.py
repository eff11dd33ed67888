"""What the documents show: sections made from the measures of a grid.

Titles, columns and cells are made once; Markdown and HTML show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .case_studies import Case, case_studies
from .charts import Line, sweep_plot
from .grid import PAPER, Table
from .measures import Measures, RunMeasures
from .plan import Plan
from .prompt_orders import PromptOrders
from .text_tables import GROUPS, TextTable, headline, table_texts

READING = (
    "Cells are mean ± standard deviation over seeds (n − 1). In brackets stands the 95 % bootstrap interval over test videos: "
    "1,000 drawings with repetition, the seeds averaged inside each, centred on the mean. Rare and common tags are told apart "
    "once, on the whole split, and a tag that a drawing does not contain is left out of that drawing's means. All choices are "
    "made on the validation split. The best of a column is bold; the paper's figures, which are on other data, do not compete."
)
"""How to read the cells."""


NO_TITLE = "(no title)"
"""Stands for the title of a video that has none."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of the paper: what it says, the command that makes it, what to know, its tables and its plot."""

    key: str
    title: str
    headline: str
    command: str
    note: str
    tables: Sequence[TextTable]
    plot: str | None = None


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


def collect(
    plan: Plan,
    measures: Measures,
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
            headline=headline(table, measures),
            command=plan.asked.command(table.key),
            note=NOTES[table.kind],
            tables=table_texts(table, measures, len(plan.asked.seeds)),
            plot=_plot(table, measures),
        )
        for table in plan.tables
    ]
    return Results(facts=facts, sections=sections, orders=orders, cases=case_studies(measures), missing=missing)


def _plot(table: Table, measures: Measures) -> str | None:
    if table.kind != "sweep":
        return None
    rows = [measures.row(row.choice) for row in table.rows]
    lines = [Line(group, [row.f1(group) for row in rows]) for group in GROUPS]
    return sweep_plot(table.title, table.setting, [row.label for row in table.rows], lines)


def shown_run(measures: Measures) -> RunMeasures | None:
    """The run that Figure 3 shows: the first finished one that decodes in the prompts' order, as the paper's."""
    return next(iter(measures.row(PAPER).runs), None)


NOTES: Mapping[str, str] = {
    "systems": "Percent. P, R and F1 are means over tags (full, rare, common) and over videos (example). The paper's figures "
    'are on other data (CREATE-210K and Pexel-tagging) and show differences, not levels, to compare with. "Instead" stands what '
    "needs no network and seconds to fit; the paper has no such rows.",
    "novel": "Novel tags are those outside the training tag set. Hits are exact matches with annotated tags that training "
    "never saw. The paper's figures were judged by people and are another measure.",
    "groups": "Test F1 in percent beside the paper's on CREATE-210K.",
    "sweep": "Test F1 in percent beside the paper's on CREATE-210K; all else is the same in every row. The row without a "
    "figure of the paper is this size's own setting.",
}
"""What a reader should know, by kind of table."""
