"""Tables that the page's script sorts and searches; without it they read the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..scores.bootstrap import Estimate


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        content: what is shown.
        value: what is sorted by; text where it is ``None``.
        is_name: whether it is a tag or other text, which the search looks in.
        kind: its class, if any.
        has_bar: whether the content, a percentage, is shown as a bar too.
    """

    content: str
    value: float | None = None
    is_name: bool = False
    kind: str | None = None
    has_bar: bool = False

    @property
    def kinds(self) -> str:
        """The cell's classes in HTML."""
        return " ".join(part for part in ("name" if self.is_name else "", self.kind or "") if part)


@dataclass(frozen=True, kw_only=True)
class SortableTable:
    """A table in a frame that scrolls, with headings that sort and, above it, a search over its names.

    Attributes:
        id: the element's id.
        columns: headings.
        rows: cells in the order of the columns, the first of which names the row.
        sorted_by: the heading that the rows are sorted by, the greatest first.
        label: what it shows, for screen readers.
        things: what a row is, in singular, for the count of those found.
        has_search: whether there is a search.
    """

    id: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    label: str
    things: str
    sorted_by: str | None = None
    has_search: bool = True

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """Every column's heading, and whether it holds text."""
        return [(name, bool(self.rows) and self.rows[0][number].is_name) for number, name in enumerate(self.columns)]


def percent(rate: float) -> str:
    """A rate in [0, 1] as a percentage with one decimal, the way the paper prints it."""
    return f"{100 * rate:.1f}"


def between(estimate: Estimate) -> str:
    """The interval of an estimate in percent; nothing where the videos leave none."""
    return f"{100 * estimate.low:.1f}–{100 * estimate.high:.1f}" if estimate.low < estimate.high else "–"
