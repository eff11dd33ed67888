"""The tables of a section as text: their cells, which of them are best, and what a table says in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .grid import INSTEAD_OF, OURS, Row, Table
from .measures import Margin, Measures, RowMeasures, Spread, margin
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

GROUPS = ("full", "rare", "common")


RATES = ("P", "R", "F1")


NOTHING = "–"


OF_THE_PAPER = "  "
"""How the name of a row begins that holds the paper's figures."""


HIGHEST_IS_BEST = frozenset(
    {
        *(f"{group} {rate}" for group in (*GROUPS, "example") for rate in RATES),
        "validation full F1",
        "exact hits",
        "precision of novel tags",
        "recall of unseen tags",
        "tags a second",
    }
)


LOWEST_IS_BEST = frozenset({"training minutes"})


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Columns and rows; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def detailed(self) -> frozenset[int]:
        """The columns with precision and recall, which F1 sums up."""
        return frozenset(place for place, name in enumerate(self.columns) if name.endswith((" P", " R")))

    @property
    def best(self) -> frozenset[tuple[int, int]]:
        """Row and column of each column's best value, as it is shown; the paper's figures do not compete."""
        found: set[tuple[int, int]] = set()
        for column, name in enumerate(self.columns):
            if name not in HIGHEST_IS_BEST | LOWEST_IS_BEST:
                continue
            shown = {number: row[column] for number, row in enumerate(self.rows) if not is_of_the_paper(row)}
            values = {number: float(cell.split()[0]) for number, cell in shown.items() if cell != NOTHING}
            if len(set(values.values())) > 1:
                best = (max if name in HIGHEST_IS_BEST else min)(values.values())
                found |= {(number, column) for number, value in values.items() if value == best}
        return frozenset(found)


def is_of_the_paper(row: Sequence[str]) -> bool:
    """Whether a row holds the paper's figures."""
    return row[0].startswith(OF_THE_PAPER)


def table_texts(table: Table, measures: Measures, seeds: int) -> list[TextTable]:
    """What a table of the grid shows, the costs of its rows last.

    Args:
        seeds: how many runs a row has when it is complete.
    """
    rows = _measured(table, measures)
    if table.kind == "systems":
        shown = [_systems(rows, seeds), *_margins(rows)]
    elif table.kind == "novel":
        shown = [_novel(rows, seeds)]
    else:
        shown = [_groups(rows, seeds, table.setting or "")]
    return [*shown, _costs(rows)]


Rows = Sequence[tuple[Row, RowMeasures]]


def _measured(table: Table, measures: Measures) -> Rows:
    return [(row, measures.row(row.choice)) for row in table.rows]


def _systems(rows: Rows, seeds: int) -> TextTable:
    columns = ("system", "runs", *(f"{group} {rate}" for group in (*GROUPS, "example") for rate in RATES))
    written: list[tuple[str, ...]] = []
    for row, measured in rows:
        cells = [cell for group in (*GROUPS, "example") for cell in _rates(measured, group)]
        written.append((row.label, _count(measured, seeds), *cells))
        for name, figures in _paper_rows(row).items():
            written.append((f"{OF_THE_PAPER}paper, {name}", "", *_paper_cells(figures)))
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
    ours, plain = _ours_and_others(rows)
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


def _ours_and_others(rows: Rows) -> tuple[RowMeasures, dict[str, RowMeasures]]:
    """The row that the others are compared with, and those of other systems by their names."""
    ours = next(measured for row, measured in rows if row.choice == OURS)
    others = {row.label.removeprefix(INSTEAD_OF): rates for row, rates in rows if row.choice.system != OURS.system}
    return ours, others


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


def headline(table: Table, measures: Measures) -> str:
    """What the finished runs of a table say, in one sentence."""
    rows = _measured(table, measures)
    if table.kind == "systems":
        return _systems_headline(rows)
    if table.kind == "novel":
        return _novel_headline(rows)
    return _groups_headline(rows, table.setting)


def _systems_headline(rows: Rows) -> str:
    ours, others = _ours_and_others(rows)
    reached = ours.f1("full")
    if reached is None:
        return f"There is nothing to compare: {OURS.system} has no finished run."
    said = f"{OURS.system} reaches a full F1 of {reached.mean:.1f} %"
    found = margin("full", ours, others)
    if found is None:
        return f"{said}; no other system has a finished run to compare it with."
    return f"{said}, {_distance(found.points)} the best other system, {found.other}; {_chance(found)}."


def _novel_headline(rows: Rows) -> str:
    recalls = {row.label: measured.rate("novel", "recall") for row, measured in rows}
    known = {name: spread.mean for name, spread in recalls.items() if spread is not None}
    if not known:
        return "There is nothing to compare: no system has a finished run."
    first, *rest = sorted(known, key=lambda name: -known[name])
    if known[first] == 0:
        return "No system finds a true tag that training never saw."
    said = f"{first} finds {known[first]:.1f} % of the true tags that training never saw"
    if not rest:
        return f"{said}."
    if f"{known[rest[0]]:.1f}" == f"{known[first]:.1f}":
        return f"{said}, and so does {rest[0]}."
    return f"{said}; next comes {rest[0]} with {known[rest[0]]:.1f} %."


def _groups_headline(rows: Rows, setting: str) -> str:
    finished = {f"{setting} {row.label}".strip(): measured for row, measured in rows if measured.runs}
    if len(finished) < 2:
        return f"There is nothing to compare: {len(finished)} of {len(rows)} rows have finished runs."
    full = {name: spread.mean for name, measured in finished.items() if (spread := measured.f1("full")) is not None}
    best = max(full, key=lambda name: full[name])
    found = margin("full", finished.pop(best), finished)
    assert found is not None
    which = "" if len(full) == len(rows) else f"Of {len(rows)} rows {len(full)} have finished runs; of these "
    said = f"{which}“{best}” has the highest full F1, {full[best]:.1f} %"
    return f"{said}, {_distance(found.points)} the next, “{found.other}”; {_chance(found)}."


def _distance(points: float) -> str:
    if f"{abs(points):.1f}" == "0.0":
        return "level with"
    return f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"


def _chance(found: Margin) -> str:
    """Whether the difference may be one of the videos that were drawn."""
    inside = f"the interval of the difference, {found.low:+.1f} to {found.high:+.1f},"
    return f"{inside} excludes 0" if found.low > 0 or found.high < 0 else f"{inside} includes 0"
