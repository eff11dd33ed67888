"""A file that is one JSON list, item by item: a list of ten million objects is never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ijson

from ..errors import InputError


def read_json_list(path: Path) -> Iterator[object]:
    """Items in the order of the file, one in memory at a time.

    Raises:
        InputError: it cannot be read, or is not JSON from some place on.
    """
    number = 0
    try:
        with path.open("rb") as file:
            for item in ijson.items(file, "item", use_float=True):
                number += 1
                yield item
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ijson.JSONError, ValueError) as error:  # ValueError: bytes that are not UTF-8, numbers out of range
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}, after item {number:,}: not JSON ({reason})") from error


def check_json_list(path: Path) -> dict[str, object]:
    """Reads the file once through, so that damage is an error at the start; returns the first item.

    Raises:
        InputError: as :func:`read_json_list`; it is no list, an empty one, or its first item is no object.
    """
    _check_is_list(path)
    items = read_json_list(path)
    first = next(items, None)
    for _ in items:
        pass
    if first is None:
        raise InputError(f"{path}: holds no rows")
    if not isinstance(first, dict):
        raise InputError(f"{path}, item 1: not a JSON object; expected a list of objects")
    return first


def _check_is_list(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not start.startswith(b"["):
        raise InputError(f"{path}: not a JSON list; expected [ at its beginning, and one object per video in it")
