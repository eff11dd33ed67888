"""``docs/inputs.md`` lists every suffix, column, synonym and split name that the code knows, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from optsg.data.inputs.metadata.columns import COLUMNS, SYNONYMS
from optsg.data.inputs.metadata.metadata_table import TABLE_SUFFIXES
from optsg.data.inputs.splits import parse_split
from optsg.data.media import IMAGE_SUFFIXES, VIDEO_SUFFIXES

PAGE = (Path(__file__).parents[3] / "docs" / "inputs.md").read_text(encoding="utf-8")


def cells(first: str) -> list[str]:
    """Cells of the one row that begins with this cell."""
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {first} |"))
    return row.strip("|").split("|")


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]*)`", text)


@pytest.mark.parametrize(("kind", "suffixes"), [("video", VIDEO_SUFFIXES), ("image", IMAGE_SUFFIXES)])
def test_suffixes(kind: str, suffixes: frozenset[str]) -> None:
    assert quoted(cells(kind)[1]) == sorted(suffixes)


def test_columns_and_their_other_names() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    assert [quoted(row.strip("|").split("|")[0])[0] for row in rows] == list(COLUMNS)
    for name in COLUMNS:
        assert tuple(quoted(cells(f"`{name}`")[1])) == SYNONYMS.get(name, ())


def test_names_of_splits() -> None:
    from optsg.data.inputs.splits import _NAMES

    named = quoted(cells("`split`")[2])
    assert sorted(named) == sorted([*_NAMES, "none"])
    assert all(parse_split(name) for name in named)


def test_tables() -> None:
    (line,) = re.findall(r"`metadata.jsonl`.*?\(a list", PAGE, re.DOTALL)
    assert sorted(name.removeprefix("metadata") for name in quoted(line)) == sorted(TABLE_SUFFIXES)
