"""One cell of a ``tags`` column as texts: a list, or a text that separates tags or writes a list out.

CSV has no lists, so a list arrives there as whoever wrote the file prints one: JSON, a Python list, tuple or set, or a numpy
array, which puts no commas between its items (``['cat' 'pet']``). What begins as a list and is none is refused: read as a text
with commas it would give tags with brackets and quotes in them.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping

from ...errors import InputError
from .class_names import ClassName

COMMAS = ",，、،､﹐﹑"
"""Commas of ASCII, Chinese, Japanese and Arabic, and their narrow and wide forms."""


MISSING_WORDS = frozenset(
    {
        *("nan", "NaN", "NAN", "null", "NULL", "None", "<NA>", "NaT", "N/A", "n/a"),
        *("#N/A", "#NAME?", "#NULL!", "#NUM!", "#VALUE!", "#REF!", "#DIV/0!"),
    }
)
"""What programs write for a value that is not there, spreadsheets also for one that they could not compute."""


LONGEST_QUOTED = 200
"""Characters of a tag in quotes; each item is looked at for its end, and there may be very many."""


EXPECTED = "expected a list of texts, or one text with commas"


_CLOSING = {"[": "]", "(": ")", "{": "}"}


_WRAPPED = re.compile(
    r"(?:array|frozenset|set|deque|tuple|list|Index)\((.*?)(?:,\s*dtype=[^\[\]]{0,100})?\)", re.DOTALL
)


_ITEM = re.compile(
    r"""(?P<text>(?:[uU]|(?P<np>(?:np|numpy)\.str_\())?(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?(np)\)))"""
    r"""|(?:np|numpy)\.\w+\((?P<np_number>[^\s,'"()\[\]{}]+)\)"""
    r"""|(?P<bare>[^\s,'"()\[\]{}:]+)""",
    re.DOTALL,
)


_GAP = re.compile(r"\s*,\s*|\s+")


_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?")


def tag_texts(column: str, value: object, separator: str | None = None) -> list[str]:
    """Texts of a cell, not yet cleaned.

    Numbers in a list become text, nulls and not-a-numbers are left out.

    Args:
        column: its name, for errors.
        value: what the file holds.
        separator: what separates tags in a text; commas of any script where it is ``None``.

    Raises:
        InputError: it is something else, or holds something else.
    """
    if is_missing(value):
        return []
    if isinstance(value, ClassName):
        return [] if value.strip() in MISSING_WORDS else [str(value)]
    if isinstance(value, str):
        written = None if value.strip() in MISSING_WORDS else _written_list(column, value.strip())
        return _separated(value, separator) if written is None else written
    if not isinstance(value, list):
        raise InputError(f"{column} is {describe(value)}, {EXPECTED}")
    return _texts(column, value)


def is_missing(value: object) -> bool:
    """Null, or the not-a-number with which pandas marks a missing value."""
    return value is None or (isinstance(value, float) and value != value)


def _separated(text: str, separator: str | None) -> list[str]:
    if text.strip() in MISSING_WORDS:
        return []
    if separator is None:
        return _cut(text, f"[{COMMAS}\r\n]")
    if separator.isspace():
        return text.split()
    wide = chr(ord(separator) + 0xFEE0) if len(separator) == 1 and "!" <= separator <= "~" else separator
    return _cut(text, f"(?:{re.escape(separator)}|{re.escape(wide)})")


def _cut(text: str, mark: str) -> list[str]:
    """Texts between separators that match ``mark``.

    An item that is in double quotes as a whole keeps its separators, as in CSV. Single quotes are apostrophes too: they count
    where all items have them.
    """
    single = rf"[ \t]*+'[^']*+'[ \t]*+(?={mark}|$)"
    if re.fullmatch(rf"{single}(?:{mark}{single})*+", text):
        return re.findall(r"'([^']*+)'", text)
    if '"' not in text:
        return re.split(mark, text)
    items: list[str] = []
    place = 0
    quoted, end = (
        re.compile(rf'[ \t]*+"((?:[^"]|""){{1,{LONGEST_QUOTED}}})"[ \t]*+(?={mark}|$)'),
        re.compile(rf"{mark}|$"),
    )
    while place <= len(text):
        item = quoted.match(text, place)
        stop = end.search(text, place if item is None else item.end())
        assert stop is not None  # the end of the text is one
        items.append(text[place : stop.start()] if item is None else item[1].replace('""', '"'))
        place = stop.end() + (stop.start() == stop.end())
    return items


def _texts(column: str, values: Iterable[object]) -> list[str]:
    return [_text(column, value) for value in values if not is_missing(value)]


def _text(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return number_text(value)
    if isinstance(value, Mapping) and isinstance(value.get("tag"), str):  # as optsg-tag writes them
        return str(value["tag"])
    raise InputError(f"{column} holds {describe(value)}, expected texts only")


def number_text(value: float) -> str:
    """``2020.0`` as ``2020``: a column with a missing value makes numbers of all its integers."""
    return str(int(value)) if value.is_integer() else repr(value)


def _written_list(column: str, text: str) -> list[str] | None:
    """The list that ``text`` writes out; ``None`` if it does not look like one."""
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped is not None and (not wrapped[1].strip() or wrapped[1].lstrip()[0] in _CLOSING):
        text = wrapped[1].strip() or "[]"
    if text[:1] not in _CLOSING:
        return None
    if text.startswith("["):
        try:
            return _texts(column, json.loads(text))
        except (ValueError, RecursionError):
            pass
    looks_written = re.match(r"[\[({]\s*['\"]", text) is not None
    end = _end_of_bracket(text)
    if end is not None and end < len(text) - 1:
        if looks_written:
            raise _no_list(column, text)
        return None
    items = None if end is None else _items(text[1:-1])
    if items is not None and (text[0] != "(" or "," in text or looks_written):
        return items
    if text[0] == "(" and "," not in text:
        return None
    if text[0] == "{" and re.match(r"\{\s*(?:'[^']*'|\"[^\"]*\"|\w+)\s*:", text):
        raise InputError(f"{column} is an object, {EXPECTED}")
    raise _no_list(column, text)


def _no_list(column: str, text: str) -> InputError:
    return InputError(
        f"{column} is text that begins like a list and is none ({text[:40]!r}), expected a list such as "
        '["cat", "dog"], or one text with commas'
    )


def _end_of_bracket(text: str) -> int | None:
    """Where the bracket that ``text`` begins with is closed; quotes count where an item can begin."""
    open_brackets: list[str] = []
    place, can_quote = 0, False
    while place < len(text):
        char = text[place]
        if char in "'\"" and can_quote:
            quoted = re.compile(rf"{char}(?:[^{char}\\]|\\.)*{char}", re.DOTALL).match(text, place)
            place = quoted.end() if quoted else place + 1
            can_quote = False
            continue
        if char in _CLOSING:
            open_brackets.append(_CLOSING[char])
        elif open_brackets and char == open_brackets[-1]:
            open_brackets.pop()
            if not open_brackets:
                return place
        can_quote = char in "[({, \t\r\n"
        place += 1
    return None


def _items(content: str) -> list[str] | None:
    """Items between brackets, ``None`` where there is anything but quoted texts, numbers and nulls."""
    content = content.strip().removesuffix(",").rstrip()
    items: list[str] = []
    place = 0
    while place < len(content):
        item = _ITEM.match(content, place)
        if item is None:
            return None
        if item["text"] is not None:
            text = _unquoted(item["quoted"])
            if text is None:
                return None
            items.append(text)
        else:
            bare = item["np_number"] or item["bare"]
            if _NUMBER.fullmatch(bare) is None and bare not in MISSING_WORDS:
                return None
            items += [] if bare in MISSING_WORDS else [_number(bare)]
        place = item.end()
        if place < len(content):
            gap = _GAP.match(content, place)
            if gap is None:
                return None
            place = gap.end()
    return items


def _number(text: str) -> str:
    is_integer = text.lstrip("+-").isdecimal()
    value = 0.0 if is_integer else float(text)
    return text if is_integer or not math.isfinite(value) else number_text(value)


def _unquoted(quoted: str) -> str | None:
    with warnings.catch_warnings():  # a backslash in a tag is no reason to warn
        warnings.simplefilter("ignore")
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(quoted)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            return value if isinstance(value, str) else None
    return None


def describe(value: object) -> str:
    """``a number (5)``: type and beginning of a value, in the words of JSON."""
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bool):
        return str(value).lower()
    kind = "a number" if isinstance(value, (int, float)) else "text" if isinstance(value, str) else type(value).__name__
    return f"{kind} ({value!r:.40})"
