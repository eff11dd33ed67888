"""Cells of CSV that a spreadsheet shows as they are: titles and file names come from anybody, and ``=…`` would be a formula."""

from __future__ import annotations

import re

TAG_COLUMNS = ("path", "title", "tags", "scores", "novel", "error", "details")
"""Of the tables that ``optsg-tag`` writes, whose cells are so written and which are metadata again."""


_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def as_cell(text: str) -> str:
    """``text`` with an apostrophe before it where a spreadsheet would take it, or what is left without one, for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Inverse of :func:`as_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
