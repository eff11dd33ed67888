"""What the documents show: sections made from the measures of a grid, and tables as text.

Titles, columns and cells are made once; Markdown and HTML show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .case_studies import Case, case_studies
from .charts import Line, sweep_plot
from .grid import OURS, PAPER, Row, Table
from .measures import Measures, RowMeasures, RunMeasures, Spread, margin
from .paper_figures import (
    MARGIN_FULL,
    MARGIN_RARE,
    TABLE_1,
    TABLE_1_PRETRAINED,
    TABLE_2,
    TABLE_3,
    SystemFigures,
    Triple,
)
from .plan import Plan
from .prompt_orders import PromptOrders

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


GROUPS = ("full", "rare", "common")


NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Columns and rows; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def table_texts(table: Table, measures: Measures, seeds: int) -> list[TextTable]:
    """What a table of the grid shows, the costs of its rows last.

    Args:
        seeds: how many runs a row has when it is complete.
    """
    rows = [(row, measures.row(row.choice)) for row in table.rows]
    if table.kind == "systems":
        shown = [_systems(rows, seeds), *_margins(rows)]
    elif table.kind == "novel":
        shown = [_novel(rows, seeds)]
    else:
        shown = [_groups(rows, seeds, table.setting or "")]
    return [*shown, _costs(rows)]


Rows = Sequence[tuple[Row, RowMeasures]]


def _systems(rows: Rows, seeds: int) -> TextTable:
    rates = ("P", "R", "F1")
    columns = ("system", "runs", *(f"{group} {rate}" for group in (*GROUPS, "example") for rate in rates))
    written: list[tuple[str, ...]] = []
    for row, measured in rows:
        cells = [cell for group in (*GROUPS, "example") for cell in _rates(measured, group)]
        written.append((row.label, _count(measured, seeds), *cells))
        for name, figures in _paper_rows(row).items():
            written.append((f"  paper, {name}", "", *_paper_cells(figures)))
    return TextTable(columns=columns, rows=tuple(written))


def _paper_rows(row: Row) -> dict[str, SystemFigures]:
    system = row.choice.system
    if row.choice == OURS or system not in TABLE_1:  # the paper's figures stand at its own setting
        return {}
    if row.choice.pretrained is not None:
        return {"CREATE-3M + CREATE-210K": TABLE_1_PRETRAINED[system]}
    return {"CREATE-210K": TABLE_1[system], "Pexel": TABLE_2[system]}


def _paper_cells(figures: SystemFigures) -> tuple[str, ...]:
    groups: tuple[Triple, ...] = (figures.full, figures.rare, figures.common, figures.example)
    return tuple(f"{value:.1f}" for group in groups for value in group)


def _rates(measured: RowMeasures, group: str) -> tuple[str, str, str]:
    place = ("example_based",) if group == "example" else ("label_based", group)
    precision, recall = (spread_text(measured.rate(*place, name)) for name in ("precision", "recall"))
    return precision, recall, spread_text(measured.f1(group))


def _margins(rows: Rows) -> list[TextTable]:
    ours = next(measured for row, measured in rows if row.choice == OURS)
    plain = {row.label: measured for row, measured in rows if row.choice.system != OURS.system}
    written = []
    for group, paper in (("full", MARGIN_FULL), ("rare", MARGIN_RARE)):
        found = margin(group, ours, plain)
        if found is not None:
            inside = f"{found.points:+.1f} ({found.low:+.1f} to {found.high:+.1f})"
            written.append((f"{group} F1", found.other, inside, f"{paper:+.1f}"))
    if not written:
        return []
    columns = (
        "op-tsg minus the best other system",
        "best other",
        "points (95 % interval, paired)",
        "paper, CREATE-210K",
    )
    return [TextTable(columns=columns, rows=tuple(written), caption="Margins")]


def _novel(rows: Rows, seeds: int) -> TextTable:
    columns = (
        "system",
        "runs",
        "novel tags written a video",
        "exact hits",
        "true tags unseen in training",
        "precision of novel tags",
        "recall of unseen tags",
        "paper: matched a video (people)",
        "paper: tag gain Δ (people)",
    )
    written = []
    for row, measured in rows:
        matched, gain = TABLE_3.get(row.choice.system, (None, None))
        cells = (
            spread_text(measured.number("novel", "predicted_per_item"), digits=2),
            spread_text(measured.number("novel", "hits")),
            spread_text(measured.number("novel", "unseen_true_tags"), digits=0),
            spread_text(measured.rate("novel", "precision")),
            spread_text(measured.rate("novel", "recall")),
        )
        paper = (
            NOTHING if matched is None else f"{matched:.2f}",
            NOTHING if gain is None else f"{gain:.2f} %",
        )
        written.append((row.label, _count(measured, seeds), *cells, *paper))
    return TextTable(columns=columns, rows=tuple(written))


def _groups(rows: Rows, seeds: int, setting: str) -> TextTable:
    columns = (
        setting or "run",
        "runs",
        *(name for group in GROUPS for name in (f"{group} F1", f"paper {group}")),
        "example F1",
        "validation full F1",
    )
    written = []
    for row, measured in rows:
        paper = [NOTHING] * 3 if row.paper is None else [f"{value:.1f}" for value in row.paper]
        cells = [
            cell
            for group, figure in zip(GROUPS, paper, strict=True)
            for cell in (spread_text(measured.f1(group)), figure)
        ]
        last = (spread_text(measured.f1("example")), spread_text(measured.validation_f1()))
        written.append((row.label, _count(measured, seeds), *cells, *last))
    return TextTable(columns=columns, rows=tuple(written))


def _costs(rows: Rows) -> TextTable:
    columns = ("run", "trained parameters", "training minutes", "tags a second", "tags a video", "validation full F1")
    written = []
    for row, measured in rows:
        parameters = measured.cost("trained_parameters")
        written.append(
            (
                row.label,
                NOTHING if parameters is None else f"{parameters.mean / 1e6:.2f} M",
                spread_text(measured.minutes()),
                spread_text(measured.cost("tags_per_second"), digits=0),
                spread_text(measured.number("tags_per_item")),
                spread_text(measured.validation_f1()),
            )
        )
    return TextTable(columns=columns, rows=tuple(written), caption="Cost")


def _count(measured: RowMeasures, seeds: int) -> str:
    return f"{len(measured.runs)} of {seeds}"


def spread_text(spread: Spread | None, *, digits: int = 1) -> str:
    """Mean ± standard deviation over seeds (interval over videos), what there is of it: "38.6 ± 1.5 (36.1–41.0)"."""
    if spread is None:
        return NOTHING
    text = f"{spread.mean:.{digits}f}"
    if spread.sd is not None:
        text += f" ± {spread.sd:.{digits}f}"
    if spread.low is not None and spread.high is not None:
        text += f" ({spread.low:.{digits}f}–{spread.high:.{digits}f})"
    return text


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
