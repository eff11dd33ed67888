"""What metadata says about one video, checked: the columns ``id``, ``title``, ``tags``, ``split`` and for tagging two more.

Every source (tables, yt-dlp, shards) hands its values to :func:`parse_record`, so a column means the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ...errors import InputError
from ...media import LABELS, Split
from ...tags import unescaped, unique_tags
from ..relative_paths import printable
from ..splits import parse_split
from .tag_cells import MISSING_WORDS, describe, is_missing, number_text, tag_texts

PINNED, FORBIDDEN = "pinned_tags", "forbidden_tags"
"""Columns for tagging; their names are unlikely to stand in a table for anything else."""


LARGEST_EXACT = 2**53
"""Beyond it not every whole number is one of 64-bit floating point, which a column of numbers becomes where one is missing; the
next one becomes this."""


_SHORTENED = re.compile(r"\d[.,]\d+[eE]\+\d+")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Checked metadata of one video; ``None`` and empty values are what the metadata leaves open.

    Attributes:
        given: those of title, tags and split that the metadata has a column for, be it empty.
    """

    id: str | None = None
    title: str = ""
    tags: tuple[str, ...] = ()
    split: Split | None = None
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()


def parse_record(values: Mapping[str, object], separator: str | None = None) -> Record:
    """Checked record of the columns below; others are ignored, absent ones are empty.

    - ``id``: text or an integer; 1.0, which is what an integer becomes beside missing values, is 1.
    - ``title``: text, kept in full; entities of HTML are what they stand for, control characters and runs of white space one
      space.
    - ``tags``: a list of texts, or one text that is split at commas and line ends, or that writes a list out
      (:mod:`optsg.data.inputs.metadata.tag_cells`). A tag in a list keeps its commas.
    - ``split``: see :func:`optsg.data.inputs.splits.parse_split`.
    - ``pinned_tags``, ``forbidden_tags``: as ``tags``; ``optsg-tag`` heeds them, extraction does not.

    Args:
        values: by column.
        separator: what separates tags in a text, in place of commas.

    Raises:
        InputError: a column has another type or an unknown value. The message does not say where; the caller does.
    """
    return Record(
        id=parse_id(values),
        title=_clean_text(unescaped(_text("title", values.get("title"), MISSING_WORDS))),
        tags=unique_tags(tag_texts("tags", values.get("tags"), separator)),
        split=parse_split(_text("split", values.get("split"), missing=MISSING_WORDS - {"None"})),
        pinned=unique_tags(tag_texts(PINNED, values.get(PINNED), separator)),
        forbidden=unique_tags(tag_texts(FORBIDDEN, values.get(FORBIDDEN), separator)),
        given=frozenset(name for name in LABELS if name in values),
    )


def parse_id(values: Mapping[str, object]) -> str | None:
    """The column ``id`` alone, ``None`` if it is empty; raises as :func:`parse_record`."""
    value = values.get("id")
    if isinstance(value, float) and value.is_integer():
        if abs(value) >= LARGEST_EXACT:
            raise InputError(
                f"id is {value!r}, a number of so many digits that some are lost; export the column as text"
            )
        value = number_text(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    text = _clean_text(str(value) if is_integer else _text("id", value, MISSING_WORDS))
    if _SHORTENED.fullmatch(text):
        raise InputError(f"id is {text!r}, a number that a spreadsheet has shortened; export the column as text")
    return text or None


def id_or(values: Mapping[str, object], default: str) -> str:
    """Usable id of a failed input: a failure carries the id that its input will have once it is mended."""
    try:
        return parse_id(values) or printable(default)
    except InputError:
        return printable(default)


def _clean_text(text: str) -> str:
    return " ".join(printable(text).split())


def _text(column: str, value: object, missing: Collection[str] = ()) -> str:
    if is_missing(value):
        return ""
    if not isinstance(value, str):
        raise InputError(f"{column} is {describe(value)}, expected text")
    return "" if value.strip() in missing else value
