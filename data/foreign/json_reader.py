"""JSON from anybody: what is damaged, odd or made to do harm is one ``ValueError`` of one line, in bounded time and memory.

The standard library's reader ends in a RecursionError where lists lie a thousand deep, makes numbers that no array can hold,
and takes the last of two values with the same name without a word. Whoever reads a file catches :data:`JSON_DAMAGE` and says
which file it is.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

JSON_DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What reading a damaged file, and taking values out of what it says, may raise."""


DEEPEST = 64
"""Lists and objects inside each other."""


SMALL_FILE = 16 << 20
"""Bytes; settings and the like are far smaller."""


LARGE_FILE = 2 << 30
"""Bytes; for files that grow with the number of tags."""


_ODD_NUMBER = re.compile(r"\d{18}|[eE]\+?\d{3}")


_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # a text without end is taken to the end: in linear time


_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


MOST_DIGITS = 100
_BITS_64 = range(-(2**63), 2**64)
"""Signed or unsigned: identifiers of other programs are either."""


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        text: bytes are UTF-8, or UTF-16 or UTF-32 as JSON allows; a byte order mark is passed over.
        finite: refuse ``NaN`` and ``Infinity``, which are no JSON though many programs write them, and whole numbers of more than
            64 bits. Without it whole numbers of up to :data:`MOST_DIGITS` digits are taken: what other programs wrote is kept.

    Raises:
        ValueError: it is no JSON, is nested more than :data:`DEEPEST` deep, has a name twice in an object, or a number that
            64 bits cannot hold; the message is one line.
    """
    # One mark is passed over, and detect_encoding knows of it.
    text = text.decode(json.detect_encoding(text)) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    _check_depth(text)
    hooks: dict[str, Any] = {"parse_constant": _refuse} if finite else {}
    if _ODD_NUMBER.search(text):  # functions for every number cost time, which hardly any text needs
        hooks |= {"parse_int": _integer if finite else _long_integer, "parse_float": _number}
    try:
        return json.loads(text, object_pairs_hook=_object, **hooks)
    except RecursionError as error:
        raise ValueError(f"nested more than {DEEPEST} deep") from error


def read_json(path: Path, *, most_bytes: int = SMALL_FILE, finite: bool = True) -> Any:
    """The value of a JSON file; ``finite`` as in :func:`parse_json`.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: as :func:`parse_json`; it has more than ``most_bytes``.
    """
    return parse_json(read_bounded(path, most_bytes), finite=finite)


def number_of(value: Any) -> float:
    """A number as :func:`parse_json` gives it; ValueError for anything else, such as the text "nan", which ``float`` would take."""
    if not isinstance(value, int | float):
        raise ValueError(f"{str(value)[:20]!r} is no number")
    return float(value)


def read_bounded(path: Path, most_bytes: int = SMALL_FILE) -> bytes:
    """All bytes of a file that is supposed to be small; errors as :func:`read_json`."""
    check_is_file(path)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most_bytes:
            raise ValueError(f"more than {most_bytes:,} bytes")
        return file.read(size)  # memory is taken for as many as are asked for


def check_is_file(path: Path) -> None:
    """Raises OSError for a pipe, a socket or a device: reading one may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise OSError(0, "it is a folder" if stat.S_ISDIR(mode) else "it is no file but a pipe, socket or device")


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    # Brackets inside texts count at first: where even they do not add up, nothing needs to be taken out.
    if _depth(text) > DEEPEST and _depth(_TEXT.sub("", text)) > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")


def _depth(text: str) -> int:
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    brackets = codes[_STEPS[codes] != 0]
    return int(np.cumsum(_STEPS[brackets], dtype=np.int64).max(initial=0))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {twice[:100]!r} occurs twice in one object")
    return values


def _integer(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _BITS_64:
        raise ValueError(f"the number {digits[:20]} is too large")
    return int(digits)


def _long_integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"the number {digits[:20]} is too large")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is too large")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
