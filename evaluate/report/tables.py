"""Tables that the page's script sorts and searches; without it they read the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..scores.bootstrap import Estimate
from .page import Html, element


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: what is shown; plain text is escaped.
        value: what is sorted by; text where it is ``None``.
        is_name: whether it is a tag or other text, which the search looks in.
        kind: its class, if any.
    """

    content: str | Html
    value: float | None = None
    is_name: bool = False
    kind: str | None = None


def sortable_table(
    table_id: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    sorted_by: str | None,
    label: str,
    things: str,
    descending: bool = True,
    search: bool = True,
) -> Html:
    """A table in a frame that scrolls, with headings that sort and, above it, a search over its names.

    Args:
        table_id: the element's id.
        columns: headings.
        rows: cells in the order of the columns, the first of which names the row.
        sorted_by: the heading that the rows are sorted by.
        label: what it shows, for screen readers.
        things: what a row is, in singular, for the count of those found.
        descending: the direction of ``sorted_by``.
        search: whether there is a search.
    """
    direction = "descending" if descending else "ascending"
    texts = [row.is_name for row in rows[0]] if rows else [False] * len(columns)
    head = element(
        "tr",
        *(
            element(
                "th",
                element("button", name, type="button", data_column=number, data_text=texts[number]),
                scope="col",
                aria_sort=direction if name == sorted_by else "none",
                class_="name" if texts[number] else None,
            )
            for number, name in enumerate(columns)
        ),
    )
    body = (element("tr", *(_cell(number, cell) for number, cell in enumerate(row))) for row in rows)
    table = element(
        "table", element("thead", head), element("tbody", *body), class_="numbers tags", id=table_id, data_sortable=True
    )
    frame = element("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)
    return element("div", *([search_field(table_id, len(rows), things)] if search else []), frame)


def search_field(table_id: str, rows: int, things: str) -> Html:
    """A search over the names in a table's rows."""
    field = f"{table_id}-filter"
    return element(
        "label",
        f"Find a {things} ",
        element("input", type="search", id=field, data_table=table_id, autocomplete="off", spellcheck="false"),
        element("output", count_of(rows, things), data_things=things, for_=field),
        class_="search",
    )


def count_of(number: int, things: str) -> str:
    """With the thing in singular or plural: 1 tag, 2 tags."""
    return f"{number:,} {things}" + ("" if number == 1 else "s")


def _cell(number: int, cell: Cell) -> Html:
    if number == 0:
        return element("th", cell.content, scope="row", dir="auto" if cell.is_name else None, class_=cell.kind)
    kind = " ".join(part for part in ("name" if cell.is_name else "", cell.kind or "") if part)
    return element("td", cell.content, dir="auto" if cell.is_name else None, data_value=cell.value, class_=kind or None)


def bar(rate: float) -> Html:
    """A rate in [0, 1] as a bar and as percent."""
    track = element("span", element("i", style=f"width:{100 * rate:.1f}%"), class_="track", aria_hidden="true")
    return element("span", track, element("b", percent(rate)), class_="bar")


def percent(rate: float) -> str:
    """A rate in [0, 1] as a percentage with one decimal, the way the paper prints it."""
    return f"{100 * rate:.1f}"


def between(estimate: Estimate) -> str:
    """The interval of an estimate in percent; nothing where the videos leave none."""
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}" if estimate.low < estimate.high else "–"


def metric_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> Html:
    """A small table: its first column names the row, the others are numbers."""
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = (
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    )
    table = element("table", element("thead", head), element("tbody", *body), class_="numbers")
    return element("div", element("h3", title), table, element("p", note, class_="note"), class_="metric")
