"""What metadata says about one video, checked: the columns ``id``, ``title``, ``tags``, ``split`` and for tagging two more.

Every source (tables, yt-dlp, shards) hands its values to :func:`parse_record`, so a column means the same everywhere.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from ..media import Split
from ..tags import unique_tags
from .relative_paths import printable
from .splits import parse_split

PINNED, FORBIDDEN = "pinned_tags", "forbidden_tags"
"""Columns for tagging; their names are unlikely to stand in a table for anything else."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Checked metadata of one video; ``None`` and empty values are what the metadata leaves open."""

    id: str | None = None
    title: str = ""
    tags: tuple[str, ...] = ()
    split: Split | None = None
    pinned: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


def parse_record(values: Mapping[str, object]) -> Record:
    """Checked record of the columns below; others are ignored, absent ones are empty.

    - ``id``: text or an integer.
    - ``title``: text, kept in full; control characters and runs of white space become one space.
    - ``tags``: a list of texts, or one text that is split at commas (or is itself a JSON or Python list, which is what
      pandas writes into a CSV). A tag in a list keeps its commas.
    - ``split``: see :func:`optsg.data.inputs.splits.parse_split`.
    - ``pinned_tags``, ``forbidden_tags``: as ``tags``; ``optsg-tag`` heeds them, extraction does not.

    Raises:
        InputError: a column has another type or an unknown value. The message does not say where; the caller does.
    """
    return Record(
        id=parse_id(values),
        title=_clean_text(_text("title", values.get("title"))),
        tags=unique_tags(_tag_list("tags", values.get("tags"))),
        split=parse_split(_text("split", values.get("split"))),
        pinned=unique_tags(_tag_list(PINNED, values.get(PINNED))),
        forbidden=unique_tags(_tag_list(FORBIDDEN, values.get(FORBIDDEN))),
    )


def parse_id(values: Mapping[str, object]) -> str | None:
    """The column ``id`` alone, ``None`` if it is empty; raises as :func:`parse_record`."""
    value = values.get("id")
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return _clean_text(str(value) if is_integer else _text("id", value)) or None


def id_or(values: Mapping[str, object], default: str) -> str:
    """Usable id of a failed input: a failure carries the id that its input will have once it is mended."""
    try:
        return parse_id(values) or printable(default)
    except InputError:
        return printable(default)


def _clean_text(text: str) -> str:
    return " ".join(printable(text).split())


def _is_missing(value: object) -> bool:
    """Null, or the not-a-number with which pandas marks a missing value."""
    return value is None or (isinstance(value, float) and value != value)


def _text(column: str, value: object) -> str:
    if _is_missing(value):
        return ""
    if not isinstance(value, str):
        raise InputError(f"{column} is {_describe(value)}, expected text")
    return value


def _tag_list(column: str, value: object) -> list[str]:
    if _is_missing(value):
        return []
    if isinstance(value, str):
        written = _written_list(value)
        return value.split(",") if written is None else written
    if not isinstance(value, list):
        raise InputError(f"{column} is {_describe(value)}, expected a list of texts, or one text with commas")
    tags = [tag for tag in value if not _is_missing(tag)]
    for tag in tags:
        if not isinstance(tag, str):
            raise InputError(f"{column} holds {_describe(tag)}, expected texts only")
    return tags


def _written_list(text: str) -> list[str] | None:
    """The list that ``text`` writes out in JSON or Python, ``None`` if it is anything but a list of texts."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for parse in (json.loads, _python_literal):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list) and all(isinstance(tag, str) for tag in value):
            return value
    return None


def _python_literal(text: str) -> object:
    with warnings.catch_warnings():  # a backslash in a tag is no reason to warn
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)


def _describe(value: object) -> str:
    """``a number (5)``: type and beginning of a value, in the words of JSON."""
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bool):
        return str(value).lower()
    kind = "a number" if isinstance(value, (int, float)) else "text" if isinstance(value, str) else type(value).__name__
    return f"{kind} ({value!r:.40})"
