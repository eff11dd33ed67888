"""What a metadata table has, row by row counted, and what in it looks as if it were meant in another way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ...errors import InputError
from .class_names import ClassName
from .columns import MetadataOptions
from .metadata_table import MetadataTable, Row
from .tag_cells import is_missing, tag_texts

ROWS_BEFORE_READING = 10_000
"""Rows that are looked at before an extraction begins."""


MARKS = {
    ";": re.compile("[;；]"),
    "|": re.compile("[|｜]"),
    "#": re.compile(r"\s#|#\w+#\w"),
    " ": re.compile(r"\w_\w+\s+\w|\w\s+\w+_\w"),
}
"""What may separate tags in a text that no comma separates; words with underscores are a sign that a space does."""


LONGEST_EXAMPLE = 40


LOOKED_AT = 200
"""Characters of a tag in which marks are looked for: what a mark is made of may be looked for from every character on."""


@dataclass(kw_only=True)
class TableSurvey:
    """Counts over the rows of one table.

    Attributes:
        label: the table's name for people.
        table: the table.
        options: how it is read.
        rows: rows counted.
        is_whole: whether there are no others.
        filled: rows that have something, by what the column is read as.
        single: rows with one tag that holds a mark, by mark.
        example: one of these tags, by mark.
    """

    label: str
    table: MetadataTable
    options: MetadataOptions
    rows: int = 0
    is_whole: bool = True
    filled: Counter[str] = field(default_factory=Counter)
    single: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)

    def notes(self, *, needs_all: bool = True) -> Iterator[str]:
        """What people should know before hours of decoding, a sentence each; ``needs_all``: that a column is missing, too."""
        yield from self.table.columns.taken(self.label, self.options)
        if needs_all:
            yield from self.table.columns.missing(self.label)
        where = "all rows" if self.is_whole else f"the first {self.rows:,} rows"
        for name in ("title", "tags") if needs_all else ():
            if name in self.table.columns.source and not self.filled[name]:
                yield f"{self.label}: column {self.table.columns.source[name]} is empty in {where}"
        mark, count = max(self.single.items(), key=lambda pair: pair[1], default=("", 0))
        if 2 * count > self.filled["tags"]:
            yield (
                f"{self.label}: {count:,} of {self.filled['tags']:,} rows with tags have one tag with {mark!r} in it, such as "
                f"{self.example[mark][:LONGEST_EXAMPLE]!r}; if it separates tags, say --tag-separator '{mark}'"
            )

    def _count(self, row: Row) -> None:
        self.rows += 1
        self.filled.update(
            name for name, value in row.values.items() if not is_missing(value) and value not in ("", [])
        )
        value = row.values.get("tags")
        if not isinstance(value, str) or isinstance(value, ClassName):
            return
        if tag := _single_tag(value, self.options.tag_separator):
            for mark, pattern in MARKS.items():
                if pattern.search(tag, 0, LOOKED_AT):
                    self.single[mark] += 1
                    self.example.setdefault(mark, tag)


def survey_table(label: str, table: MetadataTable, options: MetadataOptions, limit: int | None = None) -> TableSurvey:
    """Counts the rows of a table, at most ``limit``."""
    survey = TableSurvey(label=label, table=table, options=options)
    rows = table.rows()
    for row in islice(rows, limit):
        survey._count(row)
    survey.is_whole = next(rows, None) is None
    return survey


def _single_tag(text: str, separator: str | None) -> str | None:
    try:
        tags = [tag.strip() for tag in tag_texts("tags", text, separator)]
    except InputError:
        return None
    tags = [tag for tag in tags if tag]
    return tags[0] if len(tags) == 1 else None
