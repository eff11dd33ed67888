"""A file that is one JSON list, item by item: a list of ten million objects is never in memory as a whole."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import ijson

from ...errors import InputError

BYTE_ORDER_MARK = codecs.BOM_UTF8


DEEPEST = 64
"""Lists and objects inside each other."""


def read_json_list(path: Path) -> Iterator[object]:
    """Items in the order of the file, one in memory at a time.

    Raises:
        InputError: it cannot be read, or is not JSON from some place on, or has a name twice in an object.
    """
    number = 0
    try:
        with path.open("rb") as file:
            if file.read(len(BYTE_ORDER_MARK)) != BYTE_ORDER_MARK:
                file.seek(0)
            for item in _items(file):
                number += 1
                yield item
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ijson.JSONError, ValueError) as error:  # ValueError: bytes that are not UTF-8, numbers out of range
        text = error.args[0] if error.args else error
        reason = (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)).strip().splitlines()[0]
        raise InputError(f"{path}, after item {number:,}: not JSON ({reason})") from error


def _items(file: IO[bytes]) -> Iterator[object]:
    """Items of the list, built from the parser's events: ijson's own iterator of items takes memory for every depth."""
    depth = 0
    names: list[set[str]] = []
    builder = ijson.ObjectBuilder()
    for event, value in ijson.basic_parse(file, use_float=True):
        opens = event in ("start_array", "start_map")
        depth -= event in ("end_array", "end_map")
        if event == "start_map":
            names.append(set())
        elif event == "end_map":
            names.pop()
        elif event == "map_key":
            if value in names[-1]:
                raise ValueError(f"the name {value[:100]!r} occurs twice in one object")
            names[-1].add(value)
        if depth > 0:
            builder.event(event, value)
        if depth == 1 and not opens:
            yield builder.value
            builder = ijson.ObjectBuilder()
        depth += opens
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")


def check_json_list(path: Path, see: Callable[[object], None] = lambda _: None) -> dict[str, object]:
    """Reads the file once through, so that damage is an error at the start; ``see`` gets each item. Returns the first.

    Raises:
        InputError: as :func:`read_json_list`; it is no list, an empty one, or its first item is no object.
    """
    _check_is_list(path)
    items = read_json_list(path)
    first = next(items, None)
    see(first)
    for item in items:
        see(item)
    if first is None:
        raise InputError(f"{path}: holds no rows")
    if not isinstance(first, dict):
        raise InputError(f"{path}, item 1: not a JSON object; expected a list of objects")
    return first


def _check_is_list(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(1024).removeprefix(BYTE_ORDER_MARK).lstrip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not start.startswith(b"["):
        raise InputError(f"{path}: not a JSON list; expected [ at its beginning, and one object per video in it")
